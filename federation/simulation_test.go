package federation_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// simulated is a fleet whose agents do what the items say, when they are there to do it.
type simulated struct {
	*world
	t *rapid.T
	// site is what is really so in a datacenter, whether anybody sees it or not.
	site map[string]*site
	// nonce is another part of what the primary puts into bundles; inputs are those of the stored ones.
	nonce int
}

type site struct {
	up bool
	// loss is the digest of what joining would destroy; empty once it is destroyed, or when there is nothing.
	loss string
	// begun: it was cleared to join. follows: its Consul is a secondary. through: it goes through mesh gateways.
	begun, follows, through bool
	applied                 int32
	removed                 bool
	// gateways are the addresses that work now.
	gateways map[string]bool
	revoked  bool
	next     int
}

func simulate(t *rapid.T, secondaries ...string) *simulated {
	s := &simulated{world: newWorld(secondaries...), t: t, site: map[string]*site{}}
	for _, dc := range append([]string{"dc1"}, secondaries...) {
		s.site[dc] = &site{up: true, gateways: map[string]bool{}}
		s.Delete(resource.KindGateway, dc+"-gw")
		s.gateway(dc, s.site[dc])
		if dc != "dc1" {
			s.site[dc].loss = rapid.SampledFrom([]string{"", "x"}).Draw(t, dc+" loses")
		}
	}
	return s
}

func (s *simulated) datacenters() []string { return []string{"dc1", "dc2", "dc3"} }

// act has the agents that are there do what they are told, and say what they see.
func (s *simulated) act() {
	for _, dc := range s.datacenters() {
		here := s.site[dc]
		row, _ := resource.Lookup[*isthmusv1.Datacenter](s, resource.KindDatacenter, dc)
		liveness := map[bool]string{true: resource.LivenessOnline, false: resource.LivenessOffline}[here.up]
		if row.GetStatus().GetAgent() != liveness {
			row = resource.Clone(row)
			row.Status.Agent, row.Status.AgentSince = liveness, timestamppb.New(s.now)
			s.Put(row)
		}
		s.see(dc, func(seen *federation.Seen) {
			seen.Online = here.up
			seen.Deliveries[0].Online = here.up
		})
		if here.up {
			s.work(dc, here)
		}
	}
}

func (s *simulated) work(dc string, here *site) {
	told := &isthmusv1.Probes{}
	for _, item := range federation.Items(s, dc) {
		switch {
		case item.GetFederationPrimary() != nil:
			s.lead(here, item.GetFederationPrimary())
		case item.GetFederationSecondary() != nil:
			s.follow(dc, here, item.GetFederationSecondary())
		case item.GetProbes() != nil:
			told = item.GetProbes()
		}
	}
	s.see(dc, func(seen *federation.Seen) {
		seen.Inventory = inventory(dc)
		seen.Inventory.WanFederationEnabled = new(here.through)
		seen.Federation.Loss = &isthmusv1.JoinLoss{}
		if here.follows {
			seen.Inventory.PrimaryDatacenter = "dc1"
		} else if here.loss != "" {
			seen.Federation.Loss = &isthmusv1.JoinLoss{Count: 1, Digest: here.loss}
		}
		seen.Federation.Reads, seen.Federation.Probes = nil, nil
		for _, read := range told.GetReads() {
			seen.Federation.Reads = append(seen.Federation.Reads, &isthmusv1.ObservedRead{Datacenter: read.GetDatacenter(), Ok: s.connected(dc, read.GetDatacenter())})
		}
		for _, p := range told.GetGateways() {
			seen.Federation.Probes = append(seen.Federation.Probes, &isthmusv1.ObservedProbe{
				Datacenter: p.GetDatacenter(), Address: p.GetAddress(), Ok: s.site[p.GetDatacenter()].gateways[p.GetAddress()], ErrorReason: "NoRoute",
			})
		}
	})
	s.host(dc, 0, func(h *isthmusv1.FederationHost) {
		h.Written, h.Applied = here.applied, here.applied
		switch {
		case here.removed:
			h.State = resource.DeliveryRemoved
		case here.applied > 0 || dc == "dc1" && here.through:
			h.State = resource.DeliveryApplied
		default:
			h.State = resource.DeliveryNone
		}
	})
}

