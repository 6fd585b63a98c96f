package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// joins is three datacenters, with an agent each at work, and the federation global of them.
func joins(t *testing.T) (n *node, w *wan, fleet *identity.FleetKey, agents map[string]*agent) {
	t.Helper()
	n, w, fleet, agents = start(t), newWAN(t, "dc1"), fleetKey(t), map[string]*agent{}
	n.apply(datacenters("dc1", "dc2", "dc3"))
	for _, dc := range []string{"dc1", "dc2", "dc3"} {
		agents[dc] = n.enrolInto(w, fleet, dc)
	}
	return n, w, fleet, agents
}

func (n *node) enrolInto(w *wan, fleet *identity.FleetKey, dc string) *agent {
	n.t.Helper()
	a := n.enrol(w.world, fleet, dc)
	a.wan = w
	return a.run()
}

const joined = resource.PhaseJoined

// A federation from its manifest until it is gone again: bundles are made for each secondary alone, and revoked when it leaves.
func TestLifeOfAFederation(t *testing.T) {
	t.Parallel()
	n, w, _, agents := joins(t)
	n.apply(global)
	f := n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	if f.GetStatus().GetJoined() != 2 || f.GetStatus().GetSecondaries() != 2 {
		t.Errorf("joined: %v", f.GetStatus())
	}
	w.mu.Lock()
	opened := slices.Sorted(slices.Values(w.opened))
	w.mu.Unlock()
	if !slices.Equal(opened, []string{"dc2/1", "dc3/1"}) {
		t.Errorf("bundles were opened: %v", opened)
	}
	digest := resource.MemberOf(f, "dc2").GetBundle().GetSecretDigest()
	for _, dc := range []string{"dc1", "dc3"} {
		if _, err := agents[dc].sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{digest}}); status.Code(err) != codes.NotFound {
			t.Errorf("%s fetches the bundle of dc2: %v", dc, err)
		}
	}
	n.apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2], mode: mesh-gateway}\n")
	n.reaches(map[string]string{"dc1": joined, "dc2": joined})
	if w.is(w.tokens, "dc3") || w.is(w.joined, "dc3") || !w.is(w.tokens, "dc2") {
		t.Error("dc3 left, and its tokens are good, or those of dc2 are not")
	}
	if got := n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/federations/global", "")).fields(t); got["outcome"] != "deleting" {
		t.Errorf("deleting it: %v", got)
	}
	eventually(t, "it is gone", func() (bool, string) {
		a := n.call(http.MethodGet, "/v1/federations/global", "")
		return a.status == http.StatusNotFound, a.body
	})
	if w.is(w.tokens, "dc2") || w.is(w.joined, "dc2") {
		t.Error("dc2 is in a federation that is gone")
	}
	if _, err := agents["dc2"].sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{digest}}); status.Code(err) != codes.NotFound {
		t.Errorf("dc2 fetches its bundle after it left: %v", err)
	}
	events := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?kind=Federation&pageSize=1000", "")).body
	for _, text := range []string{
		`"create"`, `"bundle"`, "bundle of dc2, generation 1, sealed to 1 agents", `"read-secret"`, "federation-bundle, generation 1", "→ joined", "dc3: leaving → gone", `"delete"`,
	} {
		if !strings.Contains(events, text) {
			t.Errorf("the audit log has no %s: %s", text, events)
		}
	}
	if n := strings.Count(events, `"read-secret"`); n != 2 {
		t.Errorf("%d reads of secrets in the audit log: %s", n, events)
	}
}

