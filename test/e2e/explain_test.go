package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// mesh registers services that take part in the mesh.
func (d *Datacenter) mesh(services ...string) {
	d.f.t.Helper()
	for _, name := range services {
		d.f.Eventually(name+" is registered", func() error {
			return d.Call(d.f.t.Context(), http.MethodPut, "/v1/agent/service/register", map[string]any{
				"Name": name, "Port": 9000, "Connect": map[string]any{"Native": true}, "Check": map[string]any{"CheckID": name + "-ttl", "TTL": "24h", "Status": "passing"},
			}, nil)
		})
	}
}

// Explains waits until the explanation of a call has a verdict, and the hop that decides it, or its fix, says what is wanted.
func (f *Fleet) Explains(source, destination, verdict string, says ...string) *isthmusv1.Explanation {
	f.t.Helper()
	var found *isthmusv1.Explanation
	f.Eventually(fmt.Sprintf("%s → %s is %s: %s", source, destination, verdict, strings.Join(says, ", ")), func() error {
		e, err := f.Client.Explain(f.t.Context(), source, destination)
		if err != nil {
			return err
		}
		found = e
		if e.GetVerdict() != verdict || !containsAll(e.GetMessage()+"\n"+e.GetFix(), says...) {
			return fmt.Errorf("it is %s: %s (%s)", e.GetVerdict(), e.GetMessage(), e.GetFix())
		}
		return nil
	})
	return found
}

// Fix does what an explanation says, which has to be a command that applies a manifest.
func (f *Fleet) Fix(e *isthmusv1.Explanation) {
	f.t.Helper()
	_, command, ok := strings.Cut(e.GetFix(), "isthmus apply -f - <<< '")
	manifest, _, closed := strings.Cut(command, "'")
	if !ok || !closed {
		f.t.Fatalf("the fix is no manifest: %s", e.GetFix())
	}
	f.t.Logf("fix: %s", manifest)
	f.Apply(manifest)
}

func hopOf(e *isthmusv1.Explanation, id string) *isthmusv1.Hop {
	for _, h := range e.GetHops() {
		if h.GetId() == id {
			return h
		}
	}
	return nil
}

// Two peers with overlapping networks, from nothing to a call that is allowed: each time, what explain says is done, and it goes on.
func TestExplainOverAPeering(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{}), f.Site("dc2", Site{})
	f.Declare("dc1", "dc2")
	dc2.MayWritePolicies()
	if _, problem, code := f.Run("explain", "web@dc1", "api@dc3"); code != 1 || !containsAll(problem, "no Datacenter named \"dc3\"", "dc1, dc2") {
		t.Errorf("an unknown datacenter: exit code %d: %s", code, problem)
	}
	f.Explains("web@dc1", "api@dc2", "broken", "Source: web is not registered in dc1")
	dc1.mesh("web")
	f.Explains("web@dc1", "api@dc2", "broken", "Destination: api is not registered in dc2")
	dc2.mesh("api", "apt")
	// Their servers have the same addresses: once their gateways are known, the fix is a peering through these.
	f.Fix(f.Explains("web@dc1", "api@dc2", "broken", "Connection: nothing connects dc1 and dc2", "throughGateways: true"))
	f.Fix(f.Explains("web@dc1", "api@dc2", "broken", "Export: dc2 does not export api to dc1"))
	f.Fix(f.Explains("web@dc1", "api@dc2", "denied", "no intention is about web of peer dc1 calling api", "denied by default"))
	allowed := f.Explains("web@dc1", "api@dc2", "allowed")
	if h := hopOf(allowed, "Intention"); !containsAll(strings.Join(h.GetEvidence(), "\n"), "service-intentions/api", "web of peer dc1", "Intention/") {
		t.Errorf("who allows it is not told: %v", h)
	}
	if got, want := hopOf(allowed, "SNI").GetMessage(), dc1.peeredSNI("api", "dc2"); got != want {
		t.Errorf("SNI %s, but Consul tells proxies to ask for %s", got, want)
	}
	out, _, code := f.Run("explain", "web@dc1", "->", "api@dc2")
	if code != 0 || !containsAll(out, "web@dc1 → api@dc2: allowed", "✓ Certificate") {
		t.Errorf("exit code %d:\n%s", code, out)
	}

	t.Log("an instance that fails its check")
	dc2.Do(http.MethodPut, "/v1/agent/check/fail/api-ttl", nil, nil)
	f.Explains("web@dc1", "api@dc2", "broken", "Destination: no instance of api in dc2 is healthy")
	dc2.Do(http.MethodPut, "/v1/agent/check/pass/api-ttl", nil, nil)
	f.Explains("web@dc1", "api@dc2", "allowed")

	t.Log("people deny, where isthmus says nothing any more")
	f.Must("delete", "intention", "api-from-web-of-dc1")
	f.Explains("web@dc1", "api@dc2", "denied", "denied by default")
	dc2.set(map[string]any{"Kind": "service-intentions", "Name": "api", "Sources": []any{map[string]any{"Name": "web", "Peer": "dc1", "Action": "deny"}}})
	denied := f.Explains("web@dc1", "api@dc2", "denied", "service-intentions/api denies web of peer dc1")
	if h := hopOf(denied, "Intention"); !containsAll(strings.Join(h.GetEvidence(), "\n"), "written in Consul by somebody else") || !containsAll(h.GetFix(), "consul config") {
		t.Errorf("whose it is is not told: %v", h)
	}
	dc2.set(map[string]any{"Kind": "service-intentions", "Name": "api", "Sources": []any{map[string]any{"Name": "web", "Peer": "dc1", "Action": "allow"}}})
	f.Explains("web@dc1", "api@dc2", "allowed")

	t.Log("the gateway there dies, and comes back")
	dc2.Gateways[0].kill()
	f.Explains("web@dc1", "api@dc2", "broken", dc2.Gateways[0].WAN)
	dc2.Gateways[0].Restart()
	f.Explains("web@dc1", "api@dc2", "allowed")

	t.Log("an agent that is silent leaves nobody who knows")
	dc2.Agents[0].kill()
	f.Explains("web@dc1", "api@dc2", "unknown", "the agent of dc2 is silent")
	if out, _, code := f.Run("explain", "web@dc1 -> api@dc2", "-o", "json"); code != 3 || !strings.Contains(out, `"verdict": "unknown"`) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// peeredSNI is the name that Consul tells proxies to ask for.
