package snapshot_test

import (
	"fmt"
	"testing"
	"time"

	"isthmus/store"
)

// The first change is told of at once, and nothing during the rest after it.
func TestGatheringRests(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	s := openSnapshot(t, st)
	g := s.Follow().Gathering(time.Hour)
	put(t, st, datacenter("dc1"))
	<-g.Changed()
	batch, err := g.Next(t.Context())
	if err != nil || len(batch.Changes) != 1 || g.View() != batch.View {
		t.Fatalf("%+v, %v", batch, err)
	}
	put(t, st, datacenter("dc2"))
	if g.Changed() != nil {
		t.Error("it goes on during its rest")
	}
}

// Whatever comes during rests is told of after them, in its order.
func TestGatheringMissesNothing(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	s := openSnapshot(t, st)
	g := s.Follow().Gathering(time.Millisecond)
	const many = 50
	written := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < many && err == nil; i++ {
			_, err = st.Write(t.Context(), store.Write{Puts: []store.Put{{Object: datacenter(fmt.Sprintf("dc%03d", i)), Part: store.PartAll}}})
		}
		written <- err
	}()
	failed := time.After(deadline)
	for next := 0; next < many; {
		select {
		case <-g.Rested():
		case <-g.Changed():
			batch, err := g.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range batch.Changes {
				if want := fmt.Sprintf("dc%03d", next); c.Key.Name != want || c.Before != nil || c.After.GetName() != want {
					t.Fatalf("told of %v, want %s", c, want)
				}
				next++
			}
		case <-failed:
			t.Fatalf("told of %d changes of %d", next, many)
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// Who skips is told of what comes after.
func TestFollowerSkips(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	s := openSnapshot(t, st)
	f := s.Follow()
	put(t, st, datacenter("dc1"))
	put(t, st, datacenter("dc2"))
	f.Skip()
	put(t, st, datacenter("dc3"))
	batch, err := f.Next(t.Context())
	if err != nil || len(batch.Changes) != 1 || batch.Changes[0].Key.Name != "dc3" {
		t.Fatalf("%+v, %v", batch, err)
	}
}