// What all see, and who reaches whom.
func TestMembersAndReachability(t *testing.T) {
	t.Parallel()
	n, _, _, agents := joins(t)
	n.apply(datacenters("dc4") + "---\n" + global)
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	api := isthmusv1.NewFederationServiceClient(n.shared())
	eventually(t, "all see all", func() (bool, string) {
		m, err := api.ListMembers(n.as(n.token), &isthmusv1.ListMembersRequest{Federation: "global"})
		if err != nil || len(m.GetMembers()) != 3 || len(m.GetGaps()) != 0 {
			return false, m.String()
		}
		for _, one := range m.GetMembers() {
			if len(one.GetViews()) != 1 || len(one.GetViews()[0].GetDatacenters()) != 3 || one.GetFederation() != "global" {
				return false, m.String()
			}
		}
		return true, ""
	})
	var cells []*isthmusv1.ReachedGateway
	eventually(t, "each reaches each", func() (bool, string) {
		r, err := api.GetReachability(n.as(n.token), &isthmusv1.GetReachabilityRequest{Federation: "global"})
		cells = r.GetCells()
		return err == nil && len(cells) == 6 && !slices.ContainsFunc(cells, func(c *isthmusv1.ReachedGateway) bool { return c.GetReached() != "yes" }), r.String()
	})
	if c := cells[0]; c.GetFrom() != "dc1" || c.GetTo() != "dc2" || c.GetAddress() != address("dc2") || c.GetLatencyMs() != 5 {
		t.Errorf("the first cell: %v", c)
	}
	// dc3 no longer sees dc2, and says so.
	agents["dc3"].stop()
	agents["dc3"].reports(&isthmusv1.ReportRequest{Federation: &isthmusv1.FederationReport{WanMembers: []*isthmusv1.WanMember{
		{Node: "s1", Datacenter: "dc1", Status: "alive"}, {Node: "s1", Datacenter: "dc3", Status: "alive"},
	}, Probes: []*isthmusv1.ObservedProbe{{Datacenter: "dc2", Address: address("dc2"), ErrorReason: "Timeout", Error: "no answer"}}}})
	eventually(t, "a disagreement", func() (bool, string) {
		m, err := api.ListMembers(n.as(n.token), &isthmusv1.ListMembersRequest{})
		if err != nil {
			return false, err.Error()
		}
		for _, one := range m.GetMembers() {
			if v := one.GetViews(); one.GetMember().GetDatacenter() == "dc2" {
				return len(v) == 2 && v[0].GetStatus() == "absent" && slices.Equal(v[0].GetDatacenters(), []string{"dc3"}) && len(v[1].GetDatacenters()) == 2, m.String()
			}
		}
		return false, m.String()
	})
	r, err := api.GetReachability(n.as(n.token), &isthmusv1.GetReachabilityRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.GetCells() {
		want := map[string]string{"dc3>dc1": "unknown NotTried", "dc3>dc2": "no Timeout"}[c.GetFrom()+">"+c.GetTo()]
		if got := c.GetReached() + " " + c.GetReason(); want != "" && got != want {
			t.Errorf("%s>%s: %s", c.GetFrom(), c.GetTo(), got)
		}
	}
	if body := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/reachability?federation=global", "")).body; !strings.Contains(body, `"reached":"no"`) {
		t.Errorf("over REST: %s", body)
	}
}

// Nothing that destroys is done before it is accepted, exactly as it is.
func TestLossesAreAccepted(t *testing.T) {
	t.Parallel()
	n, w, _, _ := joins(t)
	lost := []*isthmusv1.LostItem{{Kind: "policy", Name: "web", Message: "is deleted"}, {Kind: "token", Name: "a1"}}
	lose := func() { w.change(func() { w.losses["dc2"] = lost }) }
	lose()
	eventually(t, "a dry run lists the losses", func() (bool, string) {
		body := n.call(http.MethodPost, "/v1/apply?dryRun=true", global, "Content-Type", yaml).body
		return strings.Contains(body, `"federations":[{`) && strings.Contains(body, `"name":"web"`) && strings.Contains(body, "has to be accepted once the Federation is there"), body
	})
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/federations/global", ""))
	n.apply(global)
	f := n.reaches(map[string]string{"dc1": joined, "dc2": resource.PhaseBlocked, "dc3": joined})
	m := resource.MemberOf(f, "dc2")
	want := federation.PlanDigest(f.GetUid(), "dc2", federation.ActionJoin, federation.LossDigest(lost))
	if m.GetReason() != federation.ReasonLossNotAccepted || m.GetPlanDigest() != want {
		t.Fatalf("dc2: %v", m)
	}
	plan := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/federations/global/plan", "")).body
	if !strings.Contains(plan, want) || !strings.Contains(plan, `"action":"join"`) {
		t.Errorf("the plan: %s", plan)
	}
	accept := func(digest string) {
		n.apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], mode: mesh-gateway, acceptDataLoss: [{datacenter: dc2, planDigest: " + digest + "}]}\n")
	}
	// What was accepted is void when there is more of it.
	lost = append(lost, &isthmusv1.LostItem{Kind: "intention", Name: "web → db"})
	lose()
	next := federation.PlanDigest(f.GetUid(), "dc2", federation.ActionJoin, federation.LossDigest(lost))
	eventually(t, "another plan", func() (bool, string) {
		f := n.federation()
		return resource.MemberOf(f, "dc2").GetPlanDigest() == next, f.String()
	})
	accept(want)
	eventually(t, "it is looked at", func() (bool, string) {
		f := n.federation()
		ready := resource.FindCondition(f.GetStatus().GetConditions(), resource.ConditionReady)
		return ready.GetObservedGeneration() == f.GetGeneration(), f.String()
	})
	if m := resource.MemberOf(n.federation(), "dc2"); m.GetPhase() != resource.PhaseBlocked || m.GetAccepted() || w.is(w.joined, "dc2") {
		t.Errorf("with an acceptance of something else: %v", m)
	}
	accept(next)
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	deleting := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/federations/global/plan?delete=true", "")).body
	if strings.Count(deleting, `"action":"leave"`) != 3 {
		t.Errorf("the plan of deleting: %s", deleting)
	}
}

