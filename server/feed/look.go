package feed

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often verdicts that change with the time alone are looked for.
const lookEvery = time.Second

// looks are those at the verdicts of the whole fleet. Most that is new comes with a change of the store or a report; but an agent that says nothing
// any more, or one that has not seen its Consul for long enough, is noticed by looking.
type looks struct {
	digests func() map[string]uint64
	// poke asks for a look now, when nobody has listened for a while.
	poke chan struct{}

	mu        sync.Mutex
	listeners int

	// looking is held during a look, and guards last: what was seen then; nil: nothing was looked at yet.
	looking sync.Mutex
	last    map[string]uint64
}

// listen counts one more who listens, until stop is called. The verdicts were looked at when it returns, once at least: what was different before
// nobody was told.
func (l *looks) listen() (stop func()) {
	l.count(1)
	l.looking.Lock()
	if l.last == nil {
		l.last = l.digests()
	}
	l.looking.Unlock()
	select {
	case l.poke <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { l.count(-1) })
}

func (l *looks) count(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners += n
	return l.listeners
}

// news looks, and gives the datacenters that are not as they were, however long ago the last look was.
func (l *looks) news() []string {
	l.looking.Lock()
	defer l.looking.Unlock()
	before := l.last
	l.last = l.digests()
	if before == nil {
		return nil
	}
	changed := map[string]bool{}
	for name, digest := range l.last {
		if was, known := before[name]; !known || was != digest {
			changed[name] = true
		}
	}
	for name := range before {
		if _, there := l.last[name]; !there {
			changed[name] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// look tells of what it sees until ctx ends: each second while somebody listens, and at once when somebody does again.
func (f *Feed) look(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	idle := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.looks.poke:
			if !idle {
				continue
			}
			ticker.Reset(lookEvery)
		case <-ticker.C:
			if f.looks.count(0) == 0 {
				idle = true
				ticker.Stop()
				continue
			}
		}
		idle = false
		f.observed(f.looks.news())
	}
}
