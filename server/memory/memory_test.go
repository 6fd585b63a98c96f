package memory_test

import (
	"runtime"
	"runtime/metrics"
	"testing"

	"isthmus/server/memory"
)

// size is of what is allocated, and then needed no more.
const size = 64 << 20

// released is how much of its memory the process has given back.
func released() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}

// What a burst of work left is given back when it is over, and once.
func TestWhatABurstLeftIsGivenBack(t *testing.T) { //nolint:paralleltest // it looks at all of the process
	k := memory.New()
	left := make([][]byte, 0, size>>10)
	for range cap(left) {
		left = append(left, make([]byte, 1<<10))
	}
	if k.Look() {
		t.Error("it collects while there is work")
	}
	runtime.KeepAlive(left)
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
