package server_test

import (
	"net/http"
	"strings"
	"testing"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const meshOfDemo = "---\nkind: PeeringGroup\nname: demo\nspec: {shape: full-mesh, selector: env=demo}\n"

// peerings are the names of all Peerings that nobody is deleting.
func (n *node) peerings() []string {
	n.t.Helper()
	answer, err := isthmusv1.NewPeeringServiceClient(n.shared()).ListPeerings(n.as(n.token), &isthmusv1.ListRequest{PageSize: 1000})
	if err != nil {
		n.t.Fatal(err)
	}
	var names []string
	for _, p := range answer.GetPeerings() {
		if p.GetDeleteTime() == nil {
			names = append(names, p.GetName())
		}
	}
	return names
}

func (n *node) settlesAt(names ...string) {
	n.t.Helper()
	want := strings.Join(names, " ")
	eventually(n.t, "the peerings "+want, func() (bool, string) {
		got := strings.Join(n.peerings(), " ")
		return got == want, got
	})
}

func TestGroupFollowsLabels(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + meshOfDemo)
	n.settlesAt("demo-dc1-dc2")
	n.apply(datacenters("dc3"))
	n.settlesAt("demo-dc1-dc2", "demo-dc1-dc3", "demo-dc2-dc3")
	patch := func(labels, query string) answer {
		return n.call(http.MethodPatch, "/v1/datacenters/dc3"+query, `{"labels":`+labels+`}`)
	}
	refused := n.want(http.StatusBadRequest, patch(`{"env":"other"}`, ""))
	if !strings.Contains(refused.body, "2 of its 3 peerings") {
		t.Errorf("refused: %s", refused.body)
	}
	n.want(http.StatusOK, patch(`{"env":"other"}`, "?force=true"))
	n.settlesAt("demo-dc1-dc2")
	n.want(http.StatusOK, patch(`{"env":"demo"}`, ""))
	n.settlesAt("demo-dc1-dc2", "demo-dc1-dc3", "demo-dc2-dc3")
}

func TestGroupOwnsItsPeerings(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + meshOfDemo)
	n.settlesAt("demo-dc1-dc2")
	for what, a := range map[string]answer{
		"update": n.call(http.MethodPatch, "/v1/peerings/demo-dc1-dc2", `{"spec":{"throughGateways":true}}`),
		"delete": n.call(http.MethodDelete, "/v1/peerings/demo-dc1-dc2", ""),
		"apply": n.call(http.MethodPost, "/v1/apply", "kind: Peering\nname: demo-dc1-dc2\nspec: {acceptor: dc1, dialer: dc2, throughGateways: true}\n",
			"Content-Type", yaml),
	} {
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, `PeeringGroup \"demo\"`) {
			t.Errorf("%s by hand: %d %s", what, a.status, a.body)
		}
	}
	n.apply("kind: Peering\nname: demo-dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/peerings/demo-dc1-dc2:rotate", "{}"))
	n.settlesAt("demo-dc1-dc2")
}

func TestDryRunShowsTheExpansion(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2"))
	a := n.want(http.StatusOK, n.call(http.MethodPost, "/v1/apply?dryRun=true", datacenters("dc3")+meshOfDemo, "Content-Type", yaml))
	changes := map[string]string{}
	for _, c := range a.fields(t)["changes"].([]any) {
		change := c.(map[string]any)
		changes[change["kind"].(string)+" "+change["name"].(string)+" "+change["group"].(string)] = change["action"].(string)
	}
	for _, want := range []string{"Datacenter dc3 ", "PeeringGroup demo ", "Peering demo-dc1-dc2 demo", "Peering demo-dc1-dc3 demo", "Peering demo-dc2-dc3 demo"} {
		if changes[want] != "create" {
			t.Errorf("%s: %q in %v", want, changes[want], changes)
		}
	}
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/datacenters/dc3", ""))
	if names := n.peerings(); len(names) != 0 {
		t.Errorf("a dry run made %v", names)
	}
}

