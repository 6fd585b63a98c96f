package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/controller"
	"isthmus/store"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

// fleet is a store with a controller over it, and what agents tell it.
type fleet struct {
	t  *testing.T
	st *sqlstore.Store
	c  *controller.Controller
}

func newFleet(t *testing.T, objects ...resource.Object) *fleet {
	t.Helper()
	return newFleetAt(t, time.Now, objects...)
}

// newFleetAt is one whose controller has its own clock.
func newFleetAt(t *testing.T, now func() time.Time, objects ...resource.Object) *fleet {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fleet{t: t, st: st}
	f.c = runAt(t, st, st, st, now)
	leads(t, f.c, true)
	f.put(objects...)
	return f
}

// put writes new resources.
func (f *fleet) put(objects ...resource.Object) {
	f.t.Helper()
	var w store.Write
	for _, o := range objects {
		m := resource.MetadataOf(o)
		m.UID, m.Generation = "uid-of-"+o.GetName(), 1
		resource.SetMetadata(o, m)
		resource.Default(o)
		w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
	}
	if _, err := f.st.Write(f.t.Context(), w); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) report(agent, datacenter string, r *isthmusv1.ReportRequest) {
	f.t.Helper()
	if err := f.c.Observations.Report(f.t.Context(), datacenter, agent, r); err != nil {
		f.t.Fatal(err)
	}
}

// policy waits until the policy is as it should be.
func (f *fleet) policy(kind, name, what string, holds func(s *isthmusv1.PolicyStatus) bool) *isthmusv1.PolicyStatus {
	f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		var s *isthmusv1.PolicyStatus
		if o, ok := f.c.Snapshot.View().Get(kind, name); ok {
			s, _ = resource.Status(o).(*isthmusv1.PolicyStatus)
		}
		if s != nil && holds(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("%s %s never is %s: %v", kind, name, what, s)
		}
	}
}

func (f *fleet) ready(kind, name, reason string) *isthmusv1.PolicyStatus {
	f.t.Helper()
	return f.policy(kind, name, reason, func(s *isthmusv1.PolicyStatus) bool {
		return resource.FindCondition(s.GetConditions(), resource.ConditionReady).GetReason() == reason
	})
}

// events are those of an action, the oldest first.
func (f *fleet) events(action string) []*isthmusv1.EventSpec {
	f.t.Helper()
	page, err := f.st.Events(f.t.Context(), store.EventQuery{Limit: 100})
	if err != nil {
		f.t.Fatal(err)
	}
	var out []*isthmusv1.EventSpec
	for _, e := range page {
		if e.GetSpec().GetAction() == action {
			out = append(out, e.GetSpec())
		}
	}
	return out
}

// wrote is what an agent reports that has done all that is wanted of it.
func (f *fleet) wrote(datacenter string) *isthmusv1.PolicyReport {
	out := &isthmusv1.PolicyReport{}
	for _, e := range policy.Entries(f.c.Snapshot.View(), datacenter).GetEntries() {
		out.Entries = append(out.Entries, &isthmusv1.ObservedEntry{
			Kind: e.GetKind(), Name: e.GetName(), Namespace: e.GetNamespace(), WantedDigest: resource.Digest(e), State: resource.PolicyApplied,
		})
	}
	return out
}

