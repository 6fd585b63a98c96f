package policy_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// keys are the parts that a datacenter's service-intentions come to.
func keys(r resource.Reader, datacenter string) (out []string) {
	for _, e := range policy.Entries(r, datacenter).GetEntries() {
		for _, p := range e.GetParts() {
			out = append(out, p.GetKey())
		}
	}
	return out
}

// Whoever is on the way out is let in no more, and kept out for as long as it is connected.
func TestDepartingDatacenter(t *testing.T) {
	t.Parallel()
	dc := func(name string) *isthmusv1.Datacenter {
		return &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"env": "prod"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
	}
	source := func(service, action string) *isthmusv1.IntentionSource {
		return &isthmusv1.IntentionSource{Service: service, Selector: "env=prod", Action: action}
	}
	i := &isthmusv1.Intention{Name: "api", Spec: &isthmusv1.IntentionSpec{
		Destination: &isthmusv1.IntentionDestination{Service: "api", Selector: "env=prod"},
		Sources:     []*isthmusv1.IntentionSource{source("web", resource.ActionAllow), source("mobile", resource.ActionDeny)},
		Scope:       resource.ScopeFederation,
	}}
	export := &isthmusv1.ServiceExport{Name: "api", Spec: &isthmusv1.ServiceExportSpec{
		Service: "api", Selector: "env=prod", Consumers: &isthmusv1.ExportConsumers{Selector: "env=prod"},
	}}
	p := &isthmusv1.Peering{Name: "dc1-dc3", Uid: "u", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc3"}}
	dc3 := dc("dc3")
	f := resourcetest.New(dc("dc1"), dc3, p, i, export)
	both := []string{"source/default/mobile", "source/default/mobile@dc3", "source/default/web", "source/default/web@dc3"}
	if got := keys(f, "dc1"); !slices.Equal(got, both) {
		t.Fatalf("before: %v", got)
	}
	kept := []string{"source/default/mobile", "source/default/mobile@dc3", "source/default/web"}
	dc3.DeleteTime = timestamppb.Now()
	f.Put(dc3)
	if got := keys(f, "dc1"); !slices.Equal(got, kept) {
		t.Errorf("on its way out: %v", got)
	}
	if got := policy.Exports(f, "dc1").GetServices(); len(got) > 0 {
		t.Errorf("exported to it: %v", got)
	}
	if got := keys(f, "dc3"); len(got) > 0 || len(policy.Exports(f, "dc3").GetServices()) > 0 {
		t.Errorf("in its own Consul: %v", got)
	}
	testClosing(t, f, dc3, p)
	p.DeleteTime = timestamppb.Now()
	f.Put(p)
	if got := keys(f, "dc1"); !slices.Equal(got, kept) {
		t.Errorf("while its peering is being deleted: %v", got)
	}
	f.Delete(resource.KindPeering, "dc1-dc3")
	if got := keys(f, "dc1"); !slices.Equal(got, []string{"source/default/mobile", "source/default/web"}) {
		t.Errorf("connected no more: %v", got)
	}
	// As a secondary.
	i.Spec.Sources[1].Selector, i.Spec.Sources[1].Datacenters = "", []string{"dc3"}
	f.Put(i, &isthmusv1.Federation{
		Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc3"}},
		Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{{Datacenter: "dc3", Role: resource.RoleSecondary, Phase: resource.PhaseJoined}}},
	})
	if got := keys(f, "dc1"); !slices.Equal(got, []string{"source/default/mobile", "source/default/web"}) {
		t.Errorf("as a secondary: %v", got)
	}
	f.Delete(resource.KindFederation, "global")
	if got := keys(f, "dc1"); !slices.Equal(got, []string{"source/default/web"}) {
		t.Errorf("as no secondary: %v", got)
	}
}

// testClosing: in its own Consul, too, what denies stays while somebody can call it, and its removal is not at its agents.
func testClosing(t *testing.T, f *resourcetest.Fleet, dc3 *isthmusv1.Datacenter, p *isthmusv1.Peering) {
	t.Helper()
	agents := &isthmusv1.RemovalStep{Id: resource.StepAgents, State: resource.StepWaiting}
	removed := resource.Clone(dc3)
	removed.Status = &isthmusv1.DatacenterStatus{Removal: &isthmusv1.DatacenterRemoval{Steps: []*isthmusv1.RemovalStep{agents}}}
	everybody := &isthmusv1.Intention{Name: "all", Spec: &isthmusv1.IntentionSpec{
		Destination: &isthmusv1.IntentionDestination{Service: "api", Datacenters: []string{"dc3"}},
		Sources:     []*isthmusv1.IntentionSource{{Service: "spy", Action: resource.ActionDeny}, {Service: "spy", Peer: "acme", Action: resource.ActionDeny}, {Service: "cron", Action: resource.ActionAllow}},
	}}
	traffic := &isthmusv1.TrafficPolicy{Name: "api", Spec: &isthmusv1.TrafficPolicySpec{Service: "api", Datacenters: []string{"dc3"}, Protocol: "http"}}
	f.Put(removed, everybody, traffic)
	denials := []string{"source/default/mobile", "source/default/mobile@dc1", "source/default/spy", "source/default/spy@acme"}
	if got := keys(f, "dc3"); !slices.Equal(got, denials) {
		t.Errorf("in its own Consul, while it is removed: %v", got)
	}
	leaving := resource.Clone(p)
	leaving.DeleteTime = timestamppb.Now()
	f.Put(leaving)
	if got := keys(f, "dc3"); !slices.Equal(got, denials) {
		t.Errorf("in its own Consul, while its peering is being deleted: %v", got)
	}
	f.Delete(resource.KindPeering, p.GetName())
	if got := keys(f, "dc3"); len(got) > 0 {
		t.Errorf("in its own Consul, connected no more: %v", got)
	}
	f.Put(p)
	agents.State = resource.StepDoing
	f.Put(resource.Clone(removed))
	if got := keys(f, "dc3"); len(got) > 0 {
		t.Errorf("in its own Consul, when its agents go: %v", got)
	}
	f.Delete(resource.KindIntention, "all")
	f.Delete(resource.KindTrafficPolicy, "api")
	f.Put(dc3)
}
