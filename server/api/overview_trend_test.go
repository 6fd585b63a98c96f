package api_test

import (
	"testing"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/api"
)

// What is counted of a fleet stays to be seen when it is well again, for as long as somebody asks for.
func TestTrend(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ring(4, 1, 2)
	p.Trends = api.NewTrends(p.Fleets)
	trend := func(window string) *isthmusv1.Trend {
		t.Helper()
		got, err := p.GetTrend(t.Context(), &isthmusv1.GetTrendRequest{Window: window})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := trend(""); len(got.GetPoints()) != 0 || !got.GetBeginTime().AsTime().Equal(p.clock.now()) || got.GetStepSeconds() != 10 {
		t.Errorf("before anything was counted: %v", got)
	}
	p.Trends.Look()
	p.clock.pass(time.Minute) // all are silent
	p.Trends.Look()
	p.clock.pass(2 * time.Hour)
	for i := range 4 {
		p.table.Heard(nameOf(i), nameOf(i)+"-a1")
	}
	p.Trends.Look()

	hour, day := trend("1h").GetPoints(), trend("24h").GetPoints()
	if len(hour) != 1 || hour[0].GetDatacenters().GetHealthy() != 4 || hour[0].GetConnections().GetUnknown() != 0 {
		t.Errorf("of the last hour: %v", hour)
	}
	if len(day) != 2 || day[0].GetDatacenters().GetUnknown() != 4 || day[0].GetConnections().GetUnknown() != 4 || day[1].GetDatacenters().GetHealthy() != 4 {
		t.Errorf("of the last day: %v", day)
	}
	for _, wrong := range []string{"25h", "-1s", "0s", "yesterday"} {
		if _, err := p.GetTrend(t.Context(), &isthmusv1.GetTrendRequest{Window: wrong}); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
