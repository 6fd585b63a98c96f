package controller_test

import (
	"testing"
	"time"

	"isthmus/server/controller"
)

// A removal that waits for somebody silent costs a tenth, and goes on at once when somebody who matters says something.
func TestVigils(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	v := controller.NewVigils()
	v.Looked("dc3", []string{"dc1"}, false, now)
	looks := func(seconds int) (n int) {
		for tick := 1; tick <= seconds; tick++ {
			now = now.Add(time.Second)
			for _, name := range v.Due(tick, now) {
				v.Looked(name, []string{"dc1"}, false, now)
				n++
			}
		}
		return n
	}
	if got := looks(120); got != 120 {
		t.Errorf("at first: looked at %d times in 120 s", got)
	}
	if got := looks(3600); got != 360 {
		t.Errorf("when nothing happens: looked at %d times in an hour", got)
	}
	v.Reported("dc2")
	if got := v.Due(1, now); len(got) != 0 {
		t.Errorf("somebody else reported: %v", got)
	}
	v.Reported("dc1")
	v.Reported("dc1")
	if got := looks(9); got != 1 {
		t.Errorf("a witness reported: looked at %d times", got)
	}
	v.Reported("dc3")
	if got := looks(9); got != 1 {
		t.Errorf("it reported itself: looked at %d times", got)
	}
	v.Looked("dc3", nil, true, now)
	if got := looks(60); got != 60 {
		t.Errorf("after it came to something: looked at %d times in a minute", got)
	}
}
