package overview_test

import (
	"strings"
	"testing"
	"time"

	"isthmus/inventory"
	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// federated are dc1, dc2 and dc3 of one federation, of which dc3 has been silent for a time; dc2's agent may be silent as well.
type federated struct {
	silent time.Duration
	member *isthmusv1.FederationMember
	seen   map[string]*overview.Seen
}

// newFederated has nobody read dc3, find its server alive, or dial its gateway; all else is well.
func newFederated() *federated {
	f := &federated{
		silent: time.Minute, seen: map[string]*overview.Seen{},
		member: &isthmusv1.FederationMember{Datacenter: "dc3", ConsulDatacenter: "east", Role: resource.RoleSecondary, Phase: resource.PhaseJoining, WasJoined: true},
	}
	for name, other := range map[string]string{"dc1": "dc2", "dc2": "dc1"} {
		s := newPatient().seen
		s.Federation = &isthmusv1.FederationReport{
			Reads:      []*isthmusv1.ObservedRead{{Datacenter: other, Ok: true}, {Datacenter: "dc3", Error: "no path"}},
			WanMembers: []*isthmusv1.WanMember{{Datacenter: other, Status: "alive"}, {Datacenter: "east", Status: "failed"}},
			Probes:     []*isthmusv1.ObservedProbe{{Datacenter: other, Ok: true}, {Datacenter: "dc3", Error: "refused"}},
		}
		f.seen[name] = &s
	}
	return f
}

// dc3 is what a reader is told of it.
func (f *federated) dc3() *isthmusv1.FleetDatacenter {
	p := newPatient()
	p.seen.Agents[0].HeardTime = now.Add(-f.silent)
	f.seen["dc3"] = &p.seen
	reader := resourcetest.New(p.dc, &isthmusv1.Federation{
		Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc2", "dc3"}},
		Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
			{Datacenter: "dc1", Role: resource.RolePrimary, Phase: resource.PhaseJoined}, {Datacenter: "dc2", Role: resource.RoleSecondary, Phase: resource.PhaseJoined}, f.member,
		}},
	})
	return overview.Fleet(reader, func(name string) overview.Seen { return *f.seen[name] }, nil, now).GetDatacenters()[0]
}

// A silent member of a federation is failing when other members see that it is gone: two kinds of witnesses agree, as of a peering's end.
func TestWitnessesOfAFederation(t *testing.T) {
	t.Parallel()
	federation := func(f *federated, name string) *isthmusv1.FederationReport { return f.seen[name].Federation }
	for _, c := range []struct {
		name         string
		change       func(*federated)
		word, reason string
		// message is a part of it.
		message string
	}{
		{"both others see that it is gone", func(*federated) {}, overview.Failing, overview.ReasonCutOff, "dc1, dc2 hear nothing from it either: it is cut off, or down"},
		{"its silence is not proven yet", func(f *federated) { f.silent = 16 * time.Second }, overview.Unknown, overview.ReasonCutOff, "it seems to be cut off"},
		{"it missed no heartbeat", func(f *federated) { f.silent = 10 * time.Second }, overview.Healthy, "Healthy", ""},
		{"one of them reads it", func(f *federated) { federation(f, "dc2").Reads[1].Ok = true }, overview.Failing, overview.ReasonCutOff, "and dc1 hears nothing from it either"},
		{"all others read it", func(f *federated) {
			federation(f, "dc1").Reads[1].Ok, federation(f, "dc2").Reads[1].Ok = true, true
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"nobody has tried to read it", func(f *federated) {
			federation(f, "dc1").Reads, federation(f, "dc2").Reads = federation(f, "dc1").Reads[:1], nil
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"its gateway answers, and its servers are alive in the gossip", func(f *federated) {
			for _, name := range []string{"dc1", "dc2"} {
				federation(f, name).Probes[1].Ok, federation(f, name).WanMembers[1].Status = true, "alive"
			}
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"its gateway answers, but none of its servers is alive in the gossip", func(f *federated) {
			federation(f, "dc1").Probes[1].Ok, federation(f, "dc2").Probes[1].Ok = true, true
		}, overview.Failing, overview.ReasonCutOff, "dc1, dc2 hear nothing"},
		{"its servers are not forgotten yet, but no gateway of it answers", func(f *federated) {
			federation(f, "dc1").WanMembers[1].Status, federation(f, "dc2").WanMembers = "alive", nil
		}, overview.Failing, overview.ReasonCutOff, "dc1, dc2 hear nothing"},
		{"one of several gateways answers", func(f *federated) {
			for _, name := range []string{"dc1", "dc2"} {
				federation(f, name).WanMembers = nil
				federation(f, name).Probes = append(federation(f, name).Probes, &isthmusv1.ObservedProbe{Datacenter: "dc3", Ok: true})
			}
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"a witness that reads nobody says more of itself", func(f *federated) {
			federation(f, "dc1").Reads[0].Ok, federation(f, "dc2").Reads[0].Ok = false, false
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"a witness that cannot read one that is silent as well", func(f *federated) {
			federation(f, "dc1").Reads[0].Ok = false
			f.seen["dc2"].Agents[0].HeardTime = now.Add(-time.Minute)
		}, overview.Failing, overview.ReasonCutOff, "and dc1 hears nothing from it either"},
		{"witnesses that are silent themselves", func(f *federated) {
			f.seen["dc1"].Agents[0].HeardTime, f.seen["dc2"].Agents[0].HeardTime = now.Add(-time.Minute), now.Add(-time.Minute)
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"witnesses that do not see their Consul", func(f *federated) {
			f.seen["dc1"].Leading.ErrorReason, federation(f, "dc2").ErrorReason = "ConsulUnreachable", "ConsulUnreachable"
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"witnesses that have told nothing", func(f *federated) {
			f.seen["dc1"].Federation, f.seen["dc2"].Federation = nil, nil
		}, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
		{"it has not joined yet", func(f *federated) { f.member.WasJoined = false }, overview.Unknown, inventory.ReasonAgentOffline, "is silent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFederated()
			c.change(f)
			dc := f.dc3()
			if dc.GetHealth() != c.word || dc.GetReason() != c.reason || !strings.Contains(dc.GetMessage(), c.message) {
				t.Errorf("got %v", dc)
			}
		})
	}
}
