package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The rows of the table that sizes are worked out from, by how their names begin.
const (
	memory        = "memory of the server at rest"
	starting      = "… processor time of the server, s"
	startingStore = "… of PostgreSQL, s"
	resting       = "processor time of the server at rest"
	restingStore  = "… of PostgreSQL, % of a core"
	database      = "database"
)

const (
	// largest is how many agents a replica has that was measured; more are given to more replicas.
	largest = 10_000
	// readySeconds is how long a whole fleet may take to enrol and be healthy.
	readySeconds = 300.0
	// spare is how many times what was measured is to be there: for changes, for a garbage collector's next round, for all agents that come
	// back at once, for a database that has not been vacuumed yet.
	spare = 2.0
	// leastDisk, in GiB, is PostgreSQL's own: the write-ahead log (max_wal_size is 1 GiB unless set).
	leastDisk = 2.0
)

// sizes of fleets for which it is worked out.
func sizes() []float64 { return []float64{100, 1_000, 10_000, 30_000, 100_000} }

// at is the figure for a number of datacenters: on the straight line between the two measured ones around it, and beyond the
// last two on the line through them; below the first, in proportion.
func (l line) at(n float64) float64 {
	p := l.points
	if len(p) == 1 || n < p[0].datacenters {
		return p[0].figure * n / p[0].datacenters
	}
	i := 1
	for i < len(p)-1 && p[i].datacenters < n {
		i++
	}
	from, to := p[i-1], p[i]
	return max(0, from.figure+(n-from.datacenters)/(to.datacenters-from.datacenters)*(to.figure-from.figure))
}

// withSizes is a page with the table of sizes between <!-- sizes --> and <!-- /sizes -->.
func withSizes(page string, lines []line) (string, error) {
	const begin, end = "<!-- sizes -->\n", "<!-- /sizes -->"
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", errors.New("there is no place between <!-- sizes --> and <!-- /sizes -->")
	}
	rows := map[string]line{}
	for _, work := range []string{memory, starting, startingStore, resting, restingStore, database} {
		i := slices.IndexFunc(lines, func(l line) bool { return strings.HasPrefix(l.work, work) })
		if i < 0 {
			return "", fmt.Errorf("the table of growth has no row %q", work)
		}
		// What is stored only says nothing about agents.
		l := line{work: work, points: slices.DeleteFunc(slices.Clone(lines[i].points), func(p point) bool { return p.datacenters > largest })}
		if len(l.points) == 0 {
			return "", fmt.Errorf("the table of growth has no figures of connected datacenters for %q", work)
		}
		rows[work] = l
	}
	var out strings.Builder
	out.WriteString("| connected datacenters | replicas | processors of each | memory of each | PostgreSQL: processors | memory | disk | |\n|---|---|---|---|---|---|---|---|\n")
	for _, n := range sizes() {
		fmt.Fprintln(&out, sized(n, rows))
	}
	return before + begin + out.String() + end + after, nil
}

// sized is the row for a fleet.
func sized(n float64, rows map[string]line) string {
	// One replica more than carry the agents: it may be away. Each holds the whole fleet in memory; agents are shared out.
	carrying := math.Ceil(n / largest)
	server := (rows[starting].at(n)/readySeconds + rows[resting].at(n)/100) / carrying
	store := rows[startingStore].at(n)/readySeconds + rows[restingStore].at(n)/100
	kept := spare * rows[database].at(n) / 1024
	how := "measured"
	if points := rows[memory].points; n > points[len(points)-1].datacenters {
		how = "extrapolated"
	}
	return fmt.Sprintf("| %s | %g | %g | %s | %g | %s | %s | %s |", thousands(n), carrying+1, max(1, math.Ceil(spare*server)), gibibytes(spare*rows[memory].at(n)/1024),
		max(1, math.Ceil(spare*store)), gibibytes(max(0.5, kept)), gibibytes(leastDisk+kept), how)
}

// gibibytes rounds up to halves, and to whole ones where there are some.
func gibibytes(n float64) string {
	step := 0.5
	if n > 4 {
		step = 1
	}
	return fmt.Sprintf("%g GiB", math.Ceil(n/step)*step)
}
