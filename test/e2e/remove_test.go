package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"isthmus/client"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// twoOfThree is what connects dc1 and dc2, and dc3 as soon as it has the label: two datacenters that work together, and people who
// wrote something in Consul themselves.
const twoOfThree = `---
kind: PeeringGroup
name: all
spec: {selector: env=prod, shape: full-mesh}
---
kind: ServiceExport
name: api
spec: {service: api, selector: env=prod, consumers: {selector: env=prod}}
---
kind: Intention
name: api-from-web
spec:
  destination: {service: api, selector: env=prod}
  sources: [{service: web, datacenters: [%s], action: allow}]
---
kind: TrafficPolicy
name: api-failover
spec: {service: api, datacenters: [dc1], failover: [{datacenters: [%s]}]}
`

// A datacenter that others are connected with in every way that there is goes again, and the others are as they were before it came.
func TestRemovePeeredDatacenter(t *testing.T) {
	f := NewFleet(t, 3)
	dc1, dc2, dc3 := f.Datacenter("dc1"), f.Datacenter("dc2"), f.Datacenter("dc3")
	for _, d := range []*Datacenter{dc1, dc2, dc3} {
		d.MayWritePolicies()
		d.Register("api", "web")
		d.set(map[string]any{"Kind": "service-intentions", "Name": "api", "Sources": []any{map[string]any{"Name": "mobile", "Action": "deny"}}})
	}
	bare := dc3.everything()
	f.Apply(production("", "dc1", "dc2") + fmt.Sprintf(twoOfThree, "dc2", "dc2"))
	f.Healthy("all-dc1-dc2")
	dc1.Discovers("api", "dc2")
	f.Ready("intention", "api-from-web", "Applied")
	f.Ready("traffic-policy", "api-failover", "Applied")
	f.settled(dc1, dc2)
	before := []map[string]string{dc1.everything(), dc2.everything()}

	t.Log("dc3 comes")
	f.Apply(production("", "dc3") + fmt.Sprintf(twoOfThree, "dc2, dc3", "dc2, dc3") + `---
kind: Intention
name: web-in-dc3
spec: {destination: {service: web, datacenters: [dc3]}, sources: [{service: api, datacenters: [dc1], action: allow}]}
`)
	f.Healthy("all-dc1-dc3", "all-dc2-dc3")
	dc1.Discovers("api", "dc3")
	f.Ready("intention", "web-in-dc3", "Applied")
	dc1.Decides("api", "mobile=deny", "web@dc2=allow", "web@dc3=allow")
	dc1.Goes("api", "api in dc1", "api of peer dc2", "api of peer dc3")

	t.Log("what its removal would do is shown, and confirmed")
	f.Fails("plain delete names the command", []string{"delete", "datacenter", "dc3"}, "isthmus datacenter remove dc3")
	f.Says("the plan", []string{"datacenter", "remove", "dc3", "--dry-run"}, "Peering all-dc1-dc3 to delete, of group all", "Intention api-from-web to update",
		"spec.sources", "Intention web-in-dc3 to delete", "TrafficPolicy api-failover to update", "ServiceExport api stays as it is", "dc1, dc2")
	f.Fails("another digest", []string{"datacenter", "remove", "dc3", "--yes", "--plan-digest", "0123"}, "is not that of what would be done now", "delete Peering all-dc1-dc3")
	if _, problem, code := f.RunWith("dc2\n", "datacenter", "remove", "dc3"); code != 1 || !strings.Contains(problem, "nothing was done") {
		t.Errorf("with another name typed: %d, %s", code, problem)
	}
	if out, problem, code := f.RunWith("dc3\n", "datacenter", "remove", "dc3", "--wait", "85s"); code != 0 {
		t.Fatalf("remove: %d\n%s%s\n%s", code, out, problem, f.Must("get", "dc", "-o", "yaml"))
	}

	t.Log("nothing of it is left")
	f.Gone("Datacenter", "dc3")
	for i, d := range []*Datacenter{dc1, dc2} {
		d.isAsBefore(before[i])
	}
	if code := dc3.Agents[0].exit(); code != 16 {
		t.Errorf("its agent ends with %d, want 16\n%s", code, dc3.Agents[0].tail())
	}
	dc3.isAsBefore(bare)
	dc3.Agents[0].Restart()
	if code := dc3.Agents[0].exit(); code != 16 {
		t.Errorf("started again its agent ends with %d, want 16\n%s", code, dc3.Agents[0].tail())
	}
	f.Healthy("all-dc1-dc2")
	dc1.Goes("api", "api in dc1", "api of peer dc2")
	for _, step := range []string{"Policies", "Exports", "Peerings", "Agents", "Scan"} {
		f.Told("transition", "Datacenter", "dc3", "removal, "+step, "→ done")
	}
	f.Told("remove", "Datacenter", "dc3", "plan ")
}

