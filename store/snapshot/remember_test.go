package snapshot_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"isthmus/store/snapshot"
)

// What a view remembers is found once, whoever asks; another view finds it anew.
func TestAViewRemembers(t *testing.T) {
	t.Parallel()
	v := &snapshot.View{}
	var finds atomic.Int32
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if got := v.Remember("one", func() any { return finds.Add(1) }); got != int32(1) {
				t.Errorf("remembers %v", got)
			}
		})
	}
	wait.Wait()
	if got := v.Remember("other", func() any { return finds.Add(1) }); got != int32(2) {
		t.Errorf("under another key: %v", got)
	}
	if got := new(snapshot.View).Remember("one", func() any { return finds.Add(1) }); got != int32(3) {
		t.Errorf("another view: %v", got)
	}
}
