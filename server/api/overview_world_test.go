package api_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/api"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

// place is a store with all that an overview is made of.
type place struct {
	*api.OverviewService
	t     testing.TB
	store *sqlstore.Store
	table *observation.Table
	clock *clock
}

// clock is moved by tests.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newPlace is an empty one.
func newPlace(t testing.TB) *place {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, store: st, clock: &clock{at: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}}
	if p.table, err = observation.Open(t.Context(), st, false, p.clock.now, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	p.OverviewService = &api.OverviewService{
		Core:   &api.Core{Store: st, Snapshot: s, Stopping: make(chan struct{}), Log: hclog.NewNullLogger(), Now: p.clock.now, Observations: p.table},
		Fleets: &api.Fleets{Snapshot: s, Observations: p.table, Now: p.clock.now},
	}
	p.background(p.table.Run, s.Run)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// background runs work until the test ends.
func (p *place) background(work ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for _, w := range work {
		wait.Go(func() { _ = w(ctx) })
	}
	p.t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
}

// put stores resources.
func (p *place) put(objects ...resource.Object) {
	p.t.Helper()
	for len(objects) > 0 {
		n := min(len(objects), 500)
		var w store.Write
		for _, o := range objects[:n] {
			resource.Default(o)
			if o.GetUid() == "" {
				resource.SetMetadata(o, resource.Metadata{UID: "uid-" + o.GetName(), Generation: 1, CreateTime: timestamppb.New(p.clock.now()), UpdateTime: timestamppb.New(p.clock.now())})
			}
			w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
		}
		if _, err := p.store.Write(p.t.Context(), w); err != nil {
			p.t.Fatal(err)
		}
		objects = objects[n:]
	}
	if err := p.Snapshot.Catchup(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) report(dc string, r *isthmusv1.ReportRequest) {
	p.t.Helper()
	if err := p.table.Report(p.t.Context(), dc, dc+"-a1", r); err != nil {
		p.t.Fatal(err)
	}
}

func nameOf(i int) string { return fmt.Sprintf("dc%04d", i) }

// site is a datacenter that is as it should be, with its agent.
func (p *place) site(name string) []resource.Object {
	now := timestamppb.New(p.clock.now())
	return []resource.Object{
		&isthmusv1.Datacenter{
			Name: name, Labels: map[string]string{"env": "prod", "region": "eu"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"},
			Status: &isthmusv1.DatacenterStatus{
				Agent: resource.LivenessOnline, AgentSince: now, Agents: 1, AgentsOnline: 1, ConsulVersion: "1.20.6", Servers: 3, Leader: "server-1", Services: 50,
				Conditions: []*isthmusv1.Condition{{Type: resource.ConditionReady, Status: resource.ConditionTrue, Reason: "Ready", LastTransitionTime: now}},
			},
		},
		&isthmusv1.Agent{
			Name: name + "-a1", Spec: &isthmusv1.AgentSpec{Datacenter: name, Kind: resource.AgentKindAgent, Attestation: &isthmusv1.Attestation{Agent: name + "-a1", AgeRecipient: "age1" + name}},
			Status: &isthmusv1.AgentStatus{Trust: resource.TrustFleet, Liveness: resource.LivenessOnline, Leader: true, Host: "host-1"},
		},
	}
}

// link is a peering that is as it should be.
func (p *place) link(a, b string) *isthmusv1.Peering {
	now := timestamppb.New(p.clock.now())
	return &isthmusv1.Peering{
		Name: a + "-" + b, Spec: &isthmusv1.PeeringSpec{Acceptor: a, Dialer: b},
		Status: &isthmusv1.PeeringStatus{
			Verdict: peering.VerdictHealthy, VerdictSince: now, State: peering.StateActive,
			Acceptor: &isthmusv1.PeeringEnd{State: peering.StateActive, Since: now}, Dialer: &isthmusv1.PeeringEnd{State: peering.StateActive, Since: now},
			Token: &isthmusv1.TokenStatus{Generation: 1, RequestTime: now, Ledger: []*isthmusv1.TokenEntry{{Generation: 1, Attempt: 1, Outcome: resource.OutcomeUsed, MakeTime: now, UseTime: now}}},
		},
	}
}

// well is what the agent of a datacenter reports of itself, its Consul, its services and its ends of peerings while all is well.
func (p *place) well(name string, services int, links []*isthmusv1.Peering) *isthmusv1.ReportRequest {
	out := &isthmusv1.ReportRequest{
		Agent:     &isthmusv1.AgentReport{Leader: true, Host: "host-1"},
		Inventory: &isthmusv1.InventoryReport{ConsulVersion: "1.20.6", Servers: 3, Leader: "server-1", Services: int32(services)},
		Services:  &isthmusv1.ServicesReport{}, Peerings: &isthmusv1.PeeringsReport{},
	}
	for i := range services {
		out.Services.Services = append(out.Services.Services, &isthmusv1.CatalogService{Name: fmt.Sprintf("service-%03d", i), Instances: 3, Healthy: 3, Mesh: true})
	}
	for _, l := range links {
		e := &isthmusv1.ObservedPeering{
			Uid: "uid-" + l.GetName(), State: peering.StateActive, PeerId: l.GetName(), Heartbeat: resource.HeartbeatFresh, Generation: 1,
			Origin: "own", Role: "acceptor", PeerName: l.GetSpec().GetDialer(),
		}
		if l.GetSpec().GetDialer() == name {
			e.Role, e.PeerName, e.Outcome = "dialer", l.GetSpec().GetAcceptor(), resource.OutcomeUsed
		}
		out.Peerings.Peerings = append(out.Peerings.Peerings, e)
	}
	return out
}

// ring fills a place: datacenters, each peered with the next few of them.
func (p *place) ring(datacenters, degree, services int) {
	p.t.Helper()
	var objects, links []resource.Object
	of := map[string][]*isthmusv1.Peering{}
	for i := range datacenters {
		objects = append(objects, p.site(nameOf(i))...)
		for j := 1; j <= degree; j++ {
			l := p.link(nameOf(i), nameOf((i+j)%datacenters))
			links = append(links, l)
			of[nameOf(i)], of[nameOf((i+j)%datacenters)] = append(of[nameOf(i)], l), append(of[nameOf((i+j)%datacenters)], l)
		}
	}
	p.put(append(objects, links...)...)
	var group errgroup.Group
	for i := range datacenters {
		group.Go(func() error {
			return p.table.Report(p.t.Context(), nameOf(i), nameOf(i)+"-a1", p.well(nameOf(i), services, of[nameOf(i)]))
		})
	}
	if err := group.Wait(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) fleet() *isthmusv1.Fleet {
	p.t.Helper()
	f, err := p.GetFleet(p.t.Context(), &isthmusv1.GetFleetRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}
