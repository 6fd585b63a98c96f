package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server"
	"isthmus/test/pgtest"
)

// changes asks what changed since a cursor.
func (n *node) changes(cursor, wait string) *isthmusv1.ListChangesResponse {
	n.t.Helper()
	return n.changesAs(n.token, cursor, wait)
}

func (n *node) changesAs(token, cursor, wait string) *isthmusv1.ListChangesResponse {
	n.t.Helper()
	return changesOf(n.t, n.callAs(token, http.MethodGet, "/v1/changes?wait="+wait+"&cursor="+url.QueryEscape(cursor), ""))
}

func changesOf(t testing.TB, a answer) *isthmusv1.ListChangesResponse {
	t.Helper()
	out := &isthmusv1.ListChangesResponse{}
	if err := protojson.Unmarshal([]byte(a.body), out); a.status != http.StatusOK || err != nil {
		t.Fatalf("%d %v: %s", a.status, err, a.body)
	}
	return out
}

// tells follows the changes until everything that is wanted was told: a kind and a name, the name of a datacenter that was observed, or reset. It
// gives the cursor after it.
func (n *node) tells(cursor string, want ...string) string {
	n.t.Helper()
	left := slices.Clone(want)
	for deadline := time.Now().Add(patience); len(left) > 0; {
		if time.Now().After(deadline) {
			n.t.Fatalf("%q was not told", left)
		}
		r := n.changes(cursor, "2s")
		cursor = r.GetCursor()
		told := slices.Clone(r.GetObserved())
		for _, c := range r.GetChanges() {
			text := c.GetKind() + " " + c.GetName()
			if c.GetDeleted() {
				text += " deleted"
			}
			told = append(told, text)
		}
		if r.GetReset_() {
			told = append(told, "reset")
		}
		left = slices.DeleteFunc(left, func(x string) bool { return slices.Contains(told, x) })
	}
	return cursor
}

func (n *node) fleetMap() *isthmusv1.Fleet {
	n.t.Helper()
	out := &isthmusv1.Fleet{}
	if err := protojson.Unmarshal([]byte(n.want(http.StatusOK, n.call(http.MethodGet, "/v1/fleet", "")).body), out); err != nil {
		n.t.Fatal(err)
	}
	return out
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	n := start(t)
	first := n.changes("", "5m")
	if len(first.GetChanges())+len(first.GetObserved()) > 0 || first.GetReset_() || first.GetIndex() == 0 || first.GetTime() == nil {
		t.Errorf("from now on: %v", first)
	}
	waiting := n.later("/v1/changes?wait=5m&cursor=" + first.GetCursor())
	n.apply(datacenters("dc1", "dc2"))
	if r := changesOf(t, arrives(t, "a change", waiting)); r.GetIndex() <= first.GetIndex() {
		t.Errorf("%v", r)
	}
	cursor := n.tells(first.GetCursor(), "Datacenter dc1", "Datacenter dc2")
	fleet, w := fleetKey(t), newWorld()
	n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	cursor = n.tells(cursor, "dc1", "dc2")
	n.apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	n.becomes("dc1-dc2", "healthy")
	if f := n.fleetMap(); len(f.GetDatacenters()) != 2 || len(f.GetLinks()) != 1 || f.GetLinks()[0].GetVerdict() != "healthy" {
		t.Errorf("the fleet: %v", f)
	}
	cursor = n.tells(cursor, "Peering dc1-dc2")
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/peerings/dc1-dc2", ""))
	cursor = n.tells(cursor, "Peering dc1-dc2 deleted")

	// The audit log is told of by its last entry.
	n.apply(datacenters("dc3"))
	n.settle("/v1/datacenters")
	last := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?descending=true&pageSize=1", "")).fields(t)["events"].([]any)[0].(map[string]any)
	n.tells(cursor, "Event "+last["name"].(string))
}

