package e2e_test

import (
	"net/http"
	"path/filepath"
	"testing"
)

// Three servers of one secondary are restarted one after the other, and never two at once.
func TestThreeServersJoinOneAtATime(t *testing.T) {
	f := NewWorld(t, 4, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{CA: dc1, Servers: 3, Guard: true})
	f.Declare("dc1", "dc2")
	dc2.Do(http.MethodPut, "/v1/kv/kept", "by dc2", nil)
	var before []int
	for _, s := range dc2.Servers {
		before = append(before, s.PID())
	}
	f.Accept("global", "dc2", "")
	f.Joined("global", dc1, dc2)
	dc1.Alive("s1.dc1", "s1.dc2", "s2.dc2", "s3.dc2")
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	for i, s := range dc2.Servers {
		if s.PID() == before[i] {
			t.Errorf("server %d was not restarted", i+1)
		}
	}
	dc2.Do(http.MethodGet, "/v1/kv/kept", nil, nil)
	if broken, err := filepath.Glob(f.path("dc2-two-at-once")); err != nil || len(broken) > 0 {
		t.Errorf("two servers were down at once (%v)", err)
	}
}
