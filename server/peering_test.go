package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// pair is two datacenters with agents, and the Peering dc1-dc2 of both.
func pair(t *testing.T) (n *node, w *world, a1, a2 *agent) {
	t.Helper()
	n, w = start(t), newWorld()
	fleet := fleetKey(t)
	a1, a2 = n.enrol(w, fleet, "dc1").run(), n.enrol(w, fleet, "dc2").run()
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	return n, w, a1, a2
}

func TestPeeringBecomesHealthy(t *testing.T) {
	t.Parallel()
	n, w, a1, a2 := pair(t)
	p := n.becomes("dc1-dc2", peering.VerdictHealthy)
	token := p.GetStatus().GetToken()
	if token.GetGeneration() != 1 || token.GetReason() != peering.ReasonCreated {
		t.Errorf("token: %v", token)
	}
	entry := token.GetLedger()[0]
	if entry.GetMadeBy() != a1.id.Agent() || entry.GetDeliveredTo() != a2.id.Agent() || entry.GetUsedBy() != a2.id.Agent() || entry.GetOutcome() != resource.OutcomeUsed {
		t.Errorf("ledger: %v", entry)
	}
	if w.tokens != 1 {
		t.Errorf("%d tokens were minted for one peering", w.tokens)
	}
	events := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?kind=Peering&target=dc1-dc2", "")).body
	for _, action := range []string{"create", "rotate", "claim", "mint", "read-secret", "transition"} {
		if !strings.Contains(events, `"`+action+`"`) {
			t.Errorf("no event %s in %s", action, events)
		}
	}
}

func TestPeeringRotates(t *testing.T) {
	t.Parallel()
	n, _, _, _ := pair(t)
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/peerings/dc1-dc2:rotate", "{}"))
	n.uses("dc1-dc2", 2)
}

// A stream that hangs is shown with its evidence and the command that heals it; the command has a fresh token made, once.
func TestPeeringThatHangsIsHealed(t *testing.T) {
	t.Parallel()
	n, w, _, _ := pair(t)
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	if a := n.call(http.MethodPost, "/v1/peerings/dc1-dc2:heal", "{}"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "there is no stream that hangs") {
		t.Errorf("a healthy peering is healed: %d %s", a.status, a.body)
	}
	w.change(func() { w.hangs = true })
	eventually(t, "a stale peering with a suggestion", func() (bool, string) {
		s := n.peering("dc1-dc2").GetStatus()
		return s.GetVerdict() == peering.VerdictStale && s.GetBroken() == "both" && s.GetHeal().GetState() == peering.HealSuggested &&
			s.GetHeal().GetStep() == peering.StepReestablish, s.String()
	})
	row := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/connections?verdict=stale&datacenter=dc2", "")).body
	for _, words := range []string{`"broken":"both"`, `"fix":"isthmus peering heal dc1-dc2"`, `"id":"Heartbeat"`, `"a":"dc1"`, `"since":`} {
		if !strings.Contains(strings.ReplaceAll(row, `": `, `":`), words) {
			t.Errorf("no %s in %s", words, row)
		}
	}
	if row := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/connections?verdict=healthy", "")).body; strings.Contains(row, "dc1-dc2") {
		t.Errorf("among the healthy ones: %s", row)
	}
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/connections?datacenter=dc9", ""))
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/peerings/dc1-dc2:heal", "{}"))
	eventually(t, "a fresh token that is used", func() (bool, string) {
		s := n.peering("dc1-dc2").GetStatus()
		return s.GetToken().GetReason() == peering.ReasonHealing && peering.Current(s.GetToken()).GetOutcome() == resource.OutcomeUsed &&
			s.GetHeal().GetState() == peering.HealTrying, s.String()
	})
	w.change(func() { w.hangs = false })
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	events := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?kind=Peering&target=dc1-dc2", "")).body
	for _, words := range []string{"the next step of healing is wanted now", "trying, step 1 (reestablish)", "token generation 2 is wanted: Healing"} {
		if !strings.Contains(events, words) {
			t.Errorf("no event tells of %q in %s", words, events)
		}
	}
}

func TestPeeringIsDeletedAtBothEnds(t *testing.T) {
	t.Parallel()
	n, w, _, _ := pair(t)
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	got := n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/peerings/dc1-dc2", "")).fields(t)
	if got["outcome"] != "deleting" {
		t.Errorf("outcome: %v", got)
	}
	n.gone("dc1-dc2")
	if w.active("dc1")+w.active("dc2") != 0 {
		t.Error("an end is left in Consul")
	}
}

func TestPeeringComesBackAfterAWipe(t *testing.T) {
	t.Parallel()
	n, w, _, _ := pair(t)
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	w.wipe("dc2")
	n.uses("dc1-dc2", 2)
	if got := n.peering("dc1-dc2").GetStatus().GetToken().GetReason(); got != peering.ReasonDialerWiped {
		t.Errorf("reason %s", got)
	}
}

