package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Three peered datacenters, in which people keep entries of their own, and two policies: who may call api, and where calls of it go. People
// go on editing; what is theirs stays, what is isthmus's is put back, and in the end everything is as it was before.
func TestPoliciesOfPeeredDatacenters(t *testing.T) {
	f := NewFleet(t, 3)
	dc1, dc2, dc3 := f.Datacenter("dc1"), f.Datacenter("dc2"), f.Datacenter("dc3")
	for _, d := range []*Datacenter{dc1, dc2, dc3} {
		d.MayWritePolicies()
		d.Register("api", "web")
	}
	dc1.set(map[string]any{
		"Kind": "service-intentions", "Name": "api", "Meta": map[string]any{"owner": "the billing team"},
		"Sources": []any{map[string]any{"Name": "mobile", "Action": "deny", "Description": "not before the audit"}},
	})
	dc1.set(map[string]any{"Kind": "service-resolver", "Name": "api", "ConnectTimeout": "7s"})
	intentions, resolver := dc1.entry("service-intentions", "api"), dc1.entry("service-resolver", "api")

	f.Apply(production("", "dc1", "dc2", "dc3") + `---
kind: PeeringGroup
name: all
spec: {selector: env=prod, shape: full-mesh}
---
kind: ServiceExport
name: api
spec: {service: api, selector: env=prod, consumers: {selector: env=prod}}
`)
	f.Must("apply", "-f", f.write("policies.yaml", apiFromWeb+"---"+apiFailover), "--wait", "80s")
	dc1.Decides("api", "mobile=deny", "web=allow", "web@dc2=allow", "web@dc3=allow")
	dc1.Goes("api", "api in dc1", "api of peer dc2", "api of peer dc3")
	dc2.Goes("api", "api in dc2", "api of peer dc3")
	dc3.Goes("api", "api in dc3", "api of peer dc2")
	if got := dc1.entry("service-resolver", "api")["ConnectTimeout"]; got != "7s" {
		t.Errorf("the timeout that people set is %v", got)
	}
	f.Says("the policy", []string{"describe", "intention", "api-from-web"}, "service-intentions/api", "applied")

	t.Log("somebody takes isthmus's part out, and adds something")
	edited := dc1.entry("service-intentions", "api")
	sources := []any{map[string]any{"Name": "batch", "Action": "allow"}}
	for _, s := range edited["Sources"].([]any) {
		if s.(map[string]any)["Peer"] != "dc2" {
			sources = append(sources, s)
		}
	}
	dc1.set(with(edited, map[string]any{"Sources": sources}))
	dc1.Decides("api", "batch=allow", "mobile=deny", "web=allow", "web@dc2=allow", "web@dc3=allow")
	told := f.Told("drift", "Intention", "api-from-web", "dc1", "service-intentions/api", "web@dc2", "nothing instead of", "put back", "Consul does not tell who")
	if told.GetActor() != "agent/"+dc1.Agents[0].Name() {
		t.Errorf("the drift was seen by %s", told.GetActor())
	}
	f.Says("the drift", []string{"describe", "intention", "api-from-web"}, "Last drift in dc1", "put back")

	t.Log("somebody takes all of the failover out in a datacenter whose entry is isthmus's alone: it is put back, too")
	dc2.Do(http.MethodDelete, "/v1/config/service-resolver/api", nil, nil)
	dc2.Goes("api", "api in dc2", "api of peer dc3")
	f.Told("drift", "TrafficPolicy", "api-failover", "dc2", "service-resolver/api", "put back")

	t.Log("where drift is only reported, it stays")
	f.Apply(production(", drift: report", "dc1"))
	turned := dc1.entry("service-intentions", "api")
	for _, s := range turned["Sources"].([]any) {
		if source := s.(map[string]any); source["Peer"] == "dc3" {
			source["Action"] = "deny"
		}
	}
	f.Eventually("what somebody turned stays so, once the agent knows that it shall only report", func() error {
		if text(dc1.entry("service-intentions", "api")) != text(turned) {
			dc1.set(turned)
		}
		if status := f.policy("intention", "api-from-web"); status.GetPlacements()[0].GetState() != "drifted" {
			return fmt.Errorf("it is %v", status)
		}
		return nil
	})
	f.Ready("intention", "api-from-web", "Drifted")
	f.Told("drift", "Intention", "api-from-web", "web@dc3", "deny", "only reported")
	dc1.Decides("api", "batch=allow", "mobile=deny", "web=allow", "web@dc2=allow", "web@dc3=deny")
	f.Says("both, side by side", []string{"describe", "intention", "api-from-web"}, "Conflict in dc1", "WANTED", "FOUND", `"Action": "deny"`)
	f.Apply(production("", "dc1"))
	dc1.Decides("api", "batch=allow", "mobile=deny", "web=allow", "web@dc2=allow", "web@dc3=allow")
	f.Ready("intention", "api-from-web", "Applied")

	t.Log("without the policies, everything is as people left it")
	f.Must("delete", "intention", "api-from-web")
	f.Must("delete", "traffic-policy", "api-failover")
	dc1.isEntry("people's resolver", "service-resolver", "api", resolver)
	for _, d := range []*Datacenter{dc2, dc3} {
		d.isEntry("isthmus's own resolver is gone", "service-resolver", "api", nil)
	}
	dc1.Decides("api", "batch=allow", "mobile=deny")
	left := dc1.entry("service-intentions", "api")
	dc1.set(with(left, map[string]any{"Sources": without(left["Sources"].([]any), "batch")}))
	dc1.isEntry("without what was added meanwhile it is as before isthmus came", "service-intentions", "api", intentions)
}

