package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// redrawEvery is how often running times are brought up to date.
const redrawEvery = 200 * time.Millisecond

// maxLiveRows keeps the live view within a small terminal; what is done makes room for what is not.
const maxLiveRows = 18

// progress shows how things come along: on a terminal as rows that change in place, elsewhere as a line for each change.
type progress struct {
	program Program
	live    bool
	colours bool
	start   time.Time

	mu   sync.Mutex
	rows []*progressRow
	// drawn is how many lines the live view has now.
	drawn int
	// clock lets the times of what is not done run on, between changes.
	clock *time.Timer
}

type progressRow struct {
	what, state, message string
	done                 bool
	// since when it is being shown, and how long it took once it is done.
	since time.Time
	took  time.Duration
}

// newProgress starts to show; times count from now.
func (p Program) newProgress() *progress {
	return &progress{program: p, live: isTerminal(p.Err), colours: p.colourful(p.Err), start: p.Now()}
}

// set shows that something is in a state. done: it has got where it should.
func (g *progress) set(what, state, message string, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	row := g.row(what)
	if row.state == state && row.message == message && row.done == done {
		return
	}
	if done && !row.done {
		row.took = g.program.Now().Sub(row.since)
	}
	row.state, row.message, row.done = state, message, done
	if g.live {
		g.draw(false)
		if g.clock == nil {
			g.clock = time.AfterFunc(redrawEvery, g.tick)
		}
		return
	}
	fmt.Fprintf(g.program.Err, "%6.1fs  %s: %s\n", g.program.Now().Sub(g.start).Seconds(), what, stateAndMessage(row, false))
}

// tick draws again until finish.
func (g *progress) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clock != nil {
		g.draw(false)
		g.clock.Reset(redrawEvery)
	}
}

func (g *progress) row(what string) *progressRow {
	for _, row := range g.rows {
		if row.what == what {
			return row
		}
	}
	row := &progressRow{what: what, since: g.program.Now()}
	g.rows = append(g.rows, row)
	return row
}

// missing are the rows that are not done.
func (g *progress) missing() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, row := range g.rows {
		if !row.done {
			out = append(out, row.what+": "+stateAndMessage(row, false))
		}
	}
	return out
}

// finish leaves the last view on the screen.
func (g *progress) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clock != nil {
		g.clock.Stop()
		g.clock = nil
		g.draw(true)
		g.drawn = 0
	}
}

func stateAndMessage(row *progressRow, colours bool) string {
	state := plainCell(row.state)
	if colours {
		if row.done {
			state = text.FgGreen.Sprint(state)
		} else {
			state = paint(state)
		}
	}
	if row.message == "" || row.done {
		return state
	}
	return state + " (" + plainCell(row.message) + ")"
}

// draw writes the rows over the ones that were drawn before. all also draws those that there is no room for.
func (g *progress) draw(all bool) {
	var out strings.Builder
	if g.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", g.drawn)
	}
	out.WriteString("\x1b[J")
	width, height := g.size()
	rows, hidden := g.rows, 0
	if limit := min(maxLiveRows, height-2); !all && len(rows) > limit {
		rows, hidden = g.unfinished(limit), len(g.rows)-limit
	}
	longest := 0
	for _, row := range rows {
		longest = max(longest, len(row.what))
	}
	for _, row := range rows {
		mark := "·"
		seconds := g.program.Now().Sub(row.since)
		if row.done {
			mark, seconds = "✓", row.took
		}
		line := fmt.Sprintf("%s %-*s  %6.1fs  %s", mark, longest, row.what, seconds.Seconds(), stateAndMessage(row, g.colours))
		out.WriteString(text.Trim(line, width-1) + "\n")
	}
	g.drawn = len(rows)
	if hidden > 0 {
		fmt.Fprintf(&out, "  … and %d more\n", hidden)
		g.drawn++
	}
	fmt.Fprint(g.program.Err, out.String())
}

// unfinished are up to limit rows, those that are not done before those that are.
func (g *progress) unfinished(limit int) []*progressRow {
	var open, done []*progressRow
	for _, row := range g.rows {
		if row.done {
			done = append(done, row)
		} else {
			open = append(open, row)
		}
	}
	return append(open, done...)[:limit]
}

func (g *progress) size() (width, height int) {
	if file, ok := g.program.Err.(*os.File); ok {
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 && height > 3 {
			return width, height
		}
	}
	return 80, 24
}
