package removal_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/federation"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/removal"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// simulated is a fleet whose agents do what is wanted and tell of it, when they are there to do it, and a controller.
type simulated struct {
	*resourcetest.Fleet
	t     rapid.TB
	now   time.Time
	sites map[string]*site
	// pool are the Consul datacenters that are in dc1's WAN pool.
	pool map[string]bool
	// guarded: an Intention keeps mobile of dc3 out.
	guarded, gone bool
}

// site is one datacenter: what is in its Consul, and what was told of it.
type site struct {
	up bool
	// peers are the ends of peerings by uid, with their names; consumers and sources the peers that exports and intentions name.
	peers, consumers, sources map[string]string
	seen                      removal.Seen
	digest                    string
}

const busy = peered + `
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: ServiceExport
name: api
spec: {service: api, selector: env=prod, consumers: {selector: env=prod}}
---
kind: Intention
name: api
spec: {destination: {service: api, selector: env=prod}, sources: [{service: web, selector: env=prod, action: allow}, {service: mobile, datacenters: [dc2, dc3], action: deny}]}
---
kind: Intention
name: web
spec: {destination: {service: web, datacenters: [dc1, dc3]}, sources: [{service: api, datacenters: [dc2, dc3], action: allow}]}
`

const federated = `
kind: Federation
name: global
spec: {primary: dc1, secondaries: [dc3]}
---
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: Intention
name: api
spec: {destination: {service: api, selector: env=prod}, sources: [{service: web, selector: env=prod, action: allow}], scope: federation}
`

func simulate(t rapid.TB, f *resourcetest.Fleet) *simulated {
	s := &simulated{Fleet: f, t: t, now: time.Unix(1000, 0), sites: map[string]*site{}, pool: map[string]bool{"dc1": true}}
	if fed, ok := resource.Lookup[*isthmusv1.Federation](f, resource.KindFederation, "global"); ok {
		fed.Status = &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
			{Datacenter: "dc1", Role: resource.RolePrimary, Phase: resource.PhaseJoined}, {Datacenter: "dc3", Role: resource.RoleSecondary, Phase: resource.PhaseJoined},
		}}
		s.pool["dc3"] = true
	}
	_, api := f.Get(resource.KindIntention, "api")
	_, connected := f.Get(resource.KindPeering, "dc1-dc3")
	s.guarded = api && connected
	for _, dc := range s.all() {
		s.sites[dc] = &site{up: true, peers: map[string]string{}, consumers: map[string]string{}, sources: map[string]string{}}
		s.act(dc)
	}
	return s
}

func (s *simulated) all() []string { return []string{"dc1", "dc2", "dc3"} }