// without are the elements of a config entry but those of a name.
func without(elements []any, name string) []any {
	var out []any
	for _, s := range elements {
		if s.(map[string]any)["Name"] != name {
			out = append(out, s)
		}
	}
	return out
}

// What people wrote already is theirs until somebody asks isthmus to take it over, and only where it is just what is wanted.
func TestAdoption(t *testing.T) {
	f := NewFleet(t, 1)
	dc1 := f.Datacenter("dc1")
	dc1.MayWritePolicies()
	theirs := func(action string) map[string]any {
		return map[string]any{"Kind": "service-intentions", "Name": "billing", "Sources": []any{
			map[string]any{"Name": "web", "Action": action}, map[string]any{"Name": "ops", "Action": "allow"},
		}}
	}
	dc1.set(theirs("deny"))
	f.Apply(production("", "dc1"))
	f.Apply("kind: Intention\nname: billing-from-web\nspec:\n  destination: {service: billing, datacenters: [dc1]}\n  sources: [{service: web, action: allow}]\n")
	f.Ready("intention", "billing-from-web", "Conflict")
	f.Told("conflict", "Intention", "billing-from-web", "dc1", "service-intentions/billing", "deny", "allow")

	t.Log("what differs is shown, and not touched")
	out, problem, code := f.Run("adopt", "intention", "billing-from-web")
	if code != 2 || !containsAll(out, "dc1: service-intentions/billing: conflict", "WANTED", "FOUND", "≠") {
		t.Errorf("exit code %d\n%s%s", code, out, problem)
	}
	dc1.Decides("billing", "ops=allow", "web=deny")

	t.Log("people make it the same: isthmus takes it over, where a flag on the host lets it")
	dc1.set(theirs("allow"))
	dc1.Agents[0].stop()
	dc1.Agents[0].more = append(dc1.Agents[0].more, "--allow-adopt")
	dc1.Agents[0].Restart()
	f.Ready("intention", "billing-from-web", "Applied")
	out, problem, code = f.Run("adopt", "intention", "billing-from-web")
	if code != 0 || !strings.Contains(out, "dc1: service-intentions/billing: what billing-from-web wants there is isthmus's own") {
		t.Errorf("exit code %d\n%s%s", code, out, problem)
	}

	t.Log("so it goes with the policy, and the rest stays")
	f.Must("delete", "intention", "billing-from-web")
	dc1.Decides("billing", "ops=allow")
}
