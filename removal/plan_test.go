package removal_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/removal"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// fleetOf are manifests as resources, beside the datacenters dc1 to dc3 with labels env: prod.
func fleetOf(t testing.TB, manifests string) *resourcetest.Fleet {
	t.Helper()
	f := resourcetest.New()
	for _, name := range []string{"dc1", "dc2", "dc3"} {
		f.Put(&isthmusv1.Datacenter{
			Name: name, Uid: "uid-" + name, Labels: map[string]string{"env": "prod"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"},
			Status: &isthmusv1.DatacenterStatus{Agent: resource.LivenessOnline, ConsulVersion: "1.20.6"},
		})
		f.Put(&isthmusv1.Agent{
			Name: name + "-a", Uid: "uid-" + name + "-a", Spec: &isthmusv1.AgentSpec{Datacenter: name, Kind: "agent", Attestation: &isthmusv1.Attestation{Agent: name + "-a"}},
			Status: &isthmusv1.AgentStatus{Trust: resource.TrustFleet, Leader: true},
		})
	}
	if manifests == "" {
		return f
	}
	parsed, err := resource.ParseManifests("", []byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parsed {
		metadata := resource.MetadataOf(m.Object)
		metadata.UID = "uid-" + m.Object.GetName()
		resource.SetMetadata(m.Object, metadata)
		f.Put(m.Object)
	}
	return f
}

func dcOf(f resource.Reader, name string) *isthmusv1.Datacenter {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](f, resource.KindDatacenter, name)
	return dc
}

func planOf(f resource.Reader, name string, lost bool) *isthmusv1.DatacenterRemoval {
	return removal.Plan(f, dcOf(f, name), lost, federation.Evidence{})
}

// told is a change as one line: what is done, and for updates each field as it shall be.
func told(c *isthmusv1.Change) string {
	out := c.GetAction() + " " + c.GetKind() + " " + c.GetName()
	if c.GetAction() == resource.ActionUpdate {
		for _, f := range c.GetFields() {
			out += " " + strings.TrimPrefix(f.GetField(), "spec.") + "=" + f.GetAfter()
		}
	}
	if c.GetGroup() != "" {
		out += " of " + c.GetGroup()
	}
	return strings.ReplaceAll(out, `"`, "")
}

const peered = `
kind: Peering
name: dc1-dc3
spec: {acceptor: dc1, dialer: dc3, acceptorPeerName: east}
---
kind: Peering
name: dc2-dc3
spec: {acceptor: dc2, dialer: dc3}
---
`

// What becomes of what names a datacenter, or chooses it.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, manifests string
		changes         []string
		blocked         []string
	}{
		{name: "nothing names it"},
		{
			name:      "peerings, the primary's and groups",
			manifests: peered + "kind: PeeringGroup\nname: named\nspec: {datacenters: [dc1, dc3], shape: full-mesh}\n---\nkind: PeeringGroup\nname: alone\nspec: {datacenters: [dc3], shape: full-mesh}\n---\nkind: PeeringGroup\nname: chosen\nspec: {selector: env=prod, shape: full-mesh}\n",
			changes: []string{
				"delete PeeringGroup alone", "update PeeringGroup named datacenters=[dc1]", "unchanged PeeringGroup chosen", "delete Peering dc1-dc3", "delete Peering dc2-dc3",
			},
		},
		{
			name: "exports",
			manifests: peered + `
kind: ServiceExport
name: from-it
spec: {service: a, datacenters: [dc3], consumers: {datacenters: [dc1]}}
---
kind: ServiceExport
name: from-two
spec: {service: a, datacenters: [dc1, dc3], consumers: {datacenters: [dc2]}}
---
kind: ServiceExport
name: to-it
spec: {service: a, datacenters: [dc1], consumers: {datacenters: [dc3]}}
---
kind: ServiceExport
name: to-it-and-others
spec: {service: a, datacenters: [dc1], consumers: {datacenters: [dc2, dc3], peers: [partner]}}
---
kind: ServiceExport
name: to-its-peer-name
spec: {service: a, datacenters: [dc1], consumers: {peers: [east, partner]}}
---
kind: ServiceExport
name: chosen
spec: {service: a, selector: env=prod, consumers: {selector: env=prod}}
---
kind: ServiceExport
name: others
spec: {service: a, datacenters: [dc1], consumers: {datacenters: [dc2]}}
`,
			changes: []string{
				"delete ServiceExport from-it", "update ServiceExport from-two datacenters=[dc1]", "delete ServiceExport to-it",
				"update ServiceExport to-it-and-others consumers.datacenters=[dc2]", "update ServiceExport to-its-peer-name consumers.peers=[partner]",
				"unchanged ServiceExport chosen", "delete Peering dc1-dc3", "delete Peering dc2-dc3",
			},
		},
		{
			name: "intentions",
			manifests: peered + `
kind: Intention
name: in-it
spec: {destination: {service: a, datacenters: [dc3]}, sources: [{service: b, datacenters: [dc1], action: allow}]}
---
kind: Intention
name: in-two
spec: {destination: {service: a, datacenters: [dc1, dc3]}, sources: [{service: b, action: allow}]}
---
kind: Intention
name: from-it
spec: {destination: {service: a, datacenters: [dc1]}, sources: [{service: b, datacenters: [dc3], action: allow}]}
---
kind: Intention
name: from-it-and-others
spec: {destination: {service: a, datacenters: [dc1]}, sources: [{service: b, datacenters: [dc3], action: allow}, {service: c, peer: east, action: deny}, {service: d, datacenters: [dc2, dc3], action: deny}]}
---
kind: Intention
name: chosen
spec: {destination: {service: a, selector: env=prod}, sources: [{service: b, selector: env=prod, action: allow}]}
`,
			changes: []string{
				"update Intention from-it-and-others sources=[{action:deny,datacenters:[dc2],namespace:default,service:d}]", "delete Intention from-it",
				"delete Intention in-it", "update Intention in-two destination.datacenters=[dc1]", "unchanged Intention chosen", "delete Peering dc1-dc3", "delete Peering dc2-dc3",
			},
		},
		{
			name: "traffic",
			manifests: `
kind: TrafficPolicy
name: of-it
spec: {service: a, datacenters: [dc3], failover: [{datacenters: [dc1]}]}
---
kind: TrafficPolicy
name: failover
spec: {service: a, datacenters: [dc1], failover: [{datacenters: [dc3], service: b}, {datacenters: [dc2, dc3]}]}
---
kind: TrafficPolicy
name: only-there
spec: {service: b, datacenters: [dc1], redirect: {datacenter: dc3}}
---
kind: TrafficPolicy
name: split
spec: {service: c, datacenters: [dc1], split: [{weight: 60}, {weight: 10, target: {datacenter: dc3}}, {weight: 30, target: {datacenter: dc2}}]}
---
kind: TrafficPolicy
name: split-there
spec: {service: d, datacenters: [dc1], split: [{weight: 0}, {weight: 100, target: {datacenter: dc3}}]}
---
kind: TrafficPolicy
name: routes
spec: {service: e, datacenters: [dc1], routes: [{match: {pathPrefix: /a}, target: {datacenter: dc3}}, {match: {pathPrefix: /b}, target: {datacenter: dc2}}]}
`,
			changes: []string{
				"update TrafficPolicy failover failover=[{datacenters:[dc2]}]", "delete TrafficPolicy of-it", "delete TrafficPolicy only-there",
				"update TrafficPolicy routes routes=[{match:{pathPrefix:/b},target:{datacenter:dc2}}]",
				"update TrafficPolicy split split=[{weight:66.67},{target:{datacenter:dc2},weight:33.33}]", "delete TrafficPolicy split-there",
			},
		},
		{
			name:      "a secondary, with what was accepted for it, and its gateway",
			manifests: "kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], acceptDataLoss: [{datacenter: dc3, planDigest: abc}]}\n---\nkind: Gateway\nname: gw\nspec: {datacenter: dc3, wanAddress: '192.0.2.1:8443'}\n",
			changes:   []string{"update Federation global acceptDataLoss= secondaries=[dc2]", "delete Gateway gw"},
		},
		{
			name: "a secondary by selector", manifests: "kind: Federation\nname: global\nspec: {primary: dc1, secondarySelector: env=prod}\n",
			changes: []string{"unchanged Federation global"},
		},
		{
			name: "a primary alone", manifests: "kind: Federation\nname: global\nspec: {primary: dc3}\n",
			changes: []string{"delete Federation global"},
		},
		{
			name: "a primary with secondaries", manifests: "kind: Federation\nname: global\nspec: {primary: dc3, secondaries: [dc2]}\n",
			blocked: []string{"it is the primary of Federation global, and dc2 would be left without one"},
		},
		{
			name: "a peer's name that is somebody else's elsewhere",
			manifests: peered + `
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, dialerPeerName: east}
---
kind: ServiceExport
name: web
spec: {service: web, selector: env=prod, consumers: {peers: [east, x]}}
`,
			changes: []string{"unchanged ServiceExport web", "delete Peering dc1-dc3", "delete Peering dc2-dc3"},
			blocked: []string{"ServiceExport web names peer east, which is dc3 in dc1 and somebody else in dc2"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := planOf(fleetOf(t, tt.manifests), "dc3", false)
			var changes []string
			for _, c := range plan.GetChanges() {
				changes = append(changes, told(c))
			}
			slices.Sort(changes)
			slices.Sort(tt.changes)
			if diff := cmp.Diff(tt.changes, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if len(plan.GetBlocked()) != len(tt.blocked) {
				t.Fatalf("blocked: %q", plan.GetBlocked())
			}
			for i, want := range tt.blocked {
				if !strings.Contains(plan.GetBlocked()[i], want) {
					t.Errorf("blocked: %q, want %q", plan.GetBlocked()[i], want)
				}
			}
		})
	}
}

