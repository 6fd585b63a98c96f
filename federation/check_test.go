package federation_test

import (
	"strings"
	"testing"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	peer := func(group string) *isthmusv1.Peering {
		return &isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}, Status: &isthmusv1.PeeringStatus{Group: group}}
	}
	dc := func(name string, spec *isthmusv1.DatacenterSpec) *isthmusv1.Datacenter {
		return &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"env": "prod"}, Spec: spec}
	}
	for _, tt := range []struct {
		name        string
		object      resource.Object
		field, says string
	}{
		{"nothing", &isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc9"}}, "", ""},
		{"a peering", peer(""), "spec.secondaries[0]", "Peering p"},
		{"a group's peering", peer("mesh"), "", ""},
		{"an export of a secondary", &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{Service: "web", Datacenters: []string{"dc2"}}}, "spec.secondaries[0]", "ServiceExport web"},
		{"an export of the primary", &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{Service: "web", Datacenters: []string{"dc1"}}}, "", ""},
		{"an export by labels", &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{Service: "web", Selector: "env=prod"}}, "", ""},
		{"the same name in Consul", dc("dc3", &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulDatacenter: "dc2"}), "spec.secondaries[1]", "both called dc2"},
		{"a partition", dc("dc3", &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulPartition: "team"}), "spec.secondaries[1]", "partition team"},
		{"another federation", &isthmusv1.Federation{Name: "a", Spec: &isthmusv1.FederationSpec{Primary: "dc9", Secondaries: []string{"dc3"}}}, "spec.secondaries[1]", "Federation a"},
		{"another federation by labels", &isthmusv1.Federation{Name: "a", Spec: &isthmusv1.FederationSpec{Primary: "dc9", SecondarySelector: "env=prod"}}, "spec.secondaries[1]", "Federation a"},
		{"another federation's primary", &isthmusv1.Federation{Name: "a", Spec: &isthmusv1.FederationSpec{Primary: "dc1"}}, "spec.primary", "Federation a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2", "dc3")
			w.add("dc9")
			w.Put(dc("dc3", &isthmusv1.DatacenterSpec{Runtime: "vm"}), tt.object)
			one(t, federation.Check(w, w.f), tt.field, tt.says)
		})
	}
}

// one checks that there is one violation, or none.
func one(t *testing.T, got []fault.Violation, field, says string) {
	t.Helper()
	switch {
	case field == "" && len(got) == 0:
	case len(got) != 1 || got[0].Field != field || !strings.Contains(got[0].Message, says) || got[0].Reason == "":
		t.Errorf("got %+v, want %s: %s", got, field, says)
	}
}

func TestCheckPeering(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.add("dc9")
	for _, tt := range []struct {
		spec  *isthmusv1.PeeringSpec
		group string
		field string
	}{
		{&isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}, "", "spec.dialer"},
		{&isthmusv1.PeeringSpec{Acceptor: "dc2", Dialer: "dc1"}, "", "spec.dialer"},
		{&isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}, "mesh", ""},
		{&isthmusv1.PeeringSpec{Acceptor: "dc9", Dialer: "dc2"}, "", ""},
		{&isthmusv1.PeeringSpec{Acceptor: "dc1", ExternalDialer: "acme"}, "", ""},
	} {
		p := &isthmusv1.Peering{Name: "p", Spec: tt.spec, Status: &isthmusv1.PeeringStatus{Group: tt.group}}
		one(t, federation.CheckPeering(w, p), tt.field, "both in Federation global")
	}
}

func TestCheckExport(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	for field, spec := range map[string]*isthmusv1.ServiceExportSpec{
		"spec.datacenters[1]": {Service: "web", Datacenters: []string{"dc1", "dc2"}},
		"":                    {Service: "web", Selector: "env=prod"},
	} {
		one(t, federation.CheckExport(w, &isthmusv1.ServiceExport{Name: "web", Spec: spec}), field, "dc2 is a secondary of Federation global")
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2", "dc3", "dc4")
	w.join(t, "dc3")
	w.see("dc2", func(s *federation.Seen) {
		s.Federation.Loss = &isthmusv1.JoinLoss{Count: 1, Digest: "d", Items: []*isthmusv1.LostItem{{Kind: "policy", Name: "ops"}}}
	})
	w.see("dc4", func(s *federation.Seen) { s.Inventory, s.Federation = nil, nil })
	w.Put(&isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{Service: "web", Selector: "a!=b"}})
	w.settle(t)
	members := map[string]*isthmusv1.MemberPlan{}
	look := func(deleting bool) {
		t.Helper()
		clear(members)
		for _, m := range federation.Plan(w, w.f, w.evidence(), deleting).GetMembers() {
			members[m.GetDatacenter()] = m
		}
	}
	look(false)
	for dc, action := range map[string]string{"dc1": "primary", "dc2": "join", "dc3": "none", "dc4": "join"} {
		if got := members[dc]; got.GetAction() != action || len(got.GetBecomes()) == 0 || !got.GetKnown() {
			t.Errorf("%s: %v", dc, got)
		}
	}
	dc2 := members["dc2"]
	if dc2.GetDigest() != federation.PlanDigest("u1", "dc2", "join", "d") || dc2.GetAccepted() || len(dc2.GetLosses()) != 1 || len(dc2.GetRestarts()) == 0 || len(dc2.GetBlocked()) != 1 {
		t.Errorf("%v", dc2)
	}
	if !strings.Contains(strings.Join(dc2.GetBecomes(), "\n"), "web") {
		t.Errorf("it does not say that web is no longer exported: %v", dc2.GetBecomes())
	}
	if dc4 := members["dc4"]; dc4.GetDigest() != "" || len(dc4.GetRestarts()) != 0 || len(dc4.GetBlocked()) != 0 {
		t.Errorf("%v", dc4)
	}
	// As the spec would be.
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Secondaries = []string{"dc2"} })
	look(false)
	if got := members["dc3"]; got.GetAction() != federation.ActionLeave || len(got.GetRestarts()) == 0 || len(got.GetBecomes()) < 3 {
		t.Errorf("%v", got)
	}
	look(true)
	if members["dc2"] != nil || members["dc3"].GetAction() != federation.ActionLeave || members["dc1"].GetAction() != federation.ActionLeave {
		t.Errorf("deleting: %v", members)
	}
	// One that is not there yet: its digests depend on what it will be.
	w.edit(func(f *isthmusv1.Federation) { f.Uid, f.Status, f.Spec.Secondaries = "", nil, []string{"dc2"} })
	look(false)
	if got := members["dc2"]; got.GetDigest() != "" || len(got.GetLosses()) != 1 || len(got.GetBlocked()) != 1 {
		t.Errorf("before it is there: %v", got)
	}
}