// A federation that nobody has joined goes at once; force takes any.
func TestDeletionOfAFederation(t *testing.T) {
	t.Parallel()
	n, _, _, _ := joins(t)
	for _, c := range []struct{ primary, path, outcome string }{
		{"dc4", "/v1/federations/global", "deleted"},
		{"dc1", "/v1/federations/global?force=true", "deleted"},
	} {
		n.apply(datacenters("dc4") + "---\nkind: Federation\nname: global\nspec: {primary: " + c.primary + ", secondaries: [dc2, dc3]}\n")
		if c.primary == "dc1" {
			n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
		}
		if got := n.want(http.StatusOK, n.call(http.MethodDelete, c.path, "")).fields(t); got["outcome"] != c.outcome {
			t.Errorf("%s: %v", c.path, got)
		}
		n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/federations/global", ""))
	}
}

// A datacenter with another CA joins when all servers are seen to trust both, and with certificates for keys that never left its hosts.
func TestAnotherCAAndNoKeys(t *testing.T) {
	t.Parallel()
	n, w, _, agents := joins(t)
	other := newCA(t, "Another CA")
	w.change(func() { w.cas["dc2"] = other })
	n.apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], keyless: true}\n")
	f := n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	for _, dc := range []string{"dc2", "dc3"} {
		if got := resource.MemberOf(f, dc).GetBundle(); !slices.Equal(got.GetCertificates(), []string{agents[dc].id.Agent()}) || got.GetCertificateExpireTime() == nil {
			t.Errorf("%s: %v", dc, got)
		}
	}
	events := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?kind=Federation&pageSize=1000", "")).body
	if !strings.Contains(events, "→ trusting: TrustNotProven") {
		t.Errorf("the audit log: %s", events)
	}
	eventually(t, "nobody trusts the old CA any more", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.trusted["dc1"]+w.trusted["dc3"] == "", w.trusted["dc1"]
	})
}

// A datacenter stays as long as a federation has it, by name, by its labels or on its way out; what is lost can be forced.
func TestDeletionOfAMember(t *testing.T) {
	t.Parallel()
	n, _, _, agents := joins(t)
	n.apply("kind: Federation\nname: global\nspec: {primary: dc1, secondarySelector: env=demo}\n")
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	refused := func(path, why string) {
		t.Helper()
		if body := n.want(http.StatusBadRequest, n.call(http.MethodDelete, path, "")).body; !strings.Contains(body, why) {
			t.Errorf("%s: %s", path, body)
		}
	}
	refused("/v1/datacenters/dc1", "spec.primary")
	refused("/v1/datacenters/dc3", "its secondarySelector chooses dc3")
	refused("/v1/datacenters/dc3?force=true", "its secondarySelector chooses dc3")
	agents["dc3"].stop()
	n.apply("kind: Datacenter\nname: dc3\nspec: {runtime: vm}\n")
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": resource.PhaseLeaving})
	refused("/v1/datacenters/dc3", "dc3 is leaving it")
	if got := n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/datacenters/dc3?force=true", "")).fields(t); got["outcome"] != "deleted" {
		t.Errorf("by force: %v", got)
	}
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/agents/"+agents["dc3"].id.Agent(), ""))
	n.reaches(map[string]string{"dc1": joined, "dc2": joined})
}
