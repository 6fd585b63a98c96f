package removal_test

import (
	"strings"
	"testing"

	"isthmus/removal"
	"isthmus/resource"
)

// What nobody has looked at is not clean.
func TestUntoldIsNotClean(t *testing.T) {
	t.Parallel()
	for what, forget := range map[string]func(*removal.Seen){
		"config entries": func(s *removal.Seen) { s.Entries = nil },
		"peerings":       func(s *removal.Seen) { s.Peerings = nil },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, fleetOf(t, busy))
			s.begin(false)
			step := tried(s, func(dc1 *removal.Seen) {
				if _, there := s.Get(resource.KindPeering, "dc1-dc3"); !there {
					forget(dc1)
				}
			})
			if step.GetId() != resource.StepScan || !strings.Contains(step.GetMessage(), "dc1: its agent has not told of its "+what+" yet") {
				t.Fatalf("%v", step)
			}
		})
	}
}
