package main

import (
	"bytes"
	"os"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// isTerminal tells whether w shows to a person who sees it at once.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colourful tells whether colours may be used on w: see https://no-color.org.
func (p Program) colourful(w any) bool {
	if off, ok := p.Env("NO_COLOR"); ok && off != "" {
		return false
	}
	if name, _ := p.Env("TERM"); name == "dumb" {
		return false
	}
	return isTerminal(w)
}

// colourOf is the colour of a word that says how something is.
func colourOf(word string) (text.Color, bool) {
	switch word {
	case "healthy", "online", "applied", "ACTIVE", "active", "passing", "fleet", "approved", "true", "created", "done",
		"alive", "yes", "joined", "pass":
		return text.FgGreen, true
	case "unknown", "pending", "stale", "one-sided", "PENDING", "ESTABLISHING", "UNDEFINED", "deleting", "DELETING", "drifted",
		"warning", "degraded", "none", "updated", "waiting", "foreign", "orphan",
		"leaving", "left", "trusting", "bundling", "delivering", "joining":
		return text.FgYellow, true
	case "failing", "FAILING", "TERMINATED", "offline", "failed", "conflict", "critical", "expired", "refused", "false", "deleted",
		"error", "no", "blocked", "fail":
		return text.FgRed, true
	}
	return 0, false
}

// paint colours a word that says how something is.
func paint(word string) string {
	if colour, ok := colourOf(word); ok {
		return colour.Sprint(word)
	}
	return word
}

// widths are those of the columns of a table that grows, so that its rows stand below each other.
type widths []int

// fit makes room for rows.
func (w *widths) fit(rows ...[]string) {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(*w) {
				*w = append(*w, 0)
			}
			(*w)[i] = max((*w)[i], widthOf(cell))
		}
	}
}

// widthOf is how many places a cell takes: characters of East Asia take two, marks above others none.
func widthOf(cell string) int {
	if utf8.RuneCountInString(cell) == len(cell) {
		return len(cell)
	}
	return text.StringWidthWithoutEscSequences(cell)
}

// gap is what stands between columns.
const gap = "   "

// appendRow appends a line without spaces at its end.
func (w widths) appendRow(out []byte, row []string, colours bool) []byte {
	for i, cell := range row {
		space := w[i] - widthOf(cell)
		if colours {
			cell = paint(cell)
		}
		out = append(out, cell...)
		for range space {
			out = append(out, ' ')
		}
		out = append(out, gap...)
	}
	return append(bytes.TrimRight(out, " "), '\n')
}

// table writes rows under a header, without lines: what people pipe through grep and awk.
func (p Program) table(header []string, rows [][]string) error {
	return p.grow(new(widths), header, rows)
}

// grow writes further rows of a table, under a header the first time only (nil: without).
func (p Program) grow(columns *widths, header []string, rows [][]string) error {
	header, rows = plainRow(header), plainRows(rows)
	columns.fit(header)
	columns.fit(rows...)
	var out []byte
	if header != nil {
		out = columns.appendRow(out, header, false)
	}
	colours := p.colourful(p.Out)
	for _, row := range rows {
		out = columns.appendRow(out, row, colours)
	}
	return p.write(out)
}

func plainRows(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = plainRow(row)
	}
	return out
}

// plainRow is a row whose cells are safe to show; nil for none.
func plainRow(row []string) []string {
	if row == nil {
		return nil
	}
	out := make([]string, len(row))
	for i, cell := range row {
		out[i] = plainCell(cell)
	}
	return out
}