// Force lets a group lose peerings: that is no change of the group itself, and is not shown as one.
func TestForcedChangesAreThoseAskedFor(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2", "dc3") + meshOfDemo)
	n.settlesAt("demo-dc1-dc2", "demo-dc1-dc3", "demo-dc2-dc3")
	leaves := "kind: Datacenter\nname: dc3\nlabels: {env: other}\nspec: {runtime: vm}\n"
	for manifests, want := range map[string]string{
		leaves:              "Datacenter dc3 update, Peering demo-dc1-dc3 delete, Peering demo-dc2-dc3 delete",
		leaves + meshOfDemo: "Datacenter dc3 update, PeeringGroup demo unchanged, Peering demo-dc1-dc3 delete, Peering demo-dc2-dc3 delete",
	} {
		a := n.want(http.StatusOK, n.call(http.MethodPost, "/v1/apply?dryRun=true&force=true", manifests, "Content-Type", yaml))
		var changes []string
		for _, c := range a.fields(t)["changes"].([]any) {
			change := c.(map[string]any)
			changes = append(changes, change["kind"].(string)+" "+change["name"].(string)+" "+change["action"].(string))
		}
		if got := strings.Join(changes, ", "); got != want {
			t.Errorf("got %s; want %s", got, want)
		}
	}
}

// A group and a datacenter that are deleted go when their last peering has gone from both Consuls.
func TestDeletionOfGroupAndDatacenter(t *testing.T) {
	t.Parallel()
	n, w := start(t), newWorld()
	fleet := fleetKey(t)
	n.apply(datacenters("dc1", "dc2", "dc3") + meshOfDemo)
	for _, dc := range []string{"dc1", "dc2", "dc3"} {
		n.enrol(w, fleet, dc).run()
	}
	for _, name := range []string{"demo-dc1-dc2", "demo-dc1-dc3", "demo-dc2-dc3"} {
		n.becomes(name, peering.VerdictHealthy)
	}
	n.want(http.StatusBadRequest, n.call(http.MethodDelete, "/v1/datacenters/dc3", ""))
	if a := n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/datacenters/dc3?force=true", "")); a.fields(t)["outcome"] != "deleting" {
		t.Errorf("outcome: %s", a.body)
	}
	gone := func(path string) {
		t.Helper()
		eventually(t, path+" gone", func() (bool, string) {
			a := n.call(http.MethodGet, path, "")
			return a.status == http.StatusNotFound, a.body
		})
	}
	gone("/v1/datacenters/dc3")
	n.settlesAt("demo-dc1-dc2")
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/gateways/dc3-s1-mesh-gateway", ""))
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/peering-groups/demo", ""))
	gone("/v1/peering-groups/demo")
	n.settlesAt()
	if w.active("dc1")+w.active("dc2")+w.active("dc3") != 0 {
		t.Error("an end is left in Consul")
	}
	for _, dc := range []string{"dc1", "dc2"} {
		n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/datacenters/"+dc, ""))
	}
}

func TestLivenessAndVerdictsOverTime(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n, w := start(t, func(c *serverConfig) { c.Now = clock.now }), newWorld()
	fleet := fleetKey(t)
	a1, a2 := n.enrol(w, fleet, "dc1").run(), n.enrol(w, fleet, "dc2").run()
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	a2.stop()
	// Until the server has seen that the connection is gone, an open Pull counts as being heard of.
	n.inFlight("isthmus.v1.SyncService/Pull", 1)
	clock.advance(resource.Silence + 1)
	p := n.becomes("dc1-dc2", peering.VerdictUnknown)
	if p.GetStatus().GetState() != peering.StateActive {
		t.Errorf("the last state is not shown: %v", p.GetStatus())
	}
	liveness := func(a *agent) string {
		return n.want(http.StatusOK, n.call(http.MethodGet, "/v1/agents/"+a.id.Agent(), "")).fields(t)["status"].(map[string]any)["liveness"].(string)
	}
	eventually(t, "one agent online, the other offline", func() (bool, string) {
		return liveness(a1) == "online" && liveness(a2) == "offline", liveness(a1) + " " + liveness(a2)
	})
	eventually(t, "the datacenter offline", func() (bool, string) {
		a := n.call(http.MethodGet, "/v1/datacenters/dc2", "")
		return a.fields(t)["status"].(map[string]any)["agent"] == "offline" && strings.Contains(a.body, "AgentOffline"), a.body
	})
	a2.run()
	n.becomes("dc1-dc2", peering.VerdictHealthy)
}

// A pair that a group left out because of a peering written by hand is the group's at once when that one is gone.
func TestGroupTakesOverAPairThatBecomesFree(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: by-hand\nspec: {acceptor: dc2, dialer: dc1}\n" + meshOfDemo)
	eventually(t, "the group leaves the pair out", func() (bool, string) {
		a := n.call(http.MethodGet, "/v1/peering-groups/demo", "")
		return strings.Contains(a.body, "by-hand"), a.body
	})
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/peerings/by-hand", ""))
	n.settlesAt("demo-dc1-dc2")
}
