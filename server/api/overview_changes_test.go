package api_test

import (
	"slices"
	"testing"
	"time"

	"isthmus/fault"
	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/feed"
)

// listening gives a place its feed, kept up to date.
func (p *place) listening() *place {
	digester := overview.NewDigester()
	p.Feed = feed.New(p.Snapshot, p.table, func() map[string]uint64 {
		fleet, _ := p.Fleets.Get()
		return digester.Digests(fleet)
	})
	p.background(p.Feed.Run)
	return p
}

func (p *place) changes(r *isthmusv1.ListChangesRequest) *isthmusv1.ListChangesResponse {
	p.t.Helper()
	out, err := p.ListChanges(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// Nobody writes and nobody reports: what is so because time passes is told all the same, of a datacenter and of those that it is connected with.
func TestWhatTimeDoesIsTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t).listening()
	p.ring(5, 1, 1)
	cursor := p.changes(&isthmusv1.ListChangesRequest{}).GetCursor()
	p.clock.pass(31 * time.Second)
	for _, name := range []string{"dc0001", "dc0002", "dc0003", "dc0004"} {
		p.table.Heard(name, name+"-a1")
	}
	if d := row(p.fleet(), "dc0000"); d.GetHealth() != "unknown" {
		t.Errorf("%v", d)
	}
	left := []string{"dc0000", "dc0001", "dc0004"}
	for deadline := time.Now().Add(20 * time.Second); len(left) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not told", left)
		}
		r := p.changes(&isthmusv1.ListChangesRequest{Cursor: cursor, Wait: "2s"})
		cursor = r.GetCursor()
		left = slices.DeleteFunc(left, func(x string) bool { return slices.Contains(r.GetObserved(), x) })
		if r.GetReset_() || len(r.GetChanges()) > 0 {
			t.Errorf("nothing was written: %v", r)
		}
	}
}

// The end of a wait, and a server that stops, are answered with nothing and a cursor that is good for the next time.
func TestNothingToTell(t *testing.T) {
	t.Parallel()
	p := newPlace(t).listening()
	stopping := make(chan struct{})
	p.Stopping = stopping
	first := p.changes(&isthmusv1.ListChangesRequest{})
	empty := func(r *isthmusv1.ListChangesResponse) bool {
		return !r.GetReset_() && len(r.GetChanges())+len(r.GetObserved()) == 0 && r.GetIndex() == first.GetIndex()
	}
	for _, wait := range []string{"0s", "1ms"} {
		if r := p.changes(&isthmusv1.ListChangesRequest{Cursor: first.GetCursor(), Wait: wait}); !empty(r) {
			t.Errorf("after %s: %v", wait, r)
		}
	}
	close(stopping)
	if r := p.changes(&isthmusv1.ListChangesRequest{Cursor: first.GetCursor(), Wait: "10m"}); !empty(r) {
		t.Errorf("when the server stops: %v", r)
	}
	for _, r := range []*isthmusv1.ListChangesRequest{{Cursor: "x"}, {Cursor: first.GetCursor(), Wait: "x"}, {Wait: "-1s"}} {
		if _, err := p.ListChanges(t.Context(), r); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// A replica that has not seen what the reader was told of elsewhere says so, and does not take it back.
func TestACursorFromTheFuture(t *testing.T) {
	t.Parallel()
	p := newPlace(t).listening()
	c, err := feed.ParseCursor(p.changes(&isthmusv1.ListChangesRequest{}).GetCursor())
	if err != nil {
		t.Fatal(err)
	}
	c.Index += 100
	if _, err := p.ListChanges(t.Context(), &isthmusv1.ListChangesRequest{Cursor: c.String()}); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}