func TestMeshOfGroup(t *testing.T) {
	t.Parallel()
	n, w := start(t), newWorld()
	fleet := fleetKey(t)
	n.apply(datacenters("dc1", "dc2", "dc3") + `---
kind: PeeringGroup
name: demo
spec: {shape: full-mesh, selector: env=demo}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=demo}}
`)
	for _, dc := range []string{"dc1", "dc2", "dc3"} {
		n.enrol(w, fleet, dc).run()
	}
	for _, name := range []string{"demo-dc1-dc2", "demo-dc1-dc3", "demo-dc2-dc3"} {
		n.becomes(name, peering.VerdictHealthy)
	}
	groups := isthmusv1.NewPeeringGroupServiceClient(n.shared())
	eventually(t, "3 healthy peerings in the group", func() (bool, string) {
		g, err := groups.GetPeeringGroup(n.as(n.token), &isthmusv1.GetRequest{Name: "demo"})
		return err == nil && g.GetStatus().GetHealthy() == 3 && g.GetStatus().GetPeerings() == 3, g.String()
	})
	exports := isthmusv1.NewServiceExportServiceClient(n.shared())
	eventually(t, "the export applied", func() (bool, string) {
		e, err := exports.GetServiceExport(n.as(n.token), &isthmusv1.GetRequest{Name: "web"})
		return err == nil && e.GetStatus().GetApplied() == 1, e.String()
	})
	eventually(t, "what agents saw of dc1", func() (bool, string) {
		d, err := isthmusv1.NewDatacenterServiceClient(n.shared()).GetDatacenter(n.as(n.token), &isthmusv1.GetRequest{Name: "dc1"})
		g, gErr := isthmusv1.NewGatewayServiceClient(n.shared()).GetGateway(n.as(n.token), &isthmusv1.GetRequest{Name: "dc1-s1-mesh-gateway"})
		return err == nil && gErr == nil && d.GetStatus().GetAgent() == "online" && d.GetStatus().GetConsulVersion() == "1.20.6" &&
			g.GetSpec().GetSource() == "discovered", d.String() + g.String()
	})
}

// An update that says nothing of the token's generation takes no request for a token back.
func TestUpdateKeepsWhatRotationsAskedFor(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	for range 2 {
		n.want(http.StatusOK, n.call(http.MethodPost, "/v1/peerings/dc1-dc2:rotate", "{}"))
	}
	p, err := isthmusv1.NewPeeringServiceClient(n.shared()).UpdatePeering(n.as(n.token), &isthmusv1.UpdatePeeringRequest{
		Peering: &isthmusv1.Peering{Name: "dc1-dc2", Labels: map[string]string{"a": "b"}, Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}},
	})
	if err != nil || p.GetSpec().GetTokenGeneration() != 2 || p.GetLabels()["a"] != "b" {
		t.Errorf("%v %v", p, err)
	}
}

// An end that never answers holds up a deletion, but not one by force, of the peering or of all that its datacenter has.
func TestDeletionByForce(t *testing.T) {
	t.Parallel()
	n, w, _, a2 := pair(t)
	for _, c := range []struct{ path, other string }{
		{"/v1/peerings/dc1-dc2", "/v1/peerings/dc1-dc2"},
		{"/v1/datacenters/dc2", "/v1/peerings/dc1-dc2"},
	} {
		n.becomes("dc1-dc2", peering.VerdictHealthy)
		a2.stop()
		n.want(http.StatusBadRequest, n.call(http.MethodDelete, "/v1/datacenters/dc2?force=true", ""))
		outcome := func(path string) string {
			t.Helper()
			return n.want(http.StatusOK, n.call(http.MethodDelete, path, "")).fields(t)["outcome"].(string)
		}
		if got := outcome("/v1/peerings/dc1-dc2") + " " + outcome(c.path); got != "deleting deleting" {
			t.Errorf("%s: %s", c.path, got)
		}
		// What force leaves behind is an orphan, whose name is taken: dc1, which answers, has to have removed its end.
		eventually(t, "no end in dc1", func() (bool, string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.of("dc1")) == 0, fmt.Sprint(w.of("dc1"))
		})
		if got := outcome(c.path + "?force=true"); got != "deleted" {
			t.Errorf("%s by force: %s", c.path, got)
		}
		n.want(http.StatusNotFound, n.call(http.MethodGet, c.path, ""))
		n.want(http.StatusNotFound, n.call(http.MethodGet, c.other, ""))
		if events := n.call(http.MethodGet, "/v1/events?kind=Peering&target=dc1-dc2", "").body; !strings.Contains(events, "by force") {
			t.Errorf("the audit log: %s", events)
		}
		a2.run()
		n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	}
}