// The server dies in the middle, the command is run again, an agent is away for a time: it goes on.
func TestRemovalSurvivesEverything(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	dc1.Register("web")
	f.Declare("dc1", "dc2")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {datacenters: [dc2]}}
`)
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	dc1.Agents[0].stop()
	out, problem, code := f.Run("datacenter", "remove", "dc2", "--yes", "--plan-digest", f.removalOf("dc2").GetPlanDigest(), "--wait", "3s")
	if code != 2 || !strings.Contains(problem, "Policies") {
		t.Errorf("without the word of dc1: %d\n%s%s", code, out, problem)
	}
	f.Fails("writing to it", []string{"apply", "-f", f.write("dc2.yaml", "kind: Datacenter\nname: dc2\nlabels: {new: label}\nspec: {runtime: vm}\n")}, "is being deleted")
	f.Fails("naming it", []string{"apply", "-f", f.write("export.yaml", "kind: ServiceExport\nname: api\nspec: {service: api, datacenters: [dc1], consumers: {datacenters: [dc2]}}\n")}, "is being deleted")
	f.Says("how far it is", []string{"describe", "datacenter", "dc2"}, "Removal: since", "Policies", "doing", "Removing")
	f.Says("how far it is", []string{"get", "datacenters"}, "Policies 1/8")
	f.KillServer()
	f.StartServer()
	dc1.Agents[0].Restart()
	f.Eventually("a later step has begun", func() error {
		d, err := client.Lookup[*isthmusv1.Datacenter](t.Context(), f.Client, "dc2")
		if err != nil {
			return nil //nolint:nilerr // it is gone already
		}
		if steps := d.GetStatus().GetRemoval().GetSteps(); steps[1].GetState() == "waiting" {
			return fmt.Errorf("%v", steps)
		}
		return nil
	})
	f.KillServer()
	f.StartServer()
	if out, problem, code := f.Run("datacenter", "remove", "dc2", "--wait", "85s"); code != 0 && !strings.Contains(problem, "there is no Datacenter") {
		t.Fatalf("it is not gone: %d\n%s%s\nin dc1 %+v, in dc2 %+v", code, out, problem, dc1.Peerings(), dc2.Peerings())
	}
	f.Gone("Datacenter", "dc2")
	if n := len(dc1.Peerings()) + len(dc2.Peerings()); n != 0 || dc1.exports().Name != "" {
		t.Errorf("%d ends of peerings are left, and exports %v", n, dc1.exports())
	}
	if code := dc2.Agents[0].exit(); code != 16 {
		t.Errorf("its agent ends with %d, want 16\n%s", code, dc2.Agents[0].tail())
	}
}

// One whose Consul is gone for good: nothing is awaited of it.
func TestRemoveLostDatacenter(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	dc1.Register("web")
	f.Declare("dc1")
	before := dc1.everything()
	f.Declare("dc2")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1, dc2], consumers: {selector: env=test}}
`)
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	f.Fails("while it is heard of", []string{"datacenter", "remove", "dc2", "--lost", "--dry-run"}, "its agents are heard of")
	dc2.Agents[0].kill()
	if err := dc2.Kill(); err != nil {
		t.Fatal(err)
	}
	f.Eventually("nobody hears of it", func() error {
		if blocked := f.lost("dc2").GetBlocked(); len(blocked) > 0 {
			return errors.New(blocked[0])
		}
		return nil
	})
	out, problem, code := f.Run("datacenter", "remove", "dc2", "--yes", "--plan-digest", f.removalOf("dc2").GetPlanDigest(), "--wait", "3s")
	if code != 2 || !strings.Contains(problem, "--lost when its Consul is gone for good") {
		t.Errorf("as if it were there: %d\n%s%s", code, out, problem)
	}
	if out, problem, code := f.Run("datacenter", "remove", "dc2", "--lost", "--yes", "--plan-digest", f.lost("dc2").GetPlanDigest(), "--wait", "85s"); code != 0 {
		t.Fatalf("as lost: %d\n%s%s", code, out, problem)
	}
	f.Gone("Datacenter", "dc2")
	f.Must("delete", "service-export", "web")
	dc1.isAsBefore(before)
	dc2.Agents[0].Restart()
	if code := dc2.Agents[0].exit(); code != 16 {
		t.Errorf("its agent ends with %d, want 16\n%s", code, dc2.Agents[0].tail())
	}
}