// Steps of a plan: what there is nothing to do in is skipped.
func TestPlannedSteps(t *testing.T) {
	t.Parallel()
	skipped := func(plan *isthmusv1.DatacenterRemoval) (out []string) {
		for _, s := range plan.GetSteps() {
			if s.GetState() == resource.StepSkipped {
				out = append(out, s.GetId())
			} else if s.GetState() != resource.StepWaiting || s.GetTitle() == "" {
				t.Errorf("%v", s)
			}
		}
		return out
	}
	if got := skipped(planOf(fleetOf(t, ""), "dc3", false)); !slices.Equal(got, []string{"Peerings", "Federation", "Tokens", "WANPool"}) {
		t.Errorf("of one that is alone: %v", got)
	}
	if got := skipped(planOf(fleetOf(t, peered), "dc3", false)); !slices.Equal(got, []string{"Federation", "Tokens", "WANPool"}) {
		t.Errorf("of a peered one: %v", got)
	}
	if got := skipped(planOf(fleetOf(t, "kind: Federation\nname: global\nspec: {primary: dc3}\n"), "dc3", false)); !slices.Equal(got, []string{"Peerings", "Tokens", "WANPool"}) {
		t.Errorf("of a primary: %v", got)
	}
	if got := skipped(planOf(fleetOf(t, "kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc3]}\n"), "dc3", false)); !slices.Equal(got, []string{"Peerings"}) {
		t.Errorf("of a secondary: %v", got)
	}
}

