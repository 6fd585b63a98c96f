package bench_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"isthmus/simulate"
	"isthmus/test/browser"
)

// At this size the dashboard is measured.
const (
	dashboardDatacenters = 1000
	dashboardPeerings    = 5000
	dashboardRegions     = 8
	// dashboardStart bounds how long a simulated fleet of that size takes to be healthy.
	dashboardStart = 15 * time.Minute
	// pageTimeout bounds each wait for a page.
	pageTimeout = 2 * time.Minute
)

// usable notes when a page is: when what somebody came for has been painted, in ms since the navigation began.
const usable = `
	window.usable = new Promise((done) => {
		const there = () => {
			const map = document.querySelector('[role=application] canvas');
			const table = document.querySelector('table[aria-rowcount]');
			const login = document.querySelector('form input[type=password]');
			return location.pathname === '/' && map ? map.width > 0 : location.pathname !== '/' && table || login;
		};
		const look = () => {
			if (!there()) requestAnimationFrame(look);
			else requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
		};
		requestAnimationFrame(look);
	});
	// How long the browser took from each key or click until the answer to it was painted; it counts in steps of 8 ms.
	window.interactions = [];
	new PerformanceObserver((list) => {
		for (const e of list.getEntries()) if (e.interactionId > 0) window.interactions.push(e.duration);
	}).observe({ type: 'event', durationThreshold: 16 });
`

// frames notes how long each frame takes from now on.
const frames = `void (() => {
	const taken = (window.taken = []);
	let last = performance.now();
	const next = (now) => {
		taken.push(now - last);
		last = now;
		if (window.taken === taken) requestAnimationFrame(next);
	};
	requestAnimationFrame(next);
})()`

// BenchmarkDashboard measures the dashboard in a headless Chromium that draws without a graphics card: how soon it is usable with an empty
// cache, how soon its overview of a large simulated fleet is, how that pans, and how its longest table filters.
func BenchmarkDashboard(b *testing.B) {
	if _, err := os.Stat("../web/dist/app/index.html"); err != nil {
		b.Skip("the dashboard is not built: make web")
	}
	var chromium browser.Browser
	b.Cleanup(chromium.Close)
	f := &fleet{dir: b.TempDir()}
	f.startServer(b)
	f.simulate(b)

	var first, overview, again, pan, zoom, filter times
	var script int
	for b.Loop() {
		page := chromium.Open(b, f.config.Address, browser.Options{Path: "/icon.svg", Patience: pageTimeout, Unread: true})
		page.Begin(b, usable)
		page.Goto(b, "/")
		first = append(first, milliseconds(browser.Evaluate[float64](b, page, `window.usable`)))

		page.Fill(b, browser.Label("API token"), f.config.Token)
		page.Click(b, browser.Role("button", "Log in"))
		page.See(b, browser.Role("application", "Map of the fleet"))
		// The last that is loaded: the curves.
		page.See(b, browser.Role("image", "datacenters that are not healthy, over time").Containing())
		script = browser.Evaluate[int](b, page, `performance.getEntriesByType('resource').filter((r) => r.name.endsWith('.js')).reduce((sum, r) => sum + r.encodedBodySize, 0)`)
		page.Goto(b, "/?layout=hub")
		overview = append(overview, milliseconds(browser.Evaluate[float64](b, page, `window.usable`)))
		page.Goto(b, "/")
		again = append(again, milliseconds(browser.Evaluate[float64](b, page, `window.usable`)))

		pan = append(pan, moving(b, page, func() {
			page.Drag(b, browser.Role("application", "Map of the fleet"), 3, 1, 60)
			page.Drag(b, browser.Role("application", "Map of the fleet"), -3, -1, 60)
		})...)
		zoom = append(zoom, moving(b, page, func() {
			for range 10 {
				page.Press(b, "+", "+", "-", "-")
			}
		})...)
		filter = append(filter, filtering(b, page)...)
		page.Close()
	}
	first.report(b, "dashboard, first visit with an empty cache: usable after", "< 1 s")
	record("… JavaScript of the first page and the overview, compressed", "< 300 KiB", "%.0f KiB", float64(script)/1024)
	overview.report(b, fmt.Sprintf("overview of %d datacenters, %d connections: usable after", dashboardDatacenters, dashboardPeerings), "< 2 s")
	again.report(b, "… in the layout by region", "< 2 s")
	record("… a frame while it is panned", "", "%s median, %s of 95 %%, %s worst of %d", ms(pan.at(0.5)), ms(pan.at(0.95)), ms(pan.at(1)), len(pan))
	record("… a frame while it is zoomed", "", "%s median, %s of 95 %%, %s worst of %d", ms(zoom.at(0.5)), ms(zoom.at(0.95)), ms(zoom.at(1)), len(zoom))
	filter.report(b, fmt.Sprintf("table of %d datacenters: a key in its search → filtered and painted", dashboardDatacenters), "< 50 ms")
}

// simulate fills the server with a simulated fleet, and waits until it is healthy but for some faults.
func (f *fleet) simulate(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), dashboardStart)
	defer cancel()
	simulated, err := simulate.Start(ctx, simulate.Config{
		Server: f.config, Datacenters: dashboardDatacenters, Peerings: dashboardPeerings, Regions: dashboardRegions, Services: 20,
	})
	must(b, err)
	b.Cleanup(simulated.Close)
	must(b, simulated.WaitHealthy(ctx))
	must(b, simulated.Cut(simulated.Datacenters()[100:103]...))
}

// moving is how long the frames took while something was done, but for the first ones.
func moving(b *testing.B, page *browser.Page, do func()) times {
	b.Helper()
	browser.Evaluate[bool](b, page, frames+`, true`)
	do()
	taken := browser.Evaluate[[]float64](b, page, `((taken) => { window.taken = undefined; return taken; })(window.taken)`)
	out := make(times, len(taken))
	for i, t := range taken {
		out[i] = milliseconds(t)
	}
	return out[min(len(out), 2):]
}

// filtering types a name into the search of the table of datacenters, and gives how long each key took.
func filtering(b *testing.B, page *browser.Page) times {
	b.Helper()
	page.Goto(b, "/datacenters")
	browser.Evaluate[float64](b, page, `window.usable`)
	page.Fill(b, browser.Label("Search datacenters"), "d")
	browser.Evaluate[bool](b, page, `(window.interactions = []), true`)
	page.Press(b, "c", "-", "0", "4", "2")
	page.See(b, browser.Text("of "+fmt.Sprint(dashboardDatacenters)))
	// What took less than 16 ms is not told.
	taken := browser.Evaluate[[]float64](b, page, `new Promise((done) => setTimeout(() => done(window.interactions), 200))`)
	slices.Sort(taken)
	out := make(times, len(taken))
	for i, t := range taken {
		out[i] = milliseconds(t)
	}
	if len(out) == 0 {
		out = times{16 * time.Millisecond}
	}
	return out
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

func ms(d time.Duration) string { return fmt.Sprintf("%.0fms", float64(d.Microseconds())/1000) }