// lead is the primary's agent.
func (s *simulated) lead(here *site, item *isthmusv1.FederationPrimary) {
	here.removed = item.GetDelete()
	here.through = item.GetMode() == resource.ModeMeshGateway && !item.GetDelete()
	s.see("dc1", func(seen *federation.Seen) { seen.Federation.Bundles = nil })
	for _, m := range item.GetMembers() {
		if m.GetRevoke() {
			s.site[m.GetDatacenter()].revoked = true
			s.see("dc1", func(seen *federation.Seen) {
				seen.Federation.Bundles = append(seen.Federation.Bundles, &isthmusv1.ObservedBundle{Datacenter: m.GetDatacenter(), Revoked: true})
			})
			continue
		}
		input := fmt.Sprint(s.nonce, item.GetMode(), m.GetPrimaryGateways(), m.GetRetryJoinWan())
		if !m.GetReady() || m.GetBundle().GetInputDigest() == input {
			continue
		}
		if item.GetMode() == resource.ModeMeshGateway && len(m.GetPrimaryGateways()) == 0 {
			s.t.Fatalf("the bundle of %s names no gateway", m.GetDatacenter())
		}
		status, err := federation.Stored(s.f, federation.StoredBundle{
			Datacenter: m.GetDatacenter(), Generation: m.GetBundle().GetGeneration() + 1, Previous: m.GetBundle().GetGeneration(),
			SecretDigest: fmt.Sprint(m.GetDatacenter(), m.GetBundle().GetGeneration()+1), InputDigest: input, Recipients: []string{"age-" + m.GetDatacenter() + "-a"},
		}, s.now)
		if err != nil {
			s.t.Fatalf("the bundle that the state asks for is refused: %v", err)
		}
		s.edit(func(f *isthmusv1.Federation) { f.Status = status })
		s.site[m.GetDatacenter()].revoked = false
	}
}

// follow is the agent of a secondary, which looks for itself before it destroys anything.
func (s *simulated) follow(dc string, here *site, item *isthmusv1.FederationSecondary) {
	if item.GetDelete() {
		here.removed, here.begun, here.follows, here.through, here.applied = true, false, false, false, 0
		return
	}
	here.removed = false
	if !item.GetJoin() || item.GetSecretDigest() == "" {
		return
	}
	if !here.begun && here.loss != "" {
		digest := federation.PlanDigest("u1", dc, federation.ActionJoin, here.loss)
		if item.GetAcceptedDigest() != digest {
			return // refused: what was accepted is something else
		}
	}
	here.begun, here.follows, here.loss = true, true, ""
	here.through, here.applied = item.GetMode() == resource.ModeMeshGateway, item.GetGeneration()
}

// connected: both run in the same mode, and know an address of each other that works.
func (s *simulated) connected(from, to string) bool {
	a, b := s.site[from], s.site[to]
	in := func(dc string, here *site) bool { return dc == "dc1" || here.follows }
	if !in(from, a) || !in(to, b) || a.through != b.through {
		return false
	}
	if !a.through {
		return true
	}
	for _, g := range resource.MemberOf(s.f, to).GetGateways() {
		if b.gateways[g.GetWanAddress()] {
			return true
		}
	}
	return false
}

// look has the status of now, and proves what must always be so.
func (s *simulated) look() {
	before := s.f
	s.step()
	for _, m := range before.GetStatus().GetMembers() {
		after := s.member(m.GetDatacenter())
		if after == nil || m.GetPhase() == resource.PhaseLeaving || after.GetPhase() == resource.PhaseLeaving {
			continue
		}
		for _, g := range m.GetGateways() {
			if !slices.ContainsFunc(after.GetGateways(), func(other *isthmusv1.MemberGateway) bool { return other.GetWanAddress() == g.GetWanAddress() }) {
				s.proveProven(after, g.GetWanAddress())
			}
		}
	}
	for _, dc := range s.datacenters() {
		for _, item := range federation.Items(s, dc) {
			if again := federation.Items(s, dc); resource.Digest(&isthmusv1.DesiredState{Items: again}) != resource.Digest(&isthmusv1.DesiredState{Items: federation.Items(s, dc)}) {
				s.t.Fatalf("two looks at the same fleet give other items: %v", again)
			}
			secondary := item.GetFederationSecondary()
			seen := s.seen[dc].Federation.GetLoss().GetDigest()
			if !secondary.GetJoin() || s.site[dc].begun || seen == "" || s.seen[dc].Inventory.GetPrimaryDatacenter() != "" {
				continue
			}
			digest := federation.PlanDigest("u1", dc, federation.ActionJoin, seen)
			if !slices.ContainsFunc(s.f.GetSpec().GetAcceptDataLoss(), func(a *isthmusv1.AcceptedLoss) bool { return a.GetPlanDigest() == digest }) {
				s.t.Fatalf("%s is told to join, and nobody has accepted what that destroys: %v", dc, secondary)
			}
		}
	}
}

// proveProven: an address is forgotten only when all who dial have proven each good one that is there.
func (s *simulated) proveProven(m *isthmusv1.FederationMember, forgotten string) {
	for _, other := range s.f.GetStatus().GetMembers() {
		inside := func(m *isthmusv1.FederationMember) bool {
			return m.GetRole() == resource.RolePrimary || slices.Contains([]string{"delivering", "joining", "joined"}, m.GetPhase())
		}
		if other.GetDatacenter() == m.GetDatacenter() || !inside(other) || !inside(m) || s.f.GetSpec().GetMode() != resource.ModeMeshGateway {
			continue
		}
		for _, g := range m.GetGateways() {
			if g.GetHealth() != "passing" {
				continue
			}
			proven := s.seen[other.GetDatacenter()].Online && slices.ContainsFunc(s.seen[other.GetDatacenter()].Federation.GetProbes(), func(p *isthmusv1.ObservedProbe) bool {
				return p.GetDatacenter() == m.GetDatacenter() && p.GetAddress() == g.GetWanAddress() && p.GetOk()
			})
			if !proven {
				s.t.Fatalf("%s of %s is forgotten, and %s has not proven %s", forgotten, m.GetDatacenter(), other.GetDatacenter(), g.GetWanAddress())
			}
		}
	}
}