// The digest is of what is confirmed, and of nothing else.
func TestPlanDigest(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, peered)
	digest := planOf(f, "dc3", false).GetPlanDigest()
	same := fleetOf(t, peered)
	dcOf(same, "dc3").Status.Servers = 3
	same.Put(&isthmusv1.Agent{Name: "dc3-b", Spec: &isthmusv1.AgentSpec{Datacenter: "dc3", Kind: "agent"}})
	if got := planOf(same, "dc3", false).GetPlanDigest(); got != digest || len(digest) != 32 {
		t.Errorf("with what is none of it: %s, %s", got, digest)
	}
	same.Put(&isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
		Service: "web", Datacenters: []string{"dc3"}, Consumers: &isthmusv1.ExportConsumers{Datacenters: []string{"dc1"}},
	}})
	anew := fleetOf(t, peered)
	dcOf(anew, "dc3").Uid = "another"
	for what, other := range map[string]string{
		"a new export": planOf(same, "dc3", false).GetPlanDigest(), "lost": planOf(f, "dc3", true).GetPlanDigest(), "another dc3": planOf(anew, "dc3", false).GetPlanDigest(),
	} {
		if other == digest {
			t.Errorf("%s has the same digest", what)
		}
	}
}

// Who is heard of is not lost; who has nobody left to ask is not simply there.
func TestLostOrNot(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, "")
	if got := planOf(f, "dc3", true).GetBlocked(); len(got) != 1 || !strings.Contains(got[0], "its agents are heard of") {
		t.Errorf("lost, and heard of: %q", got)
	}
	dcOf(f, "dc3").Status.Agent = resource.LivenessOffline
	if got := planOf(f, "dc3", true).GetBlocked(); len(got) != 0 {
		t.Errorf("lost, and silent: %q", got)
	}
	f.Delete(resource.KindAgent, "dc3-a")
	if got := planOf(f, "dc3", false).GetBlocked(); len(got) != 1 || !strings.Contains(got[0], "say --lost") {
		t.Errorf("without agents: %q", got)
	}
	dcOf(f, "dc3").Status.ConsulVersion = ""
	if got := planOf(f, "dc3", false).GetBlocked(); len(got) != 0 {
		t.Errorf("where there never were any: %q", got)
	}
	// Of one that is being removed, what was confirmed counts, with another word on whether it is lost.
	confirmed := planOf(fleetOf(t, peered), "dc3", false)
	dc := dcOf(f, "dc3")
	dc.DeleteTime, dc.Status.Removal = timestamppb.Now(), confirmed
	again := planOf(f, "dc3", true)
	if len(again.GetChanges()) != 2 || !again.GetLost() || again.GetPlanDigest() == confirmed.GetPlanDigest() {
		t.Errorf("%v", again)
	}
}

