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
