package agent_test

import (
	"testing"
	"time"

	"isthmus/agent"
)

// What is to be looked at soon is not put off by what may rest.
func TestSoonest(t *testing.T) {
	t.Parallel()
	var none time.Time
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct{ a, b, want time.Time }{
		"none":        {none, none, none},
		"the first":   {now, none, now},
		"the second":  {none, now, now},
		"one is soon": {now, now.Add(time.Second), now},
		"other order": {now.Add(time.Second), now, now},
	} {
		if got := agent.Soonest(c.a, c.b); !got.Equal(c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
