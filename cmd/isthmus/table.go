package main

import (
	"os"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
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
			(*w)[i] = max((*w)[i], utf8.RuneCountInString(cell))
		}
	}
}

// table writes rows under a header, without lines: what people pipe through grep and awk.
func (p Program) table(header []string, rows [][]string) error {
	return p.grow(new(widths), header, rows)
}

// grow writes further rows of a table, under a header the first time only (nil: without).
func (p Program) grow(columns *widths, header []string, rows [][]string) error {
	columns.fit(header)
	columns.fit(rows...)
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "   "
	style.Format.Header = text.FormatDefault
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	configs := make([]table.ColumnConfig, len(*columns))
	for i, width := range *columns {
		// The width is that of the cell with its padding on the right.
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMin: width}
	}
	w.SetColumnConfigs(configs)
	if header != nil {
		w.AppendHeader(rowOf(header, false))
	}
	colours := p.colourful(p.Out)
	for _, row := range rows {
		w.AppendRow(rowOf(row, colours))
	}
	return p.write([]byte(w.Render() + "\n"))
}

func rowOf(cells []string, colours bool) table.Row {
	row := make(table.Row, len(cells))
	for i, cell := range cells {
		cell = plainCell(cell)
		if colours {
			cell = paint(cell)
		}
		row[i] = cell
	}
	return row
}