func datacenter(name string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{Name: name, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
}

func intention(name, destination, source string, datacenters ...string) *isthmusv1.Intention {
	return &isthmusv1.Intention{Name: name, Spec: &isthmusv1.IntentionSpec{
		Destination: &isthmusv1.IntentionDestination{Service: destination, Datacenters: datacenters},
		Sources:     []*isthmusv1.IntentionSource{{Service: source, Action: resource.ActionAllow}},
	}}
}

// What somebody did to isthmus's part of an entry is told once, by the agent that saw it, whatever else is reported after.
func TestDriftIsAudited(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"), intention("api-from-web", "api", "web", "dc1"))
	f.ready(resource.KindIntention, "api-from-web", "Pending")
	report := f.wrote("dc1")
	f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: report})
	f.ready(resource.KindIntention, "api-from-web", "Applied")

	drift := func(n uint64, corrected bool) *isthmusv1.Drift {
		return &isthmusv1.Drift{
			Entry: "service-intentions/api", Part: "source/default/web", Wanted: `{"Action":"allow","Name":"web"}`, Found: fmt.Sprintf(`{"n":%d}`, n),
			Time: timestamppb.New(time.Unix(1_700_000_000, 0)), Corrected: corrected, ModifyIndex: n,
		}
	}
	other := drift(7, true)
	other.Part = "source/default/mine"
	seen := func(n uint64) func(*isthmusv1.PolicyStatus) bool {
		return func(s *isthmusv1.PolicyStatus) bool { return s.GetPlacements()[0].GetDrift().GetModifyIndex() == n }
	}
	for _, drifts := range [][]*isthmusv1.Drift{{drift(11, true)}, {drift(13, true), drift(12, false), other, drift(11, true)}} {
		next := f.wrote("dc1")
		next.Drifts = drifts
		f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: next})
		f.policy(resource.KindIntention, "api-from-web", "drifted", seen(drifts[0].GetModifyIndex()))
	}
	// Another agent leads, and remembers nothing; then it sees something, too.
	f.report("a2", "dc1", &isthmusv1.ReportRequest{Policy: f.wrote("dc1")})
	next := f.wrote("dc1")
	next.Drifts = []*isthmusv1.Drift{drift(14, true)}
	f.report("a2", "dc1", &isthmusv1.ReportRequest{Policy: next})
	f.policy(resource.KindIntention, "api-from-web", "drifted", seen(14))

	want := []struct{ actor, says string }{
		{"agent/a1", `{"n":11} instead of {"Action":"allow","Name":"web"}; it was put back`},
		{"agent/a1", `(its ModifyIndex 12), seen at 2023-11-14T22:13:20Z: {"n":12} instead of {"Action":"allow","Name":"web"}; it is only reported`},
		{"agent/a1", `dc1: somebody changed source/default/web in service-intentions/api (its ModifyIndex 13)`},
		{"agent/a2", `Consul does not tell who`},
	}
	got := f.events(resource.ActionDrift)
	if len(got) != len(want) {
		t.Fatalf("got %d events: %v", len(got), got)
	}
	for i, w := range want {
		if got[i].GetActor() != w.actor || !strings.Contains(got[i].GetMessage(), w.says) || got[i].GetTarget() != "api-from-web" {
			t.Errorf("event %d is %v", i, got[i])
		}
	}
	if moves := f.events(resource.ActionTransition); len(moves) != 1 || !strings.Contains(moves[0].GetMessage(), "Pending → Applied") {
		t.Errorf("transitions: %v", moves)
	}
}

// A conflict is told once, and again when what stands against it is something else.
func TestConflictsAreAudited(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"), intention("api-from-web", "api", "web", "dc1"))
	f.ready(resource.KindIntention, "api-from-web", "Pending")
	for i, found := range []string{"first", "first", "second"} {
		report := f.wrote("dc1")
		report.Entries[0].State = resource.PolicyConflict
		report.Entries[0].Parts = []*isthmusv1.ObservedPart{{
			Key: "source/default/web", State: resource.PolicyConflict, Message: fmt.Sprint("report ", i), Found: found, Fix: "take it out",
		}}
		f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: report})
		f.policy(resource.KindIntention, "api-from-web", "in conflict", func(s *isthmusv1.PolicyStatus) bool {
			return strings.Contains(s.GetPlacements()[0].GetMessage(), fmt.Sprint("report ", i))
		})
	}
	got := f.events(resource.ActionConflict)
	if len(got) != 2 || !strings.Contains(got[0].GetMessage(), "dc1: source/default/web in service-intentions/api is first, where") ||
		!strings.Contains(got[1].GetMessage(), "is second") || got[0].GetActor() != "controller" {
		t.Errorf("got %v", got)
	}
}

// A report of one datacenter writes the statuses of its policies, and of no others; another policy of the same service is looked at again.
func TestPoliciesThatAChangeTouches(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"), datacenter("dc2"), intention("here", "api", "web", "dc1"), intention("there", "api", "web", "dc2"))
	for _, name := range []string{"here", "there"} {
		f.ready(resource.KindIntention, name, "Pending")
	}
	f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: f.wrote("dc1")})
	f.ready(resource.KindIntention, "here", "Applied")
	f.ready(resource.KindIntention, "there", "Pending")

	// It has another part in the same entry: what is applied is no longer all that is wanted.
	f.put(intention("here-too", "api", "mobile", "dc1"))
	f.ready(resource.KindIntention, "here", "Pending")
	f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: f.wrote("dc1")})
	f.ready(resource.KindIntention, "here", "Applied")
	f.ready(resource.KindIntention, "here-too", "Applied")
}

// A policy that chooses by labels is looked at again when a datacenter's labels change: also when it chooses that no longer.
func TestPolicyFollowsLabels(t *testing.T) {
	t.Parallel()
	labelled := func(name, team string) *isthmusv1.Datacenter {
		dc := datacenter(name)
		dc.Labels = map[string]string{"team": team}
		return dc
	}
	own := intention("own", "api", "web")
	own.Spec.Destination.Selector = "team=a"
	callers := intention("callers", "api", "mobile", "dc3")
	callers.Spec.Sources[0].Selector = "team=a"
	f := newFleet(t, labelled("dc1", "a"), labelled("dc2", "a"), labelled("dc3", "b"), own, callers)
	about := func(datacenters int, callers string) {
		t.Helper()
		f.policy(resource.KindIntention, "own", "in as many datacenters", func(s *isthmusv1.PolicyStatus) bool { return int(s.GetDatacenters()) == datacenters })
		f.policy(resource.KindIntention, "callers", "about callers in "+callers, func(s *isthmusv1.PolicyStatus) bool {
			return len(s.GetProblems()) == 1 && strings.HasPrefix(s.GetProblems()[0].GetMessage(), callers+": no Peering")
		})
	}
	about(2, "dc1, dc2")
	f.put(labelled("dc2", "b"))
	about(1, "dc1")
	f.put(labelled("dc2", "a"))
	about(2, "dc1, dc2")
}

