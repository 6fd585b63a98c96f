package store_test

import (
	"fmt"
	"math"
	"testing"

	"isthmus/store"
)

// Names of events sort as the log does, and tell their number.
func TestEventNames(t *testing.T) {
	t.Parallel()
	for _, number := range []uint64{1, 9, 10, 999_999_999_999, 1_000_000_000_000, store.MaxEventNumber} {
		name := store.EventName(number)
		if want := fmt.Sprintf("%012d", number); name != want {
			t.Errorf("%d is called %s, not %s", number, name, want)
		}
		if got, err := store.EventNumber(name); err != nil || got != number {
			t.Errorf("%s is number %d: %v", name, got, err)
		}
	}
	for _, name := range []string{"", "0", "000000000000", "1", "0000000000001", "-00000000001", store.EventName(math.MaxUint64)} {
		if number, err := store.EventNumber(name); err == nil {
			t.Errorf("%q is number %d", name, number)
		}
	}
}