// Of two secondaries of a federation one burns down, and the other becomes a datacenter of its own; in the primary, everything that they were
// given is dead.
func TestRemoveFederatedDatacenters(t *testing.T) {
	f := NewWorld(t, 3, "dc1", "dc2", "dc3")
	dc1, dc2, dc3 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true}), f.Site("dc3", Site{Fresh: true})
	f.Declare("dc1", "dc2", "dc3")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3]}\n---\n" +
		"kind: Intention\nname: web\nspec: {destination: {service: web, datacenters: [dc1, dc2, dc3]}, sources: [{service: api, action: allow}]}\n")
	f.Joined("global", dc1, dc2, dc3)
	dc1.Reads(dc2)
	f.Ready("intention", "web", "Applied")
	f.Fails("the primary first", []string{"datacenter", "remove", "dc1", "--dry-run"}, "it is the primary of Federation global", "dc2", "dc3")

	t.Log("dc3 burns down")
	burnt := f.replicationToken(dc3)
	f.Fails("while it is heard of", []string{"datacenter", "remove", "dc3", "--lost", "--dry-run"}, "its agents are heard of")
	dc3.Agents[0].kill()
	dc3.Gateways[0].kill()
	if err := dc3.Kill(); err != nil {
		t.Fatal(err)
	}
	f.Eventually("nobody hears of it", func() error {
		if blocked := f.lost("dc3").GetBlocked(); len(blocked) > 0 {
			return errors.New(blocked[0])
		}
		return nil
	})
	if text := fmt.Sprint(f.lost("dc3")); !containsAll(text, "it is taken for lost", "its tokens are revoked by the primary dc1", "spec.secondaries") {
		t.Errorf("the plan: %s", text)
	}
	if out, problem, code := f.Run("datacenter", "remove", "dc3", "--lost", "--yes", "--plan-digest", f.lost("dc3").GetPlanDigest(), "--wait", "85s"); code != 0 {
		t.Fatalf("remove as lost: %d\n%s%s", code, out, problem)
	}
	f.Gone("Datacenter", "dc3")
	if left := strings.Join(dc1.federationTokens(), ", "); strings.Contains(left, "dc3") || !strings.Contains(left, "dc2") {
		t.Errorf("dc1 has the tokens %q", left)
	}
	if _, err := dc1.with(burnt); err == nil {
		t.Error("its replication token works still")
	}
	dc1.Alive("s1.dc1", "s1.dc2")
	dc2.Alive("s1.dc1", "s1.dc2")
	f.Phase("global", "dc2", "joined")
	f.Passes("FederationReady", "ConnectionHealthy", "AgentOnline")
	dc3.Agents[0].Restart()
	if code := dc3.Agents[0].exit(); code != 16 {
		t.Errorf("its agent ends with %d, want 16\n%s", code, dc3.Agents[0].tail())
	}

	t.Log("dc2 leaves in order")
	replication := f.replicationToken(dc2)
	plan := f.removalOf("dc2")
	if text := fmt.Sprint(plan); !containsAll(text, "its Consul servers, one at a time", "are revoked in dc1", "spec.secondaries") {
		t.Errorf("the plan: %s", text)
	}
	if out, problem, code := f.Run("datacenter", "remove", "dc2", "--yes", "--plan-digest", plan.GetPlanDigest(), "--wait", "85s"); code != 0 {
		t.Fatalf("remove: %d\n%s%s", code, out, problem)
	}
	f.Gone("Datacenter", "dc2")
	if left := dc1.federationTokens(); len(left) > 0 {
		t.Errorf("dc1 still has %q", left)
	}
	if _, err := dc1.with(replication); err == nil {
		t.Error("its replication token works still")
	}
	dc1.Alive("s1.dc1")
	f.Ready("intention", "web", "Applied")
	if code := dc2.Agents[0].exit(); code != 16 {
		t.Errorf("its agent ends with %d, want 16\n%s", code, dc2.Agents[0].tail())
	}
	if _, err := os.Stat(filepath.Join(dc2.ConfigDir, federation.FileDropIn)); err == nil {
		text, _ := os.ReadFile(filepath.Join(dc2.ConfigDir, federation.FileDropIn))
		if strings.Contains(string(text), replication) {
			t.Error("dc2 still has the replication token in its configuration")
		}
	}
}

// removalOf is what the removal of a datacenter would do.
func (f *Fleet) removalOf(name string) *isthmusv1.DatacenterRemoval {
	f.t.Helper()
	return f.removal(&isthmusv1.RemoveDatacenterRequest{Name: name, DryRun: true})
}

// lost is removalOf a lost one.
func (f *Fleet) lost(name string) *isthmusv1.DatacenterRemoval {
	f.t.Helper()
	return f.removal(&isthmusv1.RemoveDatacenterRequest{Name: name, DryRun: true, Lost: true})
}

func (f *Fleet) removal(r *isthmusv1.RemoveDatacenterRequest) *isthmusv1.DatacenterRemoval {
	f.t.Helper()
	plan, err := f.Client.RemoveDatacenter(f.t.Context(), r)
	if err != nil {
		f.t.Fatal(err)
	}
	return plan
}

