package snapshot_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// spoken is a store that says that it has committed what it is told: so nothing is measured but the snapshot.
type spoken struct {
	store.Store
	told  func(store.Commit)
	index uint64
}

func (s *spoken) Announce(told func(store.Commit)) { s.told = told }

func (s *spoken) Load(_ context.Context, visit func(resource.Object) error) (store.Revision, error) {
	for i := range waiting {
		if err := visit(datacenter(fmt.Sprintf("dc%05d", i))); err != nil {
			return store.Revision{}, err
		}
	}
	s.index = 1
	return s.at(), nil
}

func (s *spoken) at() store.Revision { return store.Revision{Epoch: "spoken", Index: s.index} }

// commit announces a change of one datacenter.
func (s *spoken) commit(name string) {
	before := s.at()
	s.index++
	o := datacenter(name)
	resource.SetMetadata(o, resource.Metadata{UID: name, Generation: 1, Index: s.index})
	s.told(store.Commit{Before: before, After: s.at(), Changes: []store.Change{{
		Index: s.index, Key: store.Key{Kind: resource.KindDatacenter, Name: name}, Operation: store.OperationPut, Part: store.PartAll, Object: o,
	}}})
}

// waiting is how many datacenters there are, and how many wait for each one's change at most.
const waiting = 10_000

// BenchmarkWake is a change of one datacenter, while others are waited for: none, or 10,000 by name and by what touches them.
func BenchmarkWake(b *testing.B) {
	for _, n := range []int{0, waiting} {
		b.Run(fmt.Sprintf("watchers=%d", 2*n), func(b *testing.B) {
			st := &spoken{}
			s, err := snapshot.Open(b.Context(), st, hclog.NewNullLogger())
			if err != nil {
				b.Fatal(err)
			}
			var woken atomic.Int64
			var watching sync.WaitGroup
			over := make(chan struct{})
			for i := range n {
				name := fmt.Sprintf("dc%05d", i)
				v := s.View()
				for _, changed := range []<-chan struct{}{v.WatchName(resource.KindDatacenter, name), v.WatchDatacenter(name)} {
					watching.Go(func() {
						select {
						case <-changed:
							woken.Add(1)
						case <-over:
						}
					})
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				st.commit("dc00000")
			}
			b.StopTimer()
			if got := woken.Load(); got > 2 {
				b.Errorf("%d were woken, of whom 2 wait for what changed", got)
			}
			close(over)
			watching.Wait()
		})
	}
}
