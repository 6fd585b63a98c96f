package dashboard_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/demo/child"
	"isthmus/test/browser"
)

// scalePatience bounds what a large fleet takes, on a machine that has other things to do.
const scalePatience = 8 * time.Minute

// pagePatience bounds what a page of a large fleet takes to show what the server knows.
const pagePatience = 100 * time.Second

// large is a server and a simulated fleet, each a process of its own.
type large struct {
	address, token string
	dir            string
	simulator      *child.Process
	said           *lines
}

// lines are what a process says, line by line.
type lines struct {
	mu   sync.Mutex
	rest string
	all  []string
	more chan struct{}
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := strings.Split(l.rest+string(p), "\n")
	l.all, l.rest = append(l.all, parts[:len(parts)-1]...), parts[len(parts)-1]
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

// await gives what follows a prefix on the first line that has it.
func (l *lines) await(ctx context.Context, t *testing.T, prefix string, by *child.Process) string {
	t.Helper()
	for {
		l.mu.Lock()
		at := slices.IndexFunc(l.all, func(line string) bool { return strings.HasPrefix(line, prefix) })
		more, all := l.more, l.all
		l.mu.Unlock()
		if at >= 0 {
			return strings.TrimSpace(strings.TrimPrefix(all[at], prefix))
		}
		select {
		case <-more:
		case <-by.Done():
			t.Fatalf("waiting for %q: %v", prefix, by.Ended())
		case <-ctx.Done():
			t.Fatalf("waiting for %q: it has said %q", prefix, all)
		}
	}
}

// newLarge starts a server that has nothing yet.
func newLarge(t *testing.T) *large {
	t.Helper()
	needsDashboard(t)
	l := &large{dir: t.TempDir()}
	server, said := l.run(t, "server", "--data-dir", l.dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0")
	l.address = said.await(t.Context(), t, "REST: ", server)
	token, err := os.ReadFile(filepath.Join(l.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	l.token = strings.TrimSpace(string(token))
	return l
}

// simulate starts a fleet, with what isthmus simulate takes.
func (l *large) simulate(t *testing.T, args ...string) {
	t.Helper()
	l.simulator, l.said = l.run(t, append([]string{"simulate", "--addr", l.address, "--token-file", filepath.Join(l.dir, "admin.token")}, args...)...)
}

// faults waits until all is healthy and something of it was hurt, and tells what.
func (l *large) faults(t *testing.T) (datacenters, peerings []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scalePatience)
	defer cancel()
	for name := range strings.SplitSeq(l.said.await(ctx, t, "Faults: ", l.simulator), ", ") {
		if strings.Count(name, "-") == 1 {
			datacenters = append(datacenters, name)
		} else {
			peerings = append(peerings, name)
		}
	}
	return datacenters, peerings
}

func (l *large) run(t *testing.T, args ...string) (*child.Process, *lines) {
	t.Helper()
	binary, err := program.build()
	if err != nil {
		t.Fatal(err)
	}
	said := &lines{more: make(chan struct{})}
	p, err := child.Start(child.Options{Name: "isthmus " + args[0], Binary: binary, Args: args, LogFile: filepath.Join(l.dir, args[0]+".log"), Out: said})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(time.Minute); err != nil {
			t.Errorf("ending isthmus %s: %v", args[0], err)
		}
	})
	return p, said
}

// A fleet of a thousand datacenters grows while somebody looks, and then some of it breaks: the pages follow, and stay of use all the time.
func TestThousandDatacenters(t *testing.T) {
	t.Parallel()
	l := newLarge(t)
	page := logIn(t, l.address, l.token, browser.Options{Path: "/datacenters", Patience: pagePatience})
	page.See(t, browser.Text("No datacenter is declared"))
	live(t, page)
	l.simulate(t, "--datacenters", "1000", "--peerings", "5000", "--regions", "8", "--services", "3",
		"--cut", "3", "--failing-consul", "2", "--stale", "5", "--one-sided", "3")
	// While everything changes, a search finds one of them, and it stays found.
	search := browser.Label("Search datacenters")
	page.Fill(t, search, "dc-0042")
	page.See(t, browser.Role("link", "dc-0042"))
	page.See(t, browser.Text("healthy").In(browser.Role("region", "datacenters")))
	page.See(t, search.With("value", "dc-0042"))
	datacenters, peerings := l.faults(t)

	page.Click(t, browser.Role("link", "Overview").In(browser.Role("navigation", "Pages")))
	page.See(t, browser.Role("button", "2 failing datacenters: show on the map"))
	page.See(t, browser.Role("button", "3 unknown datacenters: show on the map"))
	page.See(t, browser.Role("button", "5 stale connections: show on the map"))
	page.Axe(t)
	onTheMap(t, page, datacenters)
	inTheTable(t, page, datacenters)
	stalePeering(t, page, peerings[0])
	page.Secrets(t, l.token)
}

// onTheMap finds those that are silent, and one of them by its name; the address keeps both.
func onTheMap(t *testing.T, page *browser.Page, datacenters []string) {
	t.Helper()
	page.Click(t, browser.Role("button", "3 unknown datacenters: show on the map"))
	page.At(t, "/?health=unknown")
	for _, name := range datacenters[:3] {
		page.See(t, browser.Role("button", "Show "+name+" on the map").In(browser.Role("region", "datacenters on the map")))
	}
	page.Fill(t, browser.Label("Search the map"), datacenters[0])
	page.At(t, "/?health=unknown&q="+datacenters[0])
	page.NotSee(t, browser.Role("button", "Show "+datacenters[1]+" on the map"))
	page.Reload(t)
	page.Drag(t, browser.Role("application", "Map of the fleet"), 3, 2, 20)
	page.Press(t, "+", "+", "0")
	page.Click(t, browser.Role("button", "Show "+datacenters[0]+" on the map"))
	page.See(t, browser.Role("link", "Open datacenter").In(browser.Role("region", "Details of "+datacenters[0])))
	page.Click(t, browser.Role("link", "Open datacenter"))
	page.See(t, browser.Role("heading", datacenters[0]))
	page.See(t, browser.Text("is silent"))
	page.Axe(t)
}

// inTheTable finds the same by the filters of the table.
func inTheTable(t *testing.T, page *browser.Page, datacenters []string) {
	t.Helper()
	page.Goto(t, "/datacenters")
	page.Click(t, browser.Role("combobox", "Health"))
	page.Click(t, browser.Role("option", "failing"))
	page.See(t, browser.Text("2 of 1000"))
	for _, name := range datacenters[3:5] {
		page.See(t, browser.Role("link", name))
	}
	page.See(t, browser.Text("NoLeader").In(browser.Role("region", "datacenters")))
	page.Axe(t)
}

// stalePeering finds one of five thousand, and why it is not well.
func stalePeering(t *testing.T, page *browser.Page, name string) {
	t.Helper()
	page.Goto(t, "/peerings")
	page.Fill(t, browser.Label("Search Peerings"), name)
	page.See(t, browser.Text("1 of 5000"))
	page.See(t, browser.Text("stale").In(browser.Role("region", "Peerings")))
	page.Click(t, browser.Role("link", name))
	page.See(t, browser.Role("heading", name).Containing().With("level", "1"))
	page.See(t, browser.Text("stale"))
	page.Axe(t)
}

// A federation of a hundred: who reaches whose gateways, as a square of ten thousand cells, one column of which turns into crosses while somebody
// looks.
func TestLargeFederation(t *testing.T) {
	t.Parallel()
	l := newLarge(t)
	page := logIn(t, l.address, l.token, browser.Options{Path: "/federations", Patience: scalePatience})
	live(t, page)
	l.simulate(t, "--datacenters", "200", "--peerings", "0", "--regions", "1", "--services", "1", "--federation-size", "100", "--gateways", "--unreachable", "1")
	page.Click(t, browser.Role("link", "wan-eu-west"))
	page.Click(t, browser.Role("tab", "Reachability"))
	datacenters, _ := l.faults(t)
	lost := datacenters[0]

	page.See(t, browser.Text("99 pairs are not proven."))
	theMap := browser.Role("application", "Who reaches whom").Containing()
	page.Click(t, theMap)
	page.Press(t, "ArrowUp", "ArrowLeft")
	page.Click(t, browser.Role("combobox", "To"))
	page.Click(t, browser.Role("option", lost))
	page.See(t, browser.Text("99 of 9900"))
	page.See(t, browser.Text("Timeout").In(browser.Role("region", "gateways dialled")))
	for _, dark := range []bool{true, false} {
		page.Scheme(t, dark)
		page.See(t, theMap)
		page.Axe(t)
	}
	page.Secrets(t, l.token)
}
