package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lookEvery is how often is looked whether the process rests: that it allocates less than restful bytes meanwhile.
	lookEvery = 2 * time.Second
	restful   = 1 << 20
	// A collection is worth its time when leastWork was allocated since the last one here, and a share-th of what is held: no more can have
	// become free.
	leastWork = 16 << 20
	share     = 2
)

// What is read of the runtime.
const (
	allocated = iota // since the process began
	held             // after the last collection
)

// Keeper watches the heap. Make one with New; it is for one goroutine.
type Keeper struct {
	samples []metrics.Sample
	// last is how much was allocated when it was looked, given when memory was given back.
	last, given uint64
	// worked: the process has not rested all the time since then. What little is done at rest is left to Go's own collections.
	worked bool
}

// New makes a Keeper that begins to watch.
func New() *Keeper {
	return &Keeper{samples: []metrics.Sample{allocated: {Name: "/gc/heap/allocs:bytes"}, held: {Name: "/gc/heap/live:bytes"}}}
}

// Run looks until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			k.Look()
		}
	}
}

// Look gives back what can be, when next to nothing was done since the last look, and enough before; true when it did.
func (k *Keeper) Look() bool {
	metrics.Read(k.samples)
	now, heap := k.samples[allocated].Value.Uint64(), k.samples[held].Value.Uint64()
	rests := now-k.last < restful
	k.last, k.worked = now, k.worked || !rests
	if !rests || !k.worked || now-k.given < max(leastWork, heap/share) {
		return false
	}
	debug.FreeOSMemory()
	k.given, k.worked = now, false
	return true
}