func (d *Datacenter) peeredSNI(service, peer string) string {
	d.f.t.Helper()
	var sni string
	d.f.Eventually("Consul tells of "+service+" of peer "+peer, func() error {
		var list []struct {
			Service struct {
				Connect struct{ PeerMeta struct{ SNI []string } }
			}
		}
		d.Do(http.MethodGet, "/v1/health/connect/"+service+"?peer="+peer, nil, &list)
		for _, one := range list {
			if names := one.Service.Connect.PeerMeta.SNI; len(names) > 0 {
				sni = names[0]
				return nil
			}
		}
		return errors.New("no name yet")
	})
	return sni
}

// People have peered, exported and allowed by hand: explain sees all of it, and what is missing.
func TestExplainWhatPeopleDid(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	f.Declare("dc1", "dc2")
	dc1.mesh("web")
	dc2.mesh("api")
	f.Explains("web@dc1", "api@dc2", "broken", "Connection: nothing connects dc1 and dc2")
	var token struct{ PeeringToken string }
	dc2.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "west"}, &token)
	dc1.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": "east", "PeeringToken": token.PeeringToken}, nil)
	f.Explains("web@dc1", "api@dc2", "broken", "Export: dc2 does not export api to dc1 (there: peer west)")
	dc2.set(map[string]any{"Kind": "exported-services", "Name": "default", "Services": []any{
		map[string]any{"Name": "*", "Consumers": []any{map[string]any{"Peer": "west"}}},
	}})
	dc2.set(map[string]any{"Kind": "service-intentions", "Name": "*", "Sources": []any{map[string]any{"Name": "web", "Peer": "west", "Action": "deny"}}})
	f.Intends("web@dc1", "api@dc2", "fail", "service-intentions/* denies web of peer west")
	e := f.Explains("web@dc1", "api@dc2", "broken", "Gateway: dc2 has no mesh gateway")
	for id, want := range map[string][]string{
		"Connection": {"somebody made by hand", "peer east", "peer west"},
		"Export":     {"written in Consul by somebody else"},
	} {
		if h := hopOf(e, id); !containsAll(h.GetMessage(), want...) {
			t.Errorf("%s: %s", id, h.GetMessage())
		}
	}
	if h := hopOf(e, "Certificate"); h.GetVerdict() != "pass" {
		t.Errorf("Certificate: %s: %s", h.GetVerdict(), h.GetMessage())
	}

	t.Log("what explain says lets it in although people deny all others")
	if h := hopOf(e, "Intention"); !containsAll(h.GetFix(), "peer: west", "kind: Intention") {
		t.Fatalf("the fix is %s", h.GetFix())
	}
	f.Fix(&isthmusv1.Explanation{Fix: hopOf(e, "Intention").GetFix()})
	f.Intends("web@dc1", "api@dc2", "fail", "although Intention/api-from-web-of-dc1 is about just this call: it is not applied", "lacks the rule")
	dc2.MayWritePolicies()
	f.Intends("web@dc1", "api@dc2", "pass", "service-intentions/api allows web of peer west")
}

