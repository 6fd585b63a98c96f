package api_test

import (
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/api"
)

// A page of the audit log ends where it is full; its first entry is in it in any case, so that readers get on.
func TestRoomOfPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ entries, size, want int }{
		"of small ones":  {1000, 100, 1000},
		"of large ones":  {1000, 1 << 20, 3}, // each is a little more than its message
		"one, too large": {1000, 9 << 20, 1},
		"none":           {0, 0, 0},
	} {
		entry := &isthmusv1.Event{Spec: &isthmusv1.EventSpec{Message: strings.Repeat("x", test.size)}}
		entries := make([]*isthmusv1.Event, test.entries)
		for i := range entries {
			entries[i] = entry
		}
		if n := api.Fitting(entries); n != test.want {
			t.Errorf("%s: %d entries; want %d", name, n, test.want)
		}
	}
}