// move is what an operator, or fate, does next.
func (s *simulated) move(i int) {
	dc := rapid.SampledFrom(s.datacenters()).Draw(s.t, fmt.Sprint("datacenter ", i))
	here := s.site[dc]
	switch rapid.IntRange(0, 9).Draw(s.t, fmt.Sprint("move ", i)) {
	case 0:
		here.up = !here.up
	case 1:
		s.gateway(dc, here)
	case 2:
		if len(here.gateways) > 0 {
			address := rapid.SampledFrom(slices.Sorted(maps.Keys(here.gateways))).Draw(s.t, fmt.Sprint("gateway ", i))
			delete(here.gateways, address)
			s.Delete(resource.KindGateway, "gw-"+address)
		}
	case 3:
		s.nonce++
	case 4:
		if dc != "dc1" && !here.follows {
			here.loss = rapid.SampledFrom([]string{"", "x", "y"}).Draw(s.t, fmt.Sprint("loss ", i))
		}
	case 5:
		s.accept()
	case 6:
		s.edit(func(f *isthmusv1.Federation) {
			f.Spec.Secondaries = rapid.SampledFrom([][]string{{"dc2", "dc3"}, {"dc2"}, {"dc3"}}).Draw(s.t, fmt.Sprint("secondaries ", i))
		})
	case 7:
		s.edit(func(f *isthmusv1.Federation) {
			f.Spec.Mode = rapid.SampledFrom([]string{resource.ModeMeshGateway, resource.ModeTraditional}).Draw(s.t, fmt.Sprint("mode ", i))
		})
	default:
		for address := range here.gateways {
			here.gateways[address] = true
		}
		s.now = s.now.Add(time.Duration(rapid.IntRange(1, 200).Draw(s.t, fmt.Sprint("seconds ", i))) * time.Second)
	}
}

// gateway gives a datacenter one more.
func (s *simulated) gateway(dc string, here *site) {
	here.next++
	address := fmt.Sprintf("%s-%d.example:8443", dc, here.next)
	// It may take its time until others get through.
	here.gateways[address] = rapid.Bool().Draw(s.t, address+" works")
	s.Put(&isthmusv1.Gateway{
		Name: "gw-" + address, Spec: &isthmusv1.GatewaySpec{Datacenter: dc, WanAddress: address, Source: "discovered"},
		Status: &isthmusv1.GatewayStatus{Health: "passing"},
	})
}

// accept accepts what is lost as it is now.
func (s *simulated) accept() {
	s.edit(func(f *isthmusv1.Federation) {
		f.Spec.AcceptDataLoss = nil
		for _, m := range f.GetStatus().GetMembers() {
			if m.GetPlanDigest() != "" {
				f.Spec.AcceptDataLoss = append(f.Spec.AcceptDataLoss, &isthmusv1.AcceptedLoss{Datacenter: m.GetDatacenter(), PlanDigest: m.GetPlanDigest()})
			}
		}
	})
}

// A federation whose agents come and go, whose gateways move and whose operator changes his mind never destroys what nobody accepted,
// never cuts off a gateway that is needed, and is joined in the end.
func TestConverges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := simulate(t, "dc2", "dc3")
		for i := range rapid.IntRange(0, 60).Draw(t, "moves") {
			if rapid.Bool().Draw(t, fmt.Sprint("act ", i)) {
				s.act()
			} else {
				s.move(i)
			}
			s.look()
		}
		for dc, here := range s.site {
			here.up = true
			if len(here.gateways) == 0 {
				s.gateway(dc, here)
			}
			for address := range here.gateways {
				here.gateways[address] = true
			}
		}
		for range 60 {
			s.now = s.now.Add(5 * time.Second)
			s.act()
			s.accept()
			before := s.f.GetStatus()
			s.look()
			if before == s.f.GetStatus() && s.ready().GetStatus() == resource.ConditionTrue {
				break
			}
		}
		for _, dc := range s.f.GetSpec().GetSecondaries() {
			if m := s.member(dc); m.GetPhase() != resource.PhaseJoined {
				t.Fatalf("%s is %s (%s): %s", dc, m.GetPhase(), m.GetReason(), m.GetMessage())
			}
		}
		if s.ready().GetStatus() != resource.ConditionTrue || len(s.f.GetStatus().GetMembers()) != 1+len(s.f.GetSpec().GetSecondaries()) {
			t.Fatalf("%v: %v", s.ready(), s.f.GetStatus())
		}
		for _, m := range s.f.GetStatus().GetMembers() {
			if slices.ContainsFunc(m.GetGateways(), func(g *isthmusv1.MemberGateway) bool { return g.GetHealth() == resource.GatewayRetired }) {
				t.Fatalf("%s keeps gateways that nobody needs: %v", m.GetDatacenter(), m.GetGateways())
			}
		}
	})
}
