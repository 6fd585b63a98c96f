package main_test

import (
	"strings"
	"testing"
)

func TestSimulate(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	got := runNow(t, environment, "", "simulate", "--datacenters", "12", "--regions", "3", "--federation-size", "2", "--services", "2",
		"--stale", "1", "--failing-consul", "1", "--exit", "--log-level", "warn")
	if got.code != 0 || !strings.Contains(got.out, "12 datacenters and 36 peerings are healthy") || !strings.Contains(got.out, "Faults: dc-") {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	for _, word := range []string{"datacenters declared: 12", "agents enrolled: 12", "all healthy, as the server sees it: yes"} {
		if !strings.Contains(got.err, word) {
			t.Errorf("it does not tell %q:\n%s", word, got.err)
		}
	}
	refused(t, environment, "", []string{"peerings", "not between 0 and 1"}, "simulate", "--datacenters", "2", "--peerings", "9", "--regions", "1")
	refused(t, environment, "", []string{"has datacenters already", "dc-0001"}, "simulate", "--datacenters", "2")
}