// What somebody did to isthmus's consumers is told, too.
func TestDriftOfExportsIsAudited(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"), &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
		Service: "web", Datacenters: []string{"dc1"}, Consumers: &isthmusv1.ExportConsumers{Peers: []string{"partner"}},
	}})
	report := &isthmusv1.ExportsReport{
		Exports: []*isthmusv1.ObservedExport{{Name: "web", Namespace: "default", Peers: []string{"partner"}, State: resource.ExportApplied}},
		Drifts: []*isthmusv1.Drift{
			{Entry: "exported-services/default", Part: "export/default/web@partner", Wanted: `{"Peer":"partner"}`, Corrected: true, ModifyIndex: 5},
			{Entry: "exported-services/default", Part: "export/default/web2@partner", Corrected: true},
		},
	}
	f.report("a1", "dc1", &isthmusv1.ReportRequest{Exports: report})
	var at []*isthmusv1.ExportPlacement
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for len(at) == 0 || at[0].GetDrift() == nil {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no drift: %v", at)
		}
		e, _ := resource.Lookup[*isthmusv1.ServiceExport](f.c.Snapshot.View(), resource.KindServiceExport, "web")
		at = e.GetStatus().GetPlacements()
	}
	if at[0].GetState() != resource.ExportApplied || at[0].GetDrift().GetModifyIndex() != 5 {
		t.Errorf("placement %v", at[0])
	}
	if got := f.events(resource.ActionDrift); len(got) != 1 || !strings.Contains(got[0].GetMessage(), `export/default/web@partner in exported-services/default (its ModifyIndex 5)`) ||
		!strings.Contains(got[0].GetMessage(), "nothing instead of") {
		t.Errorf("events %v", got)
	}
}

// What somebody did to isthmus's setting in the mesh or proxy-defaults entry is told of the datacenter, once.
func TestDriftOfSettingsIsAudited(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"))
	drift := func(entry string, n uint64) *isthmusv1.Drift {
		part, wanted := "Peering.PeerThroughMeshGateways", "true"
		if entry == "proxy-defaults/global" {
			part, wanted = "MeshGateway.Mode", `"local"`
		}
		return &isthmusv1.Drift{Entry: entry, Part: part, Wanted: wanted, Found: `{"Exact":"s3cret"}`, Time: timestamppb.New(time.Unix(1_700_000_000, 0)), Corrected: true, ModifyIndex: n}
	}
	told := func(agent string, drifts ...*isthmusv1.Drift) {
		t.Helper()
		f.report(agent, "dc1", &isthmusv1.ReportRequest{Policy: &isthmusv1.PolicyReport{Drifts: drifts}})
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		deadline := time.After(patience)
		for {
			d, _ := resource.Lookup[*isthmusv1.Datacenter](f.c.Snapshot.View(), resource.KindDatacenter, "dc1")
			if d.GetStatus().GetDrift().GetModifyIndex() == drifts[0].GetModifyIndex() {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("it is never known: %v", d.GetStatus())
			}
		}
	}
	told("a1", drift("mesh/mesh", 11))
	told("a1", drift("proxy-defaults/global", 13), drift("service-intentions/api", 12), drift("mesh/mesh", 11))
	// No such setting is isthmus's: an agent that makes it up tells nobody of it.
	invented := drift("mesh/x", 21)
	other := drift("mesh/mesh", 22)
	other.Part = "made up"
	told("a2", drift("mesh/mesh", 14), invented, other)
	var got []string
	for _, e := range f.events(resource.ActionDrift) {
		if strings.Contains(e.GetMessage(), "s3cret") || !strings.Contains(e.GetMessage(), ": … instead of ") {
			t.Errorf("it tells what the agent made up: %s", e.GetMessage())
		}
		_, entry, _ := strings.Cut(e.GetMessage(), " in ")
		entry, _, _ = strings.Cut(entry, ",")
		got = append(got, fmt.Sprintf("%s %s/%s: %s", e.GetActor(), e.GetKind(), e.GetTarget(), entry))
	}
	want := "agent/a1 Datacenter/dc1: mesh/mesh (its ModifyIndex 11)\nagent/a1 Datacenter/dc1: proxy-defaults/global (its ModifyIndex 13)\nagent/a2 Datacenter/dc1: mesh/mesh (its ModifyIndex 14)"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