// act has a datacenter's agent do what is wanted of it now, and tell.
func (s *simulated) act(dc string) {
	here := s.sites[dc]
	if !here.up {
		return
	}
	if a, ok := s.Get(resource.KindAgent, dc+"-a"); !ok || a == nil {
		return // refused
	}
	state, _ := plan.For(s, dc, plan.Features())
	here.digest = plan.Digest(state)
	here.seen = removal.Seen{
		Reported: true, Online: true, Peerings: &isthmusv1.PeeringsReport{}, Exports: &isthmusv1.ExportsReport{}, Policy: &isthmusv1.PolicyReport{},
		Entries: &isthmusv1.EntriesReport{}, Federation: &isthmusv1.FederationReport{},
	}
	here.consumers, here.sources = map[string]string{}, map[string]string{}
	wanted, denied := map[string]bool{}, false
	end := func(uid, name string, goes bool) {
		wanted[uid] = true
		o := &isthmusv1.ObservedPeering{Uid: uid, PeerName: name, Origin: resource.OriginOwn, Deleted: goes, State: "ACTIVE"}
		delete(here.peers, uid)
		if o.Deleted {
			o.State = ""
		} else {
			here.peers[uid] = name
		}
		here.seen.Peerings.Peerings = append(here.seen.Peerings.Peerings, o)
	}
	for _, i := range state.GetItems() {
		if a := i.GetPeeringAcceptor(); a != nil {
			end(a.GetUid(), a.GetPeerName(), a.GetDelete())
		}
		if d := i.GetPeeringDialer(); d != nil {
			end(d.GetUid(), d.GetPeerName(), d.GetDelete())
		}
		for _, e := range i.GetExportedServices().GetServices() {
			here.seen.Exports.Exports = append(here.seen.Exports.Exports, &isthmusv1.ObservedExport{Name: e.GetName(), Namespace: e.GetNamespace(), Peers: e.GetPeers()})
			for _, peer := range e.GetPeers() {
				here.consumers[peer] = e.GetName()
			}
		}
		for _, e := range i.GetConfigEntries().GetEntries() {
			here.seen.Policy.Entries = append(here.seen.Policy.Entries, &isthmusv1.ObservedEntry{Kind: e.GetKind(), Name: e.GetName(), WantedDigest: resource.Digest(e), State: resource.PolicyApplied})
			for _, part := range e.GetParts() {
				denied = denied || part.GetKey() == "source/default/mobile@east"
				if _, peer, ok := strings.Cut(part.GetKey(), "@"); ok {
					here.sources[peer] = e.GetName()
				}
			}
		}
	}
	if slices.Contains(slices.Collect(maps.Values(here.peers)), "east") && !denied && s.guarded {
		s.t.Fatal("what keeps dc3 out is taken out while it is connected")
	}
	if dc == "dc3" && slices.Contains(slices.Collect(maps.Values(here.peers)), "dc2") && s.guarded && here.sources["dc2"] == "" {
		s.t.Fatal("what keeps others out of dc3 is taken out while they are connected")
	}
	for uid, name := range here.peers {
		if !wanted[uid] {
			here.seen.Peerings.Peerings = append(here.seen.Peerings.Peerings, &isthmusv1.ObservedPeering{Uid: uid, PeerName: name, Origin: resource.OriginOrphan})
		}
	}
	for field, names := range map[string]map[string]string{"Services": here.consumers, "Sources": here.sources} {
		for _, peer := range slices.Sorted(maps.Keys(names)) {
			here.seen.Entries.Entries = append(here.seen.Entries.Entries, &isthmusv1.ReportedEntry{
				Kind: field, Name: names[peer], Json: fmt.Sprintf(`{%q:[{"Peer":%q}],"Meta":{"Peer":"dc3"}}`, field, peer),
			})
		}
	}
	if dc == "dc1" {
		for member := range s.pool {
			here.seen.Federation.WanMembers = append(here.seen.Federation.WanMembers, &isthmusv1.WanMember{Datacenter: member, Status: "alive"})
		}
	}
}

func (s *simulated) evidence() removal.Evidence {
	return removal.Evidence{Of: func(dc string) removal.Seen {
		out := s.sites[dc].seen
		_, enrolled := s.Get(resource.KindAgent, dc+"-a")
		out.Online = out.Reported && s.sites[dc].up && enrolled
		out.Applied = func() bool {
			state, _ := plan.For(s, dc, plan.Features())
			return plan.Digest(state) == s.sites[dc].digest
		}
		return out
	}}
}

// begin confirms the removal of dc3.
func (s *simulated) begin(lost bool) {
	dc := resource.Clone(dcOf(s, "dc3"))
	dc.DeleteTime = timestamppb.New(s.now)
	dc.Status.Removal = planOf(s, "dc3", lost)
	dc.Status.Removal.Steps[0].State = resource.StepDoing
	s.Put(dc)
}

// control is one round of the controller. The order of steps is held against what it must be.
func (s *simulated) control() {
	s.now = s.now.Add(time.Second)
	s.collect()
	s.leave()
	if s.gone {
		return
	}
	before := dcOf(s, "dc3")
	next := removal.Next(s, before, s.evidence(), s.now)
	open := true
	for i, step := range next.Removal.GetSteps() {
		was := before.GetStatus().GetRemoval().GetSteps()[i].GetState()
		if was == resource.StepWaiting && step.GetState() != resource.StepWaiting && step.GetState() != resource.StepSkipped && !open {
			s.t.Fatalf("%s begins before those before are done: %v", step.GetId(), next.Removal.GetSteps())
		}
		if was != resource.StepWaiting && step.GetState() == resource.StepWaiting {
			s.t.Fatalf("%s waits again", step.GetId())
		}
		open = open && (step.GetState() == resource.StepDone || step.GetState() == resource.StepSkipped)
	}
	dc := resource.Clone(before)
	dc.Status.Removal = next.Removal
	s.Put(dc)
	for _, e := range next.Edits {
		s.edit(e)
	}
	if next.Gone {
		s.check(next.Removal.GetLost())
		s.gone = true
		s.Delete(resource.KindDatacenter, "dc3")
	}
}

