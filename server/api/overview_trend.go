package api

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/trend"
)

// defaultTrend is how far back a trend goes when nobody says.
const defaultTrend = time.Hour

// trendRest is how many times as long as a look at the fleet took the next one is away at least: a hundredth of one processor is for it.
const trendRest = 100

// A fleet that is counted may be trendAge old, as long as nothing was stored or reported: what the time alone changes is reported, or written down.
// Where nothing has been for long, the time changes little as well: then it may be as old as the trendCalm-th part of that, up to trendOld.
const (
	trendAge  = resource.Silence
	trendOld  = 20 * trendAge
	trendCalm = 4
)

// Trends counts the fleet again and again, for GetTrend.
type Trends struct {
	fleets *Fleets
	mu     sync.Mutex
	series *trend.Series
}

// NewTrends makes one that begins now.
func NewTrends(fleets *Fleets) *Trends {
	return &Trends{fleets: fleets, series: trend.New(fleets.Now())}
}

// Run counts until ctx ends.
func (t *Trends) Run(ctx context.Context) error {
	timer := time.NewTimer(trend.Step)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := t.fleets.Now()
		t.Look()
		timer.Reset(max(trend.Step, trendRest*t.fleets.Now().Sub(began)))
	}
}

// Look counts the fleet as it is now.
func (t *Trends) Look() {
	fleet, _ := t.fleets.within(func(calm time.Duration) time.Duration { return min(max(trendAge, calm/trendCalm), trendOld) })
	next := trend.Of(fleet)
	next.At = t.fleets.Now() // nothing else has come since
	t.mu.Lock()
	defer t.mu.Unlock()
	t.series.Add(next)
}

// window is what there is of the last time.
func (t *Trends) window(window time.Duration) *isthmusv1.Trend {
	now := t.fleets.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	samples, step := t.series.Window(window, now)
	out := &isthmusv1.Trend{
		Points: make([]*isthmusv1.TrendPoint, len(samples)), StepSeconds: int32(step.Seconds()), BeginTime: timestamppb.New(t.series.Begin()), Time: timestamppb.New(now),
	}
	for i, s := range samples {
		out.Points[i] = &isthmusv1.TrendPoint{Time: timestamppb.New(s.At), Datacenters: counts(s.Datacenters), Connections: counts(s.Connections)}
	}
	return out
}

func counts(c trend.Counts) *isthmusv1.TrendCounts {
	return &isthmusv1.TrendCounts{Healthy: c.Healthy, Pending: c.Pending, Degraded: c.Degraded, Failing: c.Failing, Unknown: c.Unknown}
}

// GetTrend implements the RPC. It never blocks.
func (s *OverviewService) GetTrend(_ context.Context, r *isthmusv1.GetTrendRequest) (*isthmusv1.Trend, error) {
	window := defaultTrend
	if text := r.GetWindow(); text != "" {
		var err error
		if window, err = time.ParseDuration(text); err != nil || window <= 0 || window > trend.Day {
			return nil, fault.Violated(fault.Violation{Field: "window", Reason: resource.ReasonInvalid, Message: "is no time between 0s and 24h; expected one like 1h"})
		}
	}
	return s.Trends.window(window), nil
}
