package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The picture is a grid of panels, one for each row of the table that says how a fleet at rest or a change costs. Both axes of a panel are
// logarithmic: what grows with the fleet has the slope of the dashed line, what does not is level.
const (
	columns = 3
	// Of a panel, in pixels: its own size, and the room around the place of its lines.
	width, height           = 300.0, 210.0
	left, right, above, low = 48.0, 34.0, 44.0, 30.0
	// decades of an axis, at least: a line that is level shall look so.
	decades = 2.0
)

// drawn are the rows that are drawn, in this order, by how their names begin, with their titles.
func drawn() []struct{ begins, title string } {
	return []struct{ begins, title string }{
		{memory, "memory of the server, MiB"},
		{resting, "server at rest, % of a core"},
		{"bytes on the wire at rest", "wire at rest, bytes/agent and minute"},
		{"a label changed", "a change → acknowledged, p50, ms"},
		{"a peering added", "a peering added → healthy, p50, ms"},
		{database, "database, MiB"},
	}
}

// style has two sets of colours: the picture stands in pages that are light or dark.
const style = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.axis { stroke: #8c959f; stroke-width: 1 }
.label { fill: #57606a; font-size: 11px }
.line { stroke: #0969da; stroke-width: 2; fill: none }
.dot { fill: #0969da }
.fleet { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 4 4 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.label { fill: #9198a1 }
.axis, .fleet { stroke: #6e7681 }
.line { stroke: #58a6ff }
.dot { fill: #58a6ff }
}
</style>
`

// draw makes the picture.
func draw(lines []line) string {
	var body strings.Builder
	n := 0
	for _, p := range drawn() {
		i := slices.IndexFunc(lines, func(l line) bool { return strings.HasPrefix(l.work, p.begins) })
		if i < 0 || len(lines[i].points) == 0 {
			continue
		}
		fmt.Fprintf(&body, "<g transform=\"translate(%g %g)\">\n%s</g>\n", float64(n%columns)*width, float64(n/columns)*height, panel(p.title, lines[i].points))
		n++
	}
	rows := (n + columns - 1) / columns
	total := float64(rows)*height + 24
	var out strings.Builder
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"How what a fleet costs grows with it\">\n", columns*width, total)
	out.WriteString(style)
	out.WriteString(body.String())
	fmt.Fprintf(&out, "<text class=\"label\" x=\"%g\" y=\"%g\">datacenters from left to right, both axes logarithmic; dashed: what would grow as the fleet does</text>\n</svg>\n", left, total-8)
	return out.String()
}

// scale brings figures to pixels.
type scale struct{ from, to, begin, end float64 }

func (s scale) at(figure float64) float64 {
	return s.begin + (math.Log10(figure)-s.from)/(s.to-s.from)*(s.end-s.begin)
}

// panel draws one line.
func panel(title string, points []point) string {
	var out strings.Builder
	x := scale{math.Log10(points[0].datacenters), math.Log10(points[len(points)-1].datacenters), left, width - right}
	if x.to == x.from {
		x.to++
	}
	y := vertical(points)
	fmt.Fprintf(&out, "<text class=\"title\" x=\"%g\" y=\"20\">%s</text>\n", left, html.EscapeString(title))
	fmt.Fprintf(&out, "<path class=\"axis\" fill=\"none\" d=\"M%g %gV%gH%g\"/>\n", left, above, height-low, width-right)
	// The slope of the fleet, from the first figure on, as far as there is room.
	first, last := points[0], points[len(points)-1]
	reach := min(last.datacenters, first.datacenters*math.Pow(10, y.to-math.Log10(max(first.figure, math.Pow(10, y.from)))))
	floor := max(first.figure, math.Pow(10, y.from))
	fmt.Fprintf(&out, "<path class=\"fleet\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x.at(first.datacenters), y.at(floor), x.at(reach), y.at(floor*reach/first.datacenters))
	var path []string
	for _, p := range points {
		px, py := x.at(p.datacenters), y.at(max(p.figure, math.Pow(10, y.from)))
		path = append(path, fmt.Sprintf("%.1f %.1f", px, py))
		fmt.Fprintf(&out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
			px, py, px, py-8, strconv.FormatFloat(p.figure, 'f', -1, 64))
		fmt.Fprintf(&out, "<text class=\"label\" x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%s</text>\n", px, height-low+16, thousands(p.datacenters))
	}
	fmt.Fprintf(&out, "<path class=\"line\" d=\"M%s\"/>\n", strings.Join(path, "L"))
	return out.String()
}

// vertical is the scale of a panel's figures: whole decades, of which there are some. A figure of nothing stands at the bottom.
func vertical(points []point) scale {
	least, most := math.Inf(1), 0.0
	for _, p := range points {
		most = max(most, p.figure)
		if p.figure > 0 {
			least = min(least, p.figure)
		}
	}
	if most == 0 {
		least, most = 1, 1
	}
	from, to := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	return scale{from, max(to, from+decades), height - low, above}
}

// thousands writes 10000 as 10,000.
func thousands(n float64) string {
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