func (s *simulated) edit(e removal.Edit) {
	kind := resource.KindOf(e.Before).Name
	_, isPeering := e.Before.(*isthmusv1.Peering)
	switch {
	case e.After != nil:
		s.Put(e.After)
	case isPeering:
		p := resource.Clone(e.Before)
		m := resource.MetadataOf(p)
		m.DeleteTime = timestamppb.New(s.now)
		resource.SetMetadata(p, m)
		s.Put(p)
	default:
		if _, agent := e.Before.(*isthmusv1.Agent); agent {
			here := s.sites["dc3"]
			if lost := dcOf(s, "dc3").GetStatus().GetRemoval().GetLost(); !lost && len(here.peers)+len(here.consumers)+len(here.sources) > 0 {
				s.t.Fatalf("its agent is deleted before its own Consul is clean: %+v", here)
			}
		}
		s.Delete(kind, e.Before.GetName())
	}
}

// collect lets peerings go that both ends have told to be gone.
func (s *simulated) collect() {
	for p := range resource.All[*isthmusv1.Peering](s, resource.KindPeering) {
		gone := p.GetDeleteTime() != nil
		for _, dc := range []string{p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()} {
			told := slices.ContainsFunc(s.sites[dc].seen.Peerings.GetPeerings(), func(o *isthmusv1.ObservedPeering) bool { return o.GetUid() == p.GetUid() && o.GetDeleted() })
			gone = gone && (told || resource.Lost(dcOf(s, dc)))
		}
		if gone {
			s.Delete(resource.KindPeering, p.GetName())
		}
	}
}

// leave is the federation's way with a member that is no longer wanted.
func (s *simulated) leave() {
	f, ok := resource.Lookup[*isthmusv1.Federation](s, resource.KindFederation, "global")
	m := resource.MemberOf(f, "dc3")
	if !ok || m == nil || slices.Contains(f.GetSpec().GetSecondaries(), "dc3") {
		return
	}
	if dcOf(s, "dc3") == nil || !resource.Departed(dcOf(s, "dc3"), resource.StepFederation) {
		s.t.Fatal("it leaves its federation too early")
	}
	switch {
	case m.GetPhase() != resource.PhaseLeaving:
		m.Phase, m.Reason, m.Message = resource.PhaseLeaving, federation.ReasonLeaving, "its hosts go back"
	case m.GetReason() == federation.ReasonLeaving && (s.sites["dc3"].up || resource.Lost(dcOf(s, "dc3"))):
		m.Reason = federation.ReasonRevoking
	case m.GetReason() == federation.ReasonRevoking && s.sites["dc1"].up:
		delete(s.pool, "dc3")
		m.Revoked = true
		f.Status.Members = slices.DeleteFunc(f.Status.Members, func(m *isthmusv1.FederationMember) bool { return m.GetDatacenter() == "dc3" })
	}
	s.Put(f)
}

// check: nothing is left in the others.
func (s *simulated) check(lost bool) {
	for _, dc := range s.all() {
		here := s.sites[dc]
		if dc == "dc3" {
			if !lost && len(here.peers)+len(here.consumers)+len(here.sources) > 0 {
				s.t.Fatalf("left in dc3 itself: %+v", here)
			}
			continue
		}
		for what, names := range map[string][]string{
			"peerings": slices.Collect(maps.Values(here.peers)), "consumers": slices.Collect(maps.Keys(here.consumers)), "sources": slices.Collect(maps.Keys(here.sources)),
		} {
			if slices.Contains(names, "dc3") || slices.Contains(names, "east") {
				s.t.Fatalf("left in %s: %s %v", dc, what, names)
			}
		}
	}
	if s.pool["dc3"] {
		s.t.Fatal("it is in the WAN pool")
	}
	for kind, name := range map[string]string{resource.KindAgent: "dc3-a", resource.KindPeering: "dc1-dc3"} {
		if _, there := s.Get(kind, name); there {
			s.t.Fatalf("%s %s is there", kind, name)
		}
	}
}