// Intends waits until the hop Intention of an explanation has a verdict, and it or its evidence says what is wanted.
func (f *Fleet) Intends(source, destination, verdict string, says ...string) {
	f.t.Helper()
	f.Eventually("the intention of "+source+" → "+destination+" is "+verdict, func() error {
		e, err := f.Client.Explain(f.t.Context(), source, destination)
		if err != nil {
			return err
		}
		h := hopOf(e, "Intention")
		if text := h.GetMessage() + strings.Join(h.GetEvidence(), "\n"); h.GetVerdict() != verdict || !containsAll(text, says...) {
			return fmt.Errorf("it is %s: %s", h.GetVerdict(), text)
		}
		return nil
	})
}

// In a federation one set of entries decides for all, and where calls go is what Consul's own discovery chain says.
func TestExplainInAFederation(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	dc1.MayWritePolicies()
	dc1.mesh("web", "api")
	dc2.mesh("api")
	unset := f.Explains("web@dc1", "api@dc2", "denied", "denied by default")
	f.Eventually("that no gateway is on the way is told", func() error {
		e, err := f.Client.Explain(t.Context(), "web@dc1", "api@dc2")
		if h := hopOf(e, "Gateway"); err == nil && (h.GetVerdict() != "unknown" || !containsAll(h.GetFix(), "meshGatewayMode: local")) {
			return fmt.Errorf("Gateway is %s: %s", h.GetVerdict(), h.GetMessage())
		}
		return err
	})
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2], meshGatewayMode: local}\n")
	f.Fix(unset)
	allowed := f.Explains("web@dc1", "api@dc2", "allowed")
	if !dc2.allows("web", "api") {
		t.Error("explain says that the call is allowed; Consul says no")
	}
	var roots struct{ TrustDomain string }
	dc1.Do(http.MethodGet, "/v1/connect/ca/roots", nil, &roots)
	if got, want := hopOf(allowed, "SNI").GetMessage(), "api.default.dc2.internal."+roots.TrustDomain; got != want {
		t.Errorf("SNI %s, want %s", got, want)
	}

	t.Log("calls are redirected: explain says so, and so does Consul")
	f.Apply("kind: TrafficPolicy\nname: api-home\nspec: {service: api, datacenters: [dc1, dc2], redirect: {datacenter: dc1}}\n")
	redirected := f.Explains("web@dc1", "api@dc2", "broken", "Resolver: calls that ask for api@dc2 go to api in dc1 instead", "TrafficPolicy/api-home")
	if got := dc1.compiled("api", "dc2"); !slices.Equal(got, []string{"api.default.default.dc1"}) {
		t.Errorf("Consul sends calls of api in dc2 to %v", got)
	}
	if !containsAll(redirected.GetFix(), "isthmus delete traffic-policy api-home") {
		t.Errorf("the fix is %s", redirected.GetFix())
	}
	f.Must("delete", "traffic-policy", "api-home")
	f.Explains("web@dc1", "api@dc2", "allowed")

	t.Log("a wildcard of people's denies what nothing more exact is about")
	f.Must("delete", "intention", "api-from-web-of-dc1")
	dc1.set(map[string]any{"Kind": "service-intentions", "Name": "*", "Sources": []any{map[string]any{"Name": "*", "Action": "deny"}}})
	f.Explains("web@dc1", "api@dc2", "denied", "service-intentions/* denies *")
	if dc2.allows("web", "api") {
		t.Error("explain says that the call is denied; Consul says no")
	}
}

// allows is Consul's own answer.
func (d *Datacenter) allows(source, destination string) bool {
	d.f.t.Helper()
	var answer struct{ Allowed bool }
	d.Do(http.MethodGet, "/v1/connect/intentions/check?source="+source+"&destination="+destination, nil, &answer)
	return answer.Allowed
}

// compiled are the targets to which Consul sends calls of a service that are asked for in a datacenter.
func (d *Datacenter) compiled(service, datacenter string) []string {
	d.f.t.Helper()
	var answer struct {
		Chain struct {
			Nodes map[string]struct{ Resolver *struct{ Target string } }
		}
	}
	d.Do(http.MethodGet, "/v1/discovery-chain/"+service+"?compile-dc="+datacenter, nil, &answer)
	var out []string
	for _, n := range answer.Chain.Nodes {
		if n.Resolver != nil {
			out = append(out, n.Resolver.Target)
		}
	}
	slices.Sort(out)
	return out
}
