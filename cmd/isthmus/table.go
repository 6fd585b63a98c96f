package main

import (
	"os"

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
	case "healthy", "online", "applied", "ACTIVE", "active", "passing", "fleet", "approved", "true", "created", "done":
		return text.FgGreen, true
	case "unknown", "pending", "stale", "one-sided", "PENDING", "ESTABLISHING", "UNDEFINED", "deleting", "DELETING", "drifted",
		"warning", "degraded", "none", "updated", "waiting", "foreign", "orphan":
		return text.FgYellow, true
	case "failing", "FAILING", "TERMINATED", "offline", "failed", "conflict", "critical", "expired", "refused", "false", "deleted",
		"error":
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

// table writes rows under a header (nil: without), without lines: what people pipe through grep and awk.
func (p Program) table(header []string, rows [][]string) error {
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "   "
	style.Format.Header = text.FormatDefault
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
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
		if colours {
			cell = paint(cell)
		}
		row[i] = cell
	}
	return row
}