// Whatever happens in whichever order, steps keep theirs, nothing is left when it is gone, and it does go once everybody is there.
func TestRemovalAnyhow(t *testing.T) {
	t.Parallel()
	fleets := map[string]func() *resourcetest.Fleet{
		"peered": func() *resourcetest.Fleet { return fleetOf(t, busy) }, "federated": func() *resourcetest.Fleet { return fleetOf(t, federated) },
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := simulate(rt, fleets[rapid.SampledFrom([]string{"peered", "federated"}).Draw(rt, "fleet")]())
		lost := rapid.Bool().Draw(rt, "lost")
		if lost {
			s.sites["dc3"].up = false
			dcOf(s, "dc3").Status.Agent = resource.LivenessOffline
		}
		s.begin(lost)
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) {},
			"control": func(*rapid.T) { s.control() },
			"act":     func(rt *rapid.T) { s.act(rapid.SampledFrom(s.all()).Draw(rt, "datacenter")) },
			"outage": func(rt *rapid.T) {
				dc := rapid.SampledFrom([]string{"dc1", "dc2", "dc3"}).Draw(rt, "datacenter")
				if dc != "dc3" || !lost {
					s.sites[dc].up = !s.sites[dc].up
				}
			},
			"somebody names it again": func(*rapid.T) {
				if !s.gone && !resource.Departed(dcOf(s, "dc3"), resource.StepAgents) {
					s.Put(&isthmusv1.Intention{Name: "late", Uid: "late", Spec: &isthmusv1.IntentionSpec{
						Destination: &isthmusv1.IntentionDestination{Service: "late", Datacenters: []string{"dc1", "dc3"}},
						Sources:     []*isthmusv1.IntentionSource{{Service: "web", Action: resource.ActionAllow}},
					}})
				}
			},
		})
		for dc, here := range s.sites {
			here.up = dc != "dc3" || !lost
		}
		for range 60 {
			s.control()
			for _, dc := range s.all() {
				s.act(dc)
			}
		}
		if !s.gone {
			rt.Fatalf("it never goes: %v", dcOf(s, "dc3").GetStatus().GetRemoval().GetSteps())
		}
	})
}

// What people wrote in the others is found and told, and keeps the removal from its end.
func TestScan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fleet string
		leave func(dc1 *removal.Seen)
		says  string
	}{
		{"a peering by hand", peered, func(s *removal.Seen) {
			s.Peerings.Peerings = append(s.Peerings.Peerings, &isthmusv1.ObservedPeering{PeerName: "east", Origin: resource.OriginForeign, State: "ACTIVE"})
		}, "dc1: peering east (foreign, ACTIVE) is there"},
		{"a consumer", peered, func(s *removal.Seen) {
			s.Entries.Entries = append(s.Entries.Entries, &isthmusv1.ReportedEntry{Kind: "exported-services", Name: "default", Json: `{"Services":[{"Name":"web","Consumers":[{"Peer":"east"}]}]}`})
		}, "dc1: exported-services/default names peer east, as somebody else wrote it"},
		{"a source in a shared entry, or a report that is under way", peered, func(s *removal.Seen) {
			s.Entries.Entries = append(s.Entries.Entries, &isthmusv1.ReportedEntry{
				Kind: "service-intentions", Name: "api", Json: `{"Meta":{"isthmus-parts":"{}"},"Sources":[{"Name":"web","Peer":"east"}]}`,
			})
		}, "dc1: service-intentions/api names peer east, in an entry of which isthmus wrote parts: when this stays"},
		{"a failover", federated, func(s *removal.Seen) {
			s.Entries.Entries = append(s.Entries.Entries, &isthmusv1.ReportedEntry{Kind: "service-resolver", Name: "web", Json: `{"Failover":{"*":{"Datacenters":["dc9","dc3"]}}}`})
		}, "dc1: service-resolver/web names datacenter dc3"},
		{"imported services", peered, func(s *removal.Seen) {
			s.Services = &isthmusv1.ServicesReport{Services: []*isthmusv1.CatalogService{{Name: "web", Peer: "east"}}}
		}, "dc1: service web of peer east"},
		{"what cannot be looked at", peered, func(s *removal.Seen) { s.Entries.Error = "no right to" }, "dc1: its config entries cannot be looked at: no right to"},
		{"somebody else's name", peered, func(s *removal.Seen) {
			s.Entries.Entries = append(s.Entries.Entries, &isthmusv1.ReportedEntry{Kind: "service-intentions", Name: "a", Json: `{"Sources":[{"Peer":"dc3"}]}`})
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, fleetOf(t, tt.fleet))
			s.begin(false)
			var step *isthmusv1.RemovalStep
			for range 40 {
				s.control()
				for _, dc := range s.all() {
					s.act(dc)
				}
				tt.leave(&s.sites["dc1"].seen)
				if !s.gone {
					step, _, _ = resource.RemovalAt(dcOf(s, "dc3").GetStatus().GetRemoval())
				}
			}
			if s.gone != (tt.says == "") {
				t.Fatalf("gone: %v; %v", s.gone, step)
			}
			if tt.says != "" && (step.GetId() != resource.StepScan || !strings.Contains(step.GetMessage(), tt.says)) {
				t.Fatalf("%v, want %q", step, tt.says)
			}
		})
	}
}
