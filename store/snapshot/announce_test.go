package snapshot_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"isthmus/resource"
	"isthmus/store"
)

// counted is a store that counts how often its feed is read.
type counted struct {
	*replica
	mu    sync.Mutex
	reads int
}

func (c *counted) Changes(ctx context.Context, since store.Revision, limit int) (store.Feed, error) {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.replica.Changes(ctx, since, limit)
}

// What this process writes is in its snapshot when the write is acknowledged, and nobody reads the feed for it.
func TestOwnWritesAreThere(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	c := &counted{replica: &replica{Store: st}}
	s := openSnapshot(t, c)
	st.Announce(c.told)
	for i := range 20 {
		name := fmt.Sprintf("dc%d", i)
		r := put(t, c, datacenter(name))
		v, err := s.Reach(t.Context(), r)
		if err != nil || v.Revision() != r {
			t.Fatalf("reached %+v, want %+v: %v", v.Revision(), r, err)
		}
		if _, ok := v.Get(resource.KindDatacenter, name); !ok {
			t.Fatalf("%s was written and is not there", name)
		}
	}
	if c.reads != 0 {
		t.Errorf("the feed was read %d times", c.reads)
	}
	// Somebody else's write comes between: from there on, the feed has it all.
	st.Announce(nil)
	put(t, st, datacenter("foreign"))
	st.Announce(c.told)
	own := put(t, c, datacenter("own"))
	v, err := s.Reach(t.Context(), own)
	if err != nil || v.Revision() != own || c.reads != 1 {
		t.Fatalf("reached %+v with %d reads, want %+v: %v", v.Revision(), c.reads, own, err)
	}
	for _, name := range []string{"foreign", "own"} {
		if _, ok := v.Get(resource.KindDatacenter, name); !ok {
			t.Errorf("%s is not there", name)
		}
	}
}

// Own writes, writes of others, readings of the feed and readers come at once: a view is never older than what its reader wrote, nor than one
// that he had before, and in the end it is the store.
func TestAnnouncedAmongOthers(t *testing.T) {
	t.Parallel()
	const rounds = 60
	st := openStore(t)
	own := &replica{Store: st}
	s := openSnapshot(t, own)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	var background, writers sync.WaitGroup
	background.Go(func() { _ = s.Run(running) })
	background.Go(func() {
		last := s.View().Revision().Index
		for running.Err() == nil {
			at := s.View()
			if at.Revision().Index < last {
				t.Errorf("from %d to %d", last, at.Revision().Index)
				return
			}
			last = at.Revision().Index
			select {
			case <-at.Watch(resource.KindDatacenter):
			case <-time.After(time.Millisecond):
			}
		}
	})
	var turn sync.Mutex // one writes at a time, so that it is known who is told
	for w := range 4 {
		told := own.told
		if w%2 == 1 {
			told = nil
		}
		writers.Go(func() {
			for i := range rounds {
				name := fmt.Sprintf("dc%d-%d", w, i%7)
				turn.Lock()
				st.Announce(told)
				r, err := st.Write(ctx, store.Write{Puts: []store.Put{{Object: datacenter(name), Part: store.PartAll}}})
				turn.Unlock()
				if err != nil {
					t.Errorf("Write: %v", err)
					return
				}
				v, err := s.Reach(ctx, r)
				if err != nil || v.Revision().Index < r.Index {
					t.Errorf("reached %+v of %+v: %v", v.Revision(), r, err)
					return
				}
				if dc, ok := v.Get(resource.KindDatacenter, name); !ok || dc.GetIndex() < r.Index {
					t.Errorf("%s is %v at %d", name, dc, v.Revision().Index)
				}
			}
		})
	}
	writers.Wait()
	stop()
	background.Wait()
	v := catchup(t, s)
	stored := map[string]resource.Object{}
	revision, err := st.Load(t.Context(), func(o resource.Object) error {
		stored[o.GetName()] = o
		return nil
	})
	if err != nil || revision != v.Revision() {
		t.Fatalf("the store is at %+v, the view at %+v: %v", revision, v.Revision(), err)
	}
	n := 0
	for o := range v.List(resource.KindDatacenter) {
		n++
		equal(t, o.GetName(), []resource.Object{o}, []resource.Object{stored[o.GetName()]})
	}
	if n != len(stored) {
		t.Errorf("%d of %d", n, len(stored))
	}
}
