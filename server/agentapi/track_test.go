package agentapi_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/server/agentapi"
)

// A plan that becomes another is told at once; one that does so again and again after pauses, and at once again after a calm.
func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var track agentapi.Track
	for i, ms := range []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 20, 40, 80, 160, 160, 160} {
		want := time.Duration(ms) * time.Millisecond
		now = now.Add(10 * time.Millisecond)
		if track.Step(now); track.Pace() != want {
			t.Errorf("after %d steps the pause is %s, want %s", i+1, track.Pace(), want)
		}
	}
	now = now.Add(400 * time.Millisecond) // no calm yet: it is told 160 ms late
	if track.Step(now); track.Pace() != 160*time.Millisecond {
		t.Errorf("before the calm the pause is %s", track.Pace())
	}
	now = now.Add(411 * time.Millisecond)
	if track.Step(now); track.Pace() != 0 {
		t.Errorf("after a calm the pause is %s", track.Pace())
	}
}

// Whatever the steps, a pause is bounded, there is none without many steps, and none after a calm.
func TestPaceIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var track agentapi.Track
		now, row := time.Unix(1_000_000, 0), 0
		for _, ms := range rapid.SliceOf(rapid.IntRange(0, 600)).Draw(t, "milliseconds between steps") {
			gap := time.Duration(ms) * time.Millisecond
			if calm := 250*time.Millisecond + track.Pace(); gap > calm {
				row = 0
			}
			row++
			now = now.Add(gap)
			track.Step(now)
			switch pace := track.Pace(); {
			case row <= 10 && pace != 0:
				t.Fatalf("a pause of %s after %d steps in a row", pace, row)
			case row > 10 && (pace < 10*time.Millisecond || pace > 160*time.Millisecond):
				t.Fatalf("a pause of %s after %d steps in a row", pace, row)
			}
		}
	})
}

// Of former states the newest are known, as many as fit.
func TestPastIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var track agentapi.Track
		var all []int
		for i, changes := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 5000)), 1, 80).Draw(t, "changes") {
			all = append(all, changes)
			states, known := track.Past(fmt.Sprint(i), changes)
			wantStates, wantKnown := 0, 0
			for j := len(all) - 1; j >= 0 && wantStates < 32 && wantKnown+all[j] <= 4096; j-- {
				wantStates, wantKnown = wantStates+1, wantKnown+all[j]
			}
			if states != wantStates || known != wantKnown {
				t.Fatalf("%d states with %d changes are known, want %d with %d", states, known, wantStates, wantKnown)
			}
		}
	})
}
