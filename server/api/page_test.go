package api_test

import (
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/api"
)

// A page ends where it is full, by number or by size; its first entry is in it in any case, so that readers get on.
func TestRoomOfPages(t *testing.T) {
	t.Parallel()
	of := func(size int) *isthmusv1.Datacenter { return &isthmusv1.Datacenter{Name: strings.Repeat("x", size)} }
	for name, test := range map[string]struct{ entries, size, want int }{
		"by number":      {3, 10, 3},
		"by size":        {1000, 1 << 20, 7}, // each is a little more than its name
		"one, too large": {1000, 9 << 20, 1},
		"one at a time":  {1, 10, 1},
	} {
		n := 0
		for left := api.NewRoom(test.entries); left(of(test.size)); {
			n++
		}
		if n != test.want {
			t.Errorf("%s: %d entries; want %d", name, n, test.want)
		}
	}
}
