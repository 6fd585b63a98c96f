package gateway

import (
	"sync"
	"time"
)

const (
	// warnEvery is how often one thing is warned of. Consul's servers try again three times a second.
	warnEvery = time.Minute
	// maxWarned is how many things are told apart. Clients choose the names that have no route.
	maxWarned = 256
)

// throttle lets a warning through once a minute for each thing that it is about.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	warned  map[string]*warning
	unknown warning // of all that have no place in warned
}

type warning struct {
	at         time.Time
	suppressed int
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, warned: map[string]*warning{}}
}

// pass tells whether to warn now, and how many warnings were left out since the last one.
func (t *throttle) pass(about string) (suppressed int, ok bool) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	w, known := t.warned[about]
	if !known {
		w = t.place(about, now)
	}
	if !w.at.IsZero() && now.Sub(w.at) < warnEvery {
		w.suppressed++
		return 0, false
	}
	suppressed = w.suppressed
	w.at, w.suppressed = now, 0
	return suppressed, true
}

// place makes room for a new thing, if there are things that have been quiet.
func (t *throttle) place(about string, now time.Time) *warning {
	if len(t.warned) >= maxWarned {
		for key, w := range t.warned {
			if now.Sub(w.at) >= warnEvery {
				delete(t.warned, key)
			}
		}
	}
	if len(t.warned) >= maxWarned {
		return &t.unknown
	}
	w := &warning{}
	t.warned[about] = w
	return w
}
