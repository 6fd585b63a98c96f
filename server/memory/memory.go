package memory

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lookEvery is how often is looked whether the process rests: that it allocates less than restful bytes meanwhile, and less than a
	// restfulShare-th of what it holds.
	lookEvery    = 2 * time.Second
	restful      = 1 << 20
	restfulShare = 64
	// Memory is given back when leastWork was allocated since the last time, and a share-th of what is held: no more can have become free. What is
	// allocated bit by bit at rest is collected when it is restRoom, and such a part.
	leastWork, restRoom = 16 << 20, 4 << 20
	share               = 2
	// room is what may be allocated between two collections while there is work, at least. Marking what a small server holds takes longer than
	// to allocate as much again.
	room = 96 << 20
	// usual is Go's own setting: a heap may grow by as much as is held. none turns it off.
	usual, none = 100, -1
	// step: each setting stops all that works for a moment. A part of it more or less is none.
	step = 25
	// unlimited is Go's memory limit when there is none.
	unlimited = math.MaxInt64
)

// What is read of the runtime.
const (
	allocated = iota // since the process began
	held             // after the last collection
	stacks           // and
	globals          // what is gone through beside it
	mapped           // all memory
	released         // of that given back to the system,
	free             // ready to be used again,
	objects          // and used, by what is held and what no collection has found yet
	collected        // how many collections there were
)

// Keeper watches the heap. Make one with New; it is for one goroutine.
type Keeper struct {
	samples []metrics.Sample
	// last is how much was allocated when it was looked, given when memory was given back.
	last, given uint64
	// worked: the process has not rested all the time since then.
	worked bool
	// cycle is the collection after which the collector was told percent and limit, rested whether that was for rest.
	cycle   uint64
	rested  bool
	percent int
	limit   int64
	// leave: an operator has said how large the heap may become.
	leave bool
	// ended has a value when a collection has ended.
	ended chan struct{}
}

// New makes a Keeper that begins to watch.
func New() *Keeper {
	_, percent := os.LookupEnv("GOGC")
	_, limit := os.LookupEnv("GOMEMLIMIT")
	return &Keeper{
		samples: []metrics.Sample{
			allocated: {Name: "/gc/heap/allocs:bytes"}, held: {Name: "/gc/heap/live:bytes"},
			stacks: {Name: "/gc/scan/stack:bytes"}, globals: {Name: "/gc/scan/globals:bytes"},
			mapped: {Name: "/memory/classes/total:bytes"}, released: {Name: "/memory/classes/heap/released:bytes"},
			free: {Name: "/memory/classes/heap/free:bytes"}, objects: {Name: "/memory/classes/heap/objects:bytes"},
			collected: {Name: "/gc/cycles/total:gc-cycles"},
		},
		percent: usual, limit: unlimited, leave: percent || limit, ended: make(chan struct{}, 1),
	}
}

// Run looks until ctx ends; then Go's collector is as it was.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	if !k.leave {
		defer func() { k.tell(usual, unlimited) }()
		hear(ctx, k.ended)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.ended:
			k.adjust()
		case <-tick.C:
			k.Look()
		}
	}
}

// hear sends on ended after each collection, until ctx ends: one clears what nobody holds.
func hear(ctx context.Context, ended chan<- struct{}) {
	type nobody struct{ _ *nobody }
	runtime.AddCleanup(&nobody{}, func(ended chan<- struct{}) {
		select {
		case ended <- struct{}{}:
		default:
		}
		if ctx.Err() == nil {
			hear(ctx, ended)
		}
	}, ended)
}

// Look gives back what can be, when next to nothing was done since the last look, and enough before; true when it did.
func (k *Keeper) Look() bool {
	metrics.Read(k.samples)
	now, heap := k.value(allocated), k.value(held)
	rests := !k.works()
	k.last, k.worked = now, k.worked || !rests
	gives := rests && k.worked && now-k.given >= max(leastWork, heap/share)
	if gives {
		debug.FreeOSMemory()
		k.given, k.worked = now, false
		metrics.Read(k.samples)
	}
	k.steer(rests)
	return gives
}

// adjust tells the collector what follows out of a collection that has just ended: it need not wait for the next look. That there is work is
// seen as soon as enough was allocated, that there is rest only by a look.
func (k *Keeper) adjust() {
	metrics.Read(k.samples)
	k.steer(k.rested && !k.works())
}

// works tells whether more was allocated since the last look than is at rest.
func (k *Keeper) works() bool {
	return k.value(allocated)-k.last >= max(restful, k.value(held)/restfulShare)
}

func (k *Keeper) value(of int) uint64 { return k.samples[of].Value.Uint64() }

// steer tells the collector how far the heap may grow, after each collection and when work or rest begins. When that is less than it has grown
// already, it is collected.
func (k *Keeper) steer(rests bool) {
	if k.leave || k.cycle == k.value(collected) && k.rested == rests {
		return
	}
	k.cycle, k.rested = k.value(collected), rests
	heap := k.value(held)
	if !rests {
		percent := 100 * room / (heap + k.value(stacks) + k.value(globals) + 1)
		k.tell(max(usual, int(percent-percent%step)), unlimited)
		return
	}
	more := max(restRoom, heap/share)
	beside := k.value(mapped) - k.value(released) - k.value(free) - k.value(objects)
	k.tell(none, int64(beside+heap+more))
}

// tell sets how much the heap may grow in percent, or to a limit of all memory: then Go does not collect by the clock. What allows more comes
// first, for a collection between the two would be for nothing.
func (k *Keeper) tell(percent int, limit int64) {
	if percent == k.percent && limit == k.limit {
		return
	}
	k.percent, k.limit = percent, limit
	if percent == none {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
		return
	}
	debug.SetGCPercent(percent)
	debug.SetMemoryLimit(limit)
}