// Fails runs a command that has to fail with these words.
func (f *Fleet) Fails(what string, args []string, words ...string) {
	f.t.Helper()
	out, problem, code := f.Run(args...)
	if code != 1 || !containsAll(out+problem, words...) {
		f.t.Errorf("%s: isthmus %s: exit code %d, want 1 and %q\n%s%s", what, strings.Join(args, " "), code, words, out, problem)
	}
}

// settled waits until the agents of datacenters have written what is wanted, and nothing moves any more.
func (f *Fleet) settled(of ...*Datacenter) {
	f.t.Helper()
	for _, d := range of {
		last, same := d.everything(), 0
		f.Eventually(d.Cluster.Datacenter+" is at rest", func() error {
			now := d.everything()
			if maps.Equal(now, last) {
				same++
			} else {
				same = 0
			}
			last = now
			if same < 20 {
				return fmt.Errorf("the same for %d looks", same)
			}
			return nil
		})
	}
}

// everything is all that is in a datacenter's Consul, by what it is: config entries of every kind, intentions, peerings, services with those
// of peers, ACLs, keys, prepared queries, WAN members.
func (d *Datacenter) everything() map[string]string {
	d.f.t.Helper()
	out := map[string]string{}
	for _, kind := range []string{
		"service-intentions", "service-resolver", "service-splitter", "service-router", "service-defaults", "proxy-defaults", "mesh", "exported-services",
		"ingress-gateway", "terminating-gateway", "api-gateway", "sameness-group", "jwt-provider", "control-plane-request-limit",
	} {
		var list []map[string]any
		if d.Call(d.f.t.Context(), http.MethodGet, "/v1/config/"+kind, nil, &list) != nil {
			continue // a kind that this Consul does not have
		}
		for _, e := range list {
			out[fmt.Sprintf("%s/%v", kind, e["Name"])] = timeless(e)
		}
	}
	for _, p := range d.Peerings() {
		out["peering/"+p.Name] = p.State + " " + p.ID + " " + timeless(p.Meta)
	}
	var services map[string][]string
	d.Do(http.MethodGet, "/v1/catalog/services", nil, &services)
	for name := range services {
		out["service/"+name] = "there"
	}
	for peer := range d.Peerings() {
		var imported map[string][]string
		d.Do(http.MethodGet, "/v1/catalog/services?peer="+peer, nil, &imported)
		for name := range imported {
			out["service/"+name+"@"+peer] = "there"
		}
	}
	var tokens []struct{ AccessorID, Description string }
	d.Do(http.MethodGet, "/v1/acl/tokens", nil, &tokens)
	for _, token := range tokens {
		out["token/"+token.AccessorID] = token.Description
	}
	var policies []struct{ Name, Hash string }
	d.Do(http.MethodGet, "/v1/acl/policies", nil, &policies)
	for _, policy := range policies {
		out["policy/"+policy.Name] = policy.Hash
	}
	var keys, queries []any
	if d.Call(d.f.t.Context(), http.MethodGet, "/v1/kv/?keys", nil, &keys) == nil {
		for _, key := range keys {
			out[fmt.Sprintf("key/%v", key)] = "there"
		}
	}
	d.Do(http.MethodGet, "/v1/query", nil, &queries)
	out["queries"] = fmt.Sprint(len(queries))
	var members []struct{ Name string }
	d.Do(http.MethodGet, "/v1/agent/members?wan=1", nil, &members)
	for _, m := range members {
		out["wan/"+m.Name] = "there"
	}
	return out
}

// timeless is JSON without what another write of the same changes.
func timeless(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var body map[string]any
	if json.Unmarshal(raw, &body) == nil {
		for _, field := range []string{"CreateIndex", "ModifyIndex", "Hash"} {
			delete(body, field)
		}
		if raw, err = json.Marshal(body); err != nil {
			return err.Error()
		}
	}
	return string(raw)
}

// isAsBefore waits until everything is what it was.
func (d *Datacenter) isAsBefore(before map[string]string) {
	d.f.t.Helper()
	d.f.Eventually(d.Cluster.Datacenter+" is as it was before", func() error {
		now := d.everything()
		var differs []string
		for what := range maps.Keys(now) {
			if now[what] != before[what] {
				differs = append(differs, fmt.Sprintf("%s is %q, and was %q", what, now[what], before[what]))
			}
		}
		for what := range maps.Keys(before) {
			if _, there := now[what]; !there {
				differs = append(differs, fmt.Sprintf("%s is gone: %q", what, before[what]))
			}
		}
		slices.Sort(differs)
		if len(differs) > 0 {
			return errors.New(strings.Join(differs, "; "))
		}
		return nil
	})
}
