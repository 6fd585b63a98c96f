package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func datacenter(name, env string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{
		Name: name, Labels: map[string]string{"env": env}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"},
	}
}

func peering(acceptor, dialer string) *isthmusv1.Peering {
	return &isthmusv1.Peering{
		Name: acceptor + "-" + dialer, Uid: acceptor + "-" + dialer,
		Spec: &isthmusv1.PeeringSpec{Acceptor: acceptor, Dialer: dialer},
	}
}

func export(name, service string, from []string, to *isthmusv1.ExportConsumers) *isthmusv1.ServiceExport {
	return &isthmusv1.ServiceExport{
		Name: name, Spec: &isthmusv1.ServiceExportSpec{Service: service, Datacenters: from, Consumers: to},
	}
}

func everyone() *isthmusv1.ExportConsumers { return &isthmusv1.ExportConsumers{Selector: "env=prod"} }

// Three datacenters, dc1 peered with both others.
func fleet() *resourcetest.Fleet {
	return resourcetest.New(
		datacenter("dc1", "prod"), datacenter("dc2", "prod"), datacenter("dc3", "test"),
		peering("dc1", "dc2"), peering("dc3", "dc1"),
	)
}

func TestExports(t *testing.T) {
	t.Parallel()
	leaving := peering("dc1", "dc2")
	leaving.DeleteTime = timestamppb.New(noon)
	renamed := peering("dc1", "dc2")
	renamed.Spec.AcceptorPeerName = "west"
	gone := export("web", "web", []string{"dc1"}, everyone())
	gone.DeleteTime = timestamppb.New(noon)
	one := func(name string, exports []string, peers ...string) []*isthmusv1.ExportedService {
		return []*isthmusv1.ExportedService{{Name: name, Namespace: "default", Peers: peers, Exports: exports}}
	}
	for _, tt := range []struct {
		name string
		also []resource.Object
		in   string
		want []*isthmusv1.ExportedService
	}{
		{"nothing is exported", nil, "dc1", nil},
		{"an undeclared datacenter exports nothing", []resource.Object{export("web", "web", []string{"dc9"}, everyone())}, "dc9", nil},
		{
			"a selector chooses among the peers, not the exporter itself",
			[]resource.Object{export("web", "web", []string{"dc1"}, everyone())},
			"dc1", one("web", []string{"web"}, "dc2"),
		},
		{"others export nothing", []resource.Object{export("web", "web", []string{"dc1"}, everyone())}, "dc2", nil},
		{
			"consumers by name, whoever accepted",
			[]resource.Object{export("web", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc3", "dc2"}})},
			"dc1", one("web", []string{"web"}, "dc2", "dc3"),
		},
		{
			"the name that the exporter has for its peer",
			[]resource.Object{renamed, export("web", "web", []string{"dc1"}, everyone())},
			"dc1", one("web", []string{"web"}, "west"),
		},
		{
			"a datacenter that is not peered consumes nothing",
			[]resource.Object{export("web", "web", []string{"dc2"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc3"}})},
			"dc2", nil,
		},
		{"a peering that is being deleted does not count", []resource.Object{leaving, export("web", "web", []string{"dc1"}, everyone())}, "dc1", nil},
		{"an export that is being deleted does not count", []resource.Object{gone}, "dc1", nil},
		{
			"external peers as they are named",
			[]resource.Object{export("web", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"acme"}})},
			"dc1", one("web", []string{"web"}, "acme"),
		},
		{
			"several exports of one service are one",
			[]resource.Object{
				export("a", "web", []string{"dc1"}, everyone()),
				export("b", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc2", "dc3"}}),
			},
			"dc1", one("web", []string{"a", "b"}, "dc2", "dc3"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Put(tt.also...)
			if diff := cmp.Diff(tt.want, policy.Exports(f, tt.in).GetServices(), protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("exports of %s (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

// Whatever is declared, nothing is exported to somebody who is not a living peer, and every pair that is wanted is there.
func TestExportsAreExactlyWhatIsDeclared(t *testing.T) {
	t.Parallel()
	names := []string{"dc1", "dc2", "dc3", "dc4"}
	rapid.Check(t, func(t *rapid.T) {
		f := resourcetest.New()
		labels := map[string]string{}
		for _, name := range names {
			labels[name] = rapid.SampledFrom([]string{"prod", "test"}).Draw(t, "env of "+name)
			f.Put(datacenter(name, labels[name]))
		}
		connected := map[string]bool{}
		for i, a := range names {
			for _, b := range names[i+1:] {
				if rapid.Bool().Draw(t, a+"-"+b) {
					f.Put(peering(a, b))
					connected[a+b], connected[b+a] = true, true
				}
			}
		}
		want := map[[3]string]bool{}
		for i := range rapid.IntRange(0, 5).Draw(t, "exports") {
			service := rapid.SampledFrom([]string{"web", "api"}).Draw(t, "service")
			from := rapid.SampledFrom(names).Draw(t, "from")
			f.Put(export(string(rune('a'+i)), service, []string{from}, everyone()))
			for _, to := range names {
				if connected[from+to] && labels[to] == "prod" {
					want[[3]string{from, service, to}] = true
				}
			}
		}
		got := map[[3]string]bool{}
		for _, name := range names {
			for _, s := range policy.Exports(f, name).GetServices() {
				if !slices.IsSorted(s.GetPeers()) {
					t.Fatalf("peers of %s in %s are not sorted: %v", s.GetName(), name, s.GetPeers())
				}
				for _, peer := range s.GetPeers() {
					got[[3]string{name, s.GetName(), peer}] = true
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("exported (-want +got):\n%s", diff)
		}
	})
}

func TestExportStatus(t *testing.T) {
	t.Parallel()
	report := func(state string, peers ...string) *isthmusv1.ExportsReport {
		return &isthmusv1.ExportsReport{Exports: []*isthmusv1.ObservedExport{
			{Name: "web", Namespace: "default", Peers: peers, State: state, Message: "why"},
		}}
	}
	said := func(r *isthmusv1.ExportsReport, online bool) func(string) (*isthmusv1.ExportsReport, bool) {
		return func(string) (*isthmusv1.ExportsReport, bool) { return r, online }
	}
	for _, tt := range []struct {
		name   string
		report *isthmusv1.ExportsReport
		state  string
		reason string
		ready  string
	}{
		{"not reported", nil, resource.ExportPending, "Pending", resource.ConditionFalse},
		{"not written yet", &isthmusv1.ExportsReport{}, resource.ExportPending, "Pending", resource.ConditionFalse},
		{"not to all yet", report(resource.ExportApplied, "dc3"), resource.ExportPending, "Pending", resource.ConditionFalse},
		{"applied", report(resource.ExportApplied, "dc2"), resource.ExportApplied, "Applied", resource.ConditionTrue},
		{"in conflict", report(resource.ExportConflict), resource.ExportConflict, "Conflict", resource.ConditionFalse},
		{"drifted", report(resource.ExportDrifted), resource.ExportDrifted, "Drifted", resource.ConditionFalse},
		{
			"Consul refuses", &isthmusv1.ExportsReport{ErrorReason: "PermissionDenied", Error: "lacks mesh:write"},
			resource.ExportFailed, "Failed", resource.ConditionFalse,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := export("web", "web", []string{"dc1"}, everyone())
			f := fleet()
			f.Put(e)
			status := policy.ExportStatus(f, e, said(tt.report, true), noon)
			if got := status.GetPlacements()[0].GetState(); got != tt.state {
				t.Errorf("state %s, want %s", got, tt.state)
			}
			c := resource.FindCondition(status.GetConditions(), resource.ConditionReady)
			if c.GetStatus() != tt.ready || c.GetReason() != tt.reason {
				t.Errorf("condition %s %s, want %s %s", c.GetStatus(), c.GetReason(), tt.ready, tt.reason)
			}
			e.Status = status
			again := policy.ExportStatus(f, e, said(tt.report, true), noon.Add(time.Hour))
			if diff := cmp.Diff(status, again, protocmp.Transform()); diff != "" {
				t.Errorf("an hour later it differs (-then +now):\n%s", diff)
			}
			e.Generation = 2
			c = policy.ExportStatus(f, e, said(tt.report, true), noon).GetConditions()[0]
			if c.GetObservedGeneration() != 2 {
				t.Errorf("the condition is of generation %d; want 2", c.GetObservedGeneration())
			}
			if tt.report == nil {
				return
			}
			silent := policy.ExportStatus(f, e, said(tt.report, false), noon)
			if p := silent.GetPlacements()[0]; p.GetState() != resource.ExportUnknown || silent.GetApplied() != 0 || !strings.Contains(p.GetMessage(), tt.state) {
				t.Errorf("with a silent agent: %v", p)
			}
			if c := silent.GetConditions()[0]; c.GetStatus() != resource.ConditionUnknown || c.GetReason() != "AgentSilent" {
				t.Errorf("with a silent agent: %v", c)
			}
		})
	}
}

// The last drift of an export's own consumers is remembered when the agent tells of it no more, for as long as the consumer is wanted.
func TestDriftOfAnExportIsRemembered(t *testing.T) {
	t.Parallel()
	e := export("web", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"partner"}})
	f := fleet()
	f.Put(e)
	drift := func(drifts ...*isthmusv1.Drift) *isthmusv1.Drift {
		e.Status = policy.ExportStatus(f, e, func(string) (*isthmusv1.ExportsReport, bool) { return &isthmusv1.ExportsReport{Drifts: drifts}, true }, noon)
		return e.GetStatus().GetPlacements()[0].GetDrift()
	}
	if got := drift(&isthmusv1.Drift{Part: "export/default/web@partner", ModifyIndex: 5}); got.GetModifyIndex() != 5 {
		t.Errorf("told: %v", got)
	}
	if got := drift(); got.GetModifyIndex() != 5 {
		t.Errorf("told no more: %v", got)
	}
	e.Spec.Consumers.Peers = []string{"another"}
	if got := drift(); got != nil {
		t.Errorf("once it is another consumer: %v", got)
	}
}

// A consumer that no export wants any more is still exported to until the agent says otherwise; one that another export of the
// service wants is none of this one's business.
func TestExportStatusSeesWhoIsStillThere(t *testing.T) {
	t.Parallel()
	e := export("web", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc2"}})
	other := export("web-for-dc3", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc3"}})
	f := fleet()
	f.Put(e)
	f.Put(other)
	state := func(peers ...string) string {
		report := &isthmusv1.ExportsReport{Exports: []*isthmusv1.ObservedExport{
			{Name: "web", Namespace: "default", Peers: peers, State: resource.ExportApplied},
		}}
		p := policy.ExportStatus(f, e, func(string) (*isthmusv1.ExportsReport, bool) { return report, true }, noon).GetPlacements()[0]
		return strings.TrimSpace(p.GetState() + " " + p.GetMessage())
	}
	if got := state("dc2", "dc3"); got != "applied" {
		t.Errorf("with both exports: %s", got)
	}
	if got := state("dc2"); got != "applied" {
		t.Errorf("the other export is not written yet: %s", got)
	}
	f.Delete(resource.KindServiceExport, other.GetName())
	if got := state("dc2", "dc3"); got != "pending still exported to dc3" {
		t.Errorf("without the other export: %s", got)
	}
	if got := state("dc2"); got != "applied" {
		t.Errorf("once it is taken out: %s", got)
	}
}