// What lets it in goes first, what keeps it out last.
func TestDenialsGoLast(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, peered+`
kind: Intention
name: both
spec: {destination: {service: a, datacenters: [dc1]}, sources: [{service: b, datacenters: [dc3], action: allow}, {service: c, datacenters: [dc2, dc3], action: deny}, {service: d, peer: east, action: deny}, {service: "*", action: allow}]}
---
kind: Intention
name: denial
spec: {destination: {service: b, datacenters: [dc1]}, sources: [{service: b, datacenters: [dc3], action: deny}]}
---
kind: Intention
name: there
spec: {destination: {service: c, datacenters: [dc3]}, sources: [{service: b, action: allow}, {service: d, action: deny}]}
`)
	at := func(f resource.Reader, step string) (out []string) {
		edits, _ := removal.Edits(f, dcOf(f, "dc3"))
		for _, e := range edits {
			if i, ok := e.Before.(*isthmusv1.Intention); ok && e.Step == step {
				text := i.GetName() + ":"
				if after, ok := e.After.(*isthmusv1.Intention); ok {
					for _, s := range after.GetSpec().GetSources() {
						text += " " + s.GetAction() + " " + s.GetService() + strings.Join(s.GetDatacenters(), "+") + s.GetPeer()
					}
				}
				out = append(out, text)
			}
		}
		return out
	}
	want := []string{"both: deny cdc2+dc3 deny deast allow *", "there: deny d"}
	if got := at(f, resource.StepPolicies); !slices.Equal(got, want) {
		t.Errorf("at first: %q, want %q", got, want)
	}
	plan := planOf(f, "dc3", false)
	if got := told(plan.GetChanges()[0]); !strings.Contains(got, "{action:deny,datacenters:[dc2]") || strings.Contains(got, "east") {
		t.Errorf("the plan tells %s", got)
	}
	// Later, when its peerings are gone: who it was, the plan remembers.
	edits, _ := removal.Edits(f, dcOf(f, "dc3"))
	dc := dcOf(f, "dc3")
	dc.DeleteTime, dc.Status.Removal = timestamppb.Now(), plan
	for _, e := range edits {
		switch {
		case e.Step == resource.StepPolicies && e.After != nil:
			f.Put(e.After)
		case e.Step == resource.StepPeerings:
			f.Delete(resource.KindPeering, e.Before.GetName())
		}
	}
	if got := at(f, resource.StepPolicies); len(got) > 0 {
		t.Errorf("still at first: %q", got)
	}
	want = []string{"both: deny cdc2 allow *", "denial:", "there:"}
	if got := at(f, resource.StepAgents); !slices.Equal(got, want) {
		t.Errorf("at last: %q, want %q", got, want)
	}
}

// The plan says what becomes of calls within the datacenter itself.
func TestPlanTellsOfItsOwnCalls(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, busy)
	dcOf(f, "dc3").Status.DefaultIntentionPolicy = "deny"
	said := func(lost bool) string { return planOf(f, "dc3", lost).GetSteps()[0].GetMessage() }
	if got := said(false); !strings.Contains(got, "2 Intentions and 0 TrafficPolicies count in dc3 no more: calls within it go by its Consul's default intentions (deny)") {
		t.Error(got)
	}
	if got := said(true); got != "proven by the agents of dc1, dc2" {
		t.Errorf("of a lost one: %s", got)
	}
}