func TestChangesOfAnother(t *testing.T) {
	t.Parallel()
	n := start(t)
	viewer := n.apiToken("viewer")
	cursor := n.changes("", "1ms").GetCursor()
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/api-tokens", `{"name":"new","spec":{"role":"viewer"}}`))
	n.apply(datacenters("dc1"))
	n.tells(cursor, "APIToken new", "Datacenter dc1")
	for at := cursor; ; {
		r := n.changesAs(viewer, at, "100ms")
		if at = r.GetCursor(); len(r.GetChanges()) == 0 {
			break
		}
		for _, c := range r.GetChanges() {
			if c.GetKind() == "APIToken" {
				t.Errorf("a viewer is told of %v", c)
			}
		}
	}
	for _, query := range []string{"cursor=x", "wait=never", "wait=-1s"} {
		n.want(http.StatusBadRequest, n.call(http.MethodGet, "/v1/changes?"+query, ""))
	}
}

// A server that stops answers who waits, and one that starts again tells what may have changed meanwhile.
func TestChangesOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir)
	n.apply(datacenters("dc1", "dc2"))
	old := n.changes("", "1ms").GetCursor()
	n.apply(datacenters("dc3"))
	n.settle("/v1/datacenters") // what is written after the last answer, the next server does not know apart from what came before
	cursor := n.tells(old, "Datacenter dc3")
	ask := func() <-chan answer { return n.later("/v1/changes?wait=5m&cursor=" + cursor) }
	waiting := ask()
	n.until("a call blocks", func() error {
		select {
		case a := <-waiting: // controllers had something to write
			cursor = changesOf(t, a).GetCursor()
			waiting = ask()
		default:
		}
		if strings.Contains(n.callAs("", http.MethodGet, "/metrics", "").body, `isthmus_requests_in_flight{rpc="isthmus.v1.OverviewService/ListChanges"} 1`) {
			return nil
		}
		return errors.New("not yet")
	})
	n.stop()
	cursor = changesOf(t, arrives(t, "a server that stops", waiting)).GetCursor()
	again := startIn(t, dir)
	cursor = again.tells(cursor, "dc1", "dc2", "dc3") // agents may have said anything
	again.apply(datacenters("dc4"))
	again.tells(cursor, "Datacenter dc4")
	again.tells(old, "reset")
}

// A datacenter that falls silent is told of, though nobody says anything.
func TestSilenceIsTold(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	fleet, w := fleetKey(t), newWorld()
	n.apply(datacenters("dc1", "dc2"))
	one := n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	n.until("both are heard of", healthOf(n, "dc1", "healthy"))
	n.until("both are heard of", healthOf(n, "dc2", "healthy"))
	one.stop()
	cursor := n.changes("", "1ms").GetCursor()
	clock.advance(40 * time.Second)
	n.tells(cursor, "dc1")
	n.until("dc1 is silent", healthOf(n, "dc1", "unknown"))
}

func healthOf(n *node, name, want string) func() error {
	return func() error {
		for _, d := range n.fleetMap().GetDatacenters() {
			if d.GetName() == name && d.GetHealth() == want {
				return nil
			}
		}
		return fmt.Errorf("%s is not %s yet", name, want)
	}
}

// Whichever of two servers a reader asks, it is told everything.
func TestChangesOfTwoServers(t *testing.T) {
	t.Parallel()
	address, key := pgtest.Start(t).Database(t), filepath.Join(t.TempDir(), "server.key")
	replica := func() *node {
		return start(t, func(c *server.Config) { c.Store, c.ServerKeyFile = address, key })
	}
	one, two := replica(), replica()
	two.token = one.token
	one.apply(datacenters("dc1", "dc2"))
	cursor := one.changes("", "1ms").GetCursor()
	cursor = two.tells(cursor, "dc1", "dc2") // it has not listened there before
	two.apply(datacenters("dc3"))
	cursor = one.tells(cursor, "Datacenter dc3")
	fleet, w := fleetKey(t), newWorld()
	one.enrol(w, fleet, "dc1").run()
	cursor = two.tells(cursor, "dc1")
	one.apply(datacenters("dc4"))
	two.tells(cursor, "Datacenter dc4")
}
