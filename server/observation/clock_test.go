package observation_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/observation"
)

// What a clock tells is how far it is off, and not how long a report was on its way.
func TestClocks(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	for name, c := range map[string]struct{ ahead, told []time.Duration }{
		"right":                        {[]time.Duration{0, -3 * ms, -400 * ms, -900 * ms}, []time.Duration{0, 0, 0, 0}},
		"ahead":                        {[]time.Duration{5 * s, 4900 * ms}, []time.Duration{5 * s, 5 * s}},
		"behind, seen twice":           {[]time.Duration{-5 * s, -5 * s}, []time.Duration{0, -5 * s}},
		"slow once":                    {[]time.Duration{-10 * ms, -9 * s, -20 * ms}, []time.Duration{0, 0, 0}},
		"slow at first":                {[]time.Duration{-9 * s, -20 * ms, -9 * s}, []time.Duration{0, 0, 0}},
		"slow and ahead":               {[]time.Duration{5 * s, -3 * s, 4 * s}, []time.Duration{5 * s, 5 * s, 5 * s}},
		"further behind than any way":  {[]time.Duration{-time.Hour}, []time.Duration{-time.Hour}},
		"set right":                    {[]time.Duration{time.Hour, -5 * ms}, []time.Duration{time.Hour, 0}},
		"set right by a little":        {[]time.Duration{5 * s, 0, 0, 0}, []time.Duration{5 * s, 5 * s, 5 * s, 0}},
		"drifts":                       {[]time.Duration{900 * ms, 1200 * ms, 1600 * ms, 2100 * ms, 2300 * ms}, []time.Duration{0, s, s, 2 * s, 2 * s}},
		"about two seconds, up and on": {[]time.Duration{2400 * ms, 2600 * ms, 2400 * ms, 2900 * ms}, []time.Duration{2 * s, 2 * s, 2 * s, 2 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			st := &counting{Observatory: openStore(t)}
			table := openAt(t, st, false, func() time.Time { return now })
			writes, last := 0, time.Duration(0)
			for i, ahead := range c.ahead {
				report(t, table, "dc1", "a1", &isthmusv1.ReportRequest{Clock: timestamppb.New(now.Add(ahead))})
				seen, _ := table.Get("dc1", observation.ClockPart("a1"))
				if got := seen.Skew.AsDuration(); got != c.told[i] {
					t.Errorf("look %d: %v", i, got)
				}
				if c.told[i] != last {
					writes++
					last = c.told[i]
				}
			}
			if st.bodies() != writes {
				t.Errorf("%d writes for %d changes", st.bodies(), writes)
			}
			again, err := observation.Open(t.Context(), st, false, time.Now, nil)
			if err != nil {
				t.Fatal(err)
			}
			if seen, _ := again.Get("dc1", observation.ClockPart("a1")); seen.Skew.AsDuration() != last {
				t.Errorf("after a restart: %v", seen.Skew)
			}
			if err := table.ForgetAgent(t.Context(), "dc1", "a1"); err != nil {
				t.Fatal(err)
			}
			if _, ok := table.Get("dc1", observation.ClockPart("a1")); ok {
				t.Error("a forgotten agent's clock is remembered")
			}
		})
	}
}

// What came of policies, what stands in Consul, and what the agent may not do, is kept as any other part.
func TestPartsOfPolicies(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	report(t, open(t, st, false), "dc1", "a1", &isthmusv1.ReportRequest{
		Policy:  &isthmusv1.PolicyReport{Entries: []*isthmusv1.ObservedEntry{{Kind: "service-intentions", Name: "api", State: "applied"}}},
		Entries: &isthmusv1.EntriesReport{Entries: []*isthmusv1.ReportedEntry{{Kind: "service-intentions", Name: "api", Json: `{"Name":"api"}`}}},
		Rights:  &isthmusv1.RightsReport{Missing: []*isthmusv1.MissingRight{{Rule: `mesh = "write"`}}},
	})
	table := open(t, st, false)
	policy, _ := table.Get("dc1", observation.PartPolicy)
	entries, _ := table.Get("dc1", observation.PartEntries)
	rights, _ := table.Get("dc1", observation.PartRights)
	if len(policy.Policy.GetEntries()) != 1 || entries.Entries.GetEntries()[0].GetJson() != `{"Name":"api"}` || len(rights.Rights.GetMissing()) != 1 {
		t.Errorf("after a restart: %v, %v, %v", policy.Policy, entries.Entries, rights.Rights)
	}
}
