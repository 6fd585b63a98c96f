package memory_test

import (
	"context"
	"math"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"isthmus/server/memory"
)

// size is of what is allocated, and then needed no more.
const size = 64 << 20

// released is how much of its memory the process has given back.
func released() uint64 { return value("/memory/classes/heap/released:bytes") }

// value is one of the runtime's.
func value(name string) uint64 {
	samples := []metrics.Sample{{Name: name}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}

// usual is how Go's collector is set when nobody says anything.
func usual() bool {
	return value("/gc/gogc:percent") == 100 && value("/gc/gomemlimit:bytes") == math.MaxInt64
}

// work allocates, and needs nothing of it.
func work() {
	left := make([][]byte, 0, size>>10)
	for range cap(left) {
		left = append(left, make([]byte, 1<<10))
	}
	runtime.KeepAlive(left)
}

// restored has the collector be as it was.
func restored(t *testing.T, k *memory.Keeper) {
	t.Helper()
	ended, end := context.WithCancel(t.Context())
	end()
	if err := k.Run(ended); err != nil {
		t.Error(err)
	}
	if !usual() {
		t.Error("the collector is not set as before")
	}
}

// What a burst of work left is given back when it is over, and once.
func TestWhatABurstLeftIsGivenBack(t *testing.T) { //nolint:paralleltest // it looks at all of the process
	k := memory.New()
	defer restored(t, k)
	work()
	if k.Look() {
		t.Error("it collects while there is work")
	}
	before := released()
	if !k.Look() {
		t.Fatal("it leaves everything at rest")
	}
	if given := int64(released() - before); given < size/2 {
		t.Errorf("%d bytes were given back of %d", given, size)
	}
	if k.Look() {
		t.Error("it collects at rest again and again")
	}
}

// While there is work, a small heap is not collected all the time; at rest no clock has it collected, and it does not grow without bound.
func TestTheCollectorFollowsTheWork(t *testing.T) { //nolint:paralleltest // it looks at all of the process
	k := memory.New()
	defer restored(t, k)
	runtime.GC()
	work()
	k.Look()
	if percent := value("/gc/gogc:percent"); percent <= 100 || percent > 10000 {
		t.Errorf("at work the heap may grow by %d %%", percent)
	}
	k.Look()
	limit := value("/gc/gomemlimit:bytes")
	if percent := value("/gc/gogc:percent"); int64(percent) >= 0 || limit > 4*size {
		t.Errorf("at rest the heap may grow by %d %%, all memory to %d bytes", int64(percent), limit)
	}
	before := value("/gc/cycles/total:gc-cycles")
	for range 8 {
		work()
	}
	if value("/gc/cycles/total:gc-cycles") == before {
		t.Error("when work begins nothing is collected before the next look")
	}
	k.Look()
	if percent := value("/gc/gogc:percent"); percent <= 100 || percent > 10000 {
		t.Errorf("at work again the heap may grow by %d %%", percent)
	}
}

// After a collection the collector is told what follows at once.
func TestEachCollectionIsHeardOf(t *testing.T) { //nolint:paralleltest // it looks at all of the process
	k := memory.New()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for value("/gc/gogc:percent") == 100 {
		select {
		case <-ctx.Done():
			t.Fatal("it was told nothing")
		case <-tick.C:
			work()
		}
	}
	end()
	if err := <-ended; err != nil || !usual() {
		t.Errorf("after the end: %v, as before %t", err, usual())
	}
}

// What an operator says of the heap is left alone.
func TestOperatorsSettings(t *testing.T) { //nolint:paralleltest // it looks at all of the process
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "100")
			k := memory.New()
			work()
			k.Look()
			if !usual() {
				t.Error("at work it is set otherwise")
			}
			if !k.Look() {
				t.Error("what a burst left stays")
			}
			if !usual() {
				t.Error("at rest it is set otherwise")
			}
		})
	}
}
