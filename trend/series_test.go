package trend_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/trend"
)

var begin = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestOf(t *testing.T) {
	t.Parallel()
	fleet := &isthmusv1.Fleet{Time: timestamppb.New(begin)}
	for _, word := range []string{"healthy", "healthy", "pending", "removing", "failing", "unknown"} {
		fleet.Datacenters = append(fleet.Datacenters, &isthmusv1.FleetDatacenter{Health: word})
	}
	for _, word := range []string{"healthy", "deleting", "stale", "one-sided", "failing", "unknown", "unheard of"} {
		fleet.Links = append(fleet.Links, &isthmusv1.FleetLink{Verdict: word})
	}
	want := trend.Sample{
		At:          begin,
		Datacenters: trend.Counts{Healthy: 2, Pending: 2, Failing: 1, Unknown: 1},
		Connections: trend.Counts{Healthy: 1, Pending: 1, Degraded: 2, Failing: 1, Unknown: 2},
	}
	if got := trend.Of(fleet); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// However long and however often a fleet is looked at: there are no more samples than a curve shows, in the order of their times, none older
// than was asked for, and what was worst is still there.
func TestSeries(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, now := trend.New(begin), begin
		var worst, last trend.Sample
		for range rapid.IntRange(1, 1500).Draw(t, "samples") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "rest")))
			next := trend.Sample{At: now, Datacenters: trend.Counts{Healthy: 10, Failing: rapid.Int32Range(0, 100).Draw(t, "failing")}}
			if next.At.After(last.At) {
				s.Add(next)
				last = next
				if next.Datacenters.Failing >= worst.Datacenters.Failing || now.Sub(worst.At) > 23*time.Hour {
					worst = next
				}
			}
		}
		for _, window := range []time.Duration{time.Minute, time.Hour, trend.Day} {
			samples, step := s.Window(window, now)
			if len(samples) > 360 {
				t.Fatalf("%d samples of %v", len(samples), window)
			}
			found := false
			for i, one := range samples {
				if one.At.Before(now.Add(-window)) || i > 0 && !one.At.Truncate(step).After(samples[i-1].At.Truncate(step)) {
					t.Fatalf("%v: sample %d at %v after %v", window, i, one.At, samples[max(i-1, 0)].At)
				}
				found = found || one.Datacenters.Failing >= worst.Datacenters.Failing
			}
			if now.Sub(worst.At) < window-step && !found {
				t.Fatalf("%v: %+v is not there any more", window, worst)
			}
		}
	})
}

func TestWindow(t *testing.T) {
	t.Parallel()
	s := trend.New(begin)
	for i := range 5 {
		s.Add(trend.Sample{At: begin.Add(time.Duration(i) * time.Second), Datacenters: trend.Counts{Failing: int32(i % 3)}})
	}
	s.Add(trend.Sample{At: begin, Datacenters: trend.Counts{Failing: 9}}) // the clock was set back
	s.Add(trend.Sample{At: begin.Add(trend.Step)})
	for window, want := range map[time.Duration][]int32{time.Hour: {2, 0}, trend.Step / 2: {0}, trend.Day: {2}} {
		samples, _ := s.Window(window, begin.Add(trend.Step))
		var got []int32
		for _, one := range samples {
			got = append(got, one.Datacenters.Failing)
		}
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("%v: %v, want %v", window, got, want)
		}
	}
	if samples, _ := trend.New(begin).Window(time.Hour, begin); len(samples) != 0 || !s.Begin().Equal(begin) {
		t.Errorf("of nothing: %v", samples)
	}
}
