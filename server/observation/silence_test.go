package observation_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store"
)

// remembered is an Observatory in memory.
type remembered map[string]store.Observation

func (m remembered) Observe(_ context.Context, rows []store.Observation) error {
	for _, o := range rows {
		if k := o.Datacenter + "/" + o.Part; len(o.Body) > 0 {
			m[k] = o
		} else if was, ok := m[k]; ok {
			was.HeardTime = o.HeardTime
			m[k] = was
		}
	}
	return nil
}

func (m remembered) Observations(_ context.Context, since time.Time) (out []store.Observation, _ error) {
	for _, o := range m {
		if !o.ReceiveTime.Before(since) || !o.HeardTime.Before(since) {
			out = append(out, o)
		}
	}
	return out, nil
}

func (m remembered) ObservationsOf(_ context.Context, datacenter string) (out []store.Observation, _ error) {
	for _, o := range m {
		if o.Datacenter == datacenter {
			out = append(out, o)
		}
	}
	return out, nil
}

func (m remembered) Forget(context.Context, string, string) error { return nil }

// Whoever comes to and goes from whichever replica, and whichever replica dies: who counts as silent is who is, though nobody is looked at before
// that may be.
func TestWhoIsSilentIsFoundInTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		now := time.Unix(1_800_000_000, 0)
		st := remembered{}
		type replica struct {
			*observation.Table
			read time.Time
			here map[string][]func(silent time.Duration)
		}
		var replicas []*replica
		for range 2 {
			table, err := observation.Open(ctx, st, true, func() time.Time { return now }, hclog.NewNullLogger())
			if err != nil {
				rt.Fatal(err)
			}
			replicas = append(replicas, &replica{Table: table, read: now, here: map[string][]func(time.Duration){}})
		}
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			r := replicas[rapid.IntRange(0, 1).Draw(rt, "replica")]
			agent := fmt.Sprintf("a%d", rapid.IntRange(0, 3).Draw(rt, "agent"))
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0:
				r.here[agent] = append(r.here[agent], r.Attend("dc1", agent))
			case 1:
				if open := r.here[agent]; len(open) > 0 {
					open[0](rapid.SampledFrom([]time.Duration{0, 0, resource.Silence / 2, 2 * resource.Silence}).Draw(rt, "silent"))
					r.here[agent] = open[1:]
				}
			case 2:
				r.Heard("dc1", agent)
			case 3:
				r.Flush(ctx)
			case 4:
				r.read = r.Poll(ctx, r.read)
			default:
				now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(rt, "seconds")) * time.Second)
			}
			for i, r := range replicas {
				if counts, is := r.Hush(); !maps.Equal(counts, is) {
					rt.Fatalf("replica %d: silent are %v, and %v count as that", i, is, counts)
				}
			}
		}
	})
}

// A replica that is alone does not read its own reports again and again, and reads another one's all the same as soon as there is one.
func TestAloneOnlyHeartbeatsAreRead(t *testing.T) {
	t.Parallel()
	st := &counted{remembered: remembered{}}
	now := time.Unix(1_800_000_000, 0)
	open := func() *observation.Table {
		table, err := observation.Open(t.Context(), st, true, func() time.Time { return now }, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	first := open()
	leave := first.Attend("dc1", "a1")
	defer leave(0)
	first.Flush(t.Context())
	st.all = 0
	last := now
	for range 60 {
		now = now.Add(time.Second)
		last = first.Poll(t.Context(), last)
	}
	if st.all != 0 {
		t.Errorf("alone it has read everything %d times", st.all)
	}
	second := open()
	leaves := second.Attend("dc2", "a2")
	defer leaves(0)
	second.Flush(t.Context())
	last = first.Poll(t.Context(), last)
	if heard := first.HeardOf("dc2", "a2"); !heard.Equal(now) || !last.Equal(now) {
		t.Errorf("at %v the other replica's agent is heard of at %v", now, heard)
	}
	// It has died: until then everything is read, and not for ever after.
	st.all = 0
	for range 60 {
		now = now.Add(time.Second)
		last = first.Poll(t.Context(), last)
	}
	if st.all == 0 || st.all > 20 {
		t.Errorf("after the other replica's last heartbeat everything was read %d times", st.all)
	}
}

// counted counts how often everything is read.
type counted struct {
	remembered

	all int
}

func (c *counted) Observations(ctx context.Context, since time.Time) ([]store.Observation, error) {
	c.all++
	return c.remembered.Observations(ctx, since)
}
