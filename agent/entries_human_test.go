package agent_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"isthmus/agent"
	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/consultest"
)

// Whatever a human does to any shared entry, before any request of isthmus: it survives byte for byte, isthmus's part ends as it is wanted,
// and without isthmus every entry is as it would be without it.
func TestHumansBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "east")
	h := newHuman(t, c)
	client, err := consul.New(settings(t, "CONSUL_HTTP_ADDR="+h.proxy(), "CONSUL_HTTP_TOKEN="+c.ManagementToken), hclog.NewNullLogger())
	need(t, err)
	rapid.Check(t, func(t *rapid.T) {
		h.start(t)
		m := agent.NewMender(client)
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			state := wishes(t)
			h.expect(state)
			h.meanwhile(t)
			_, _, _ = m.Mend(h.t.Context(), state) // whatever came between: the next look counts
			h.quiet(t)
			policies, exported, err := m.Mend(h.t.Context(), state)
			if err != nil || policies.GetErrorReason()+exported.GetErrorReason() != "" {
				t.Fatalf("%v, %v, %v", err, policies, exported)
			}
			h.check(t, state, policies, exported)
			for _, d := range append(slices.Clone(policies.GetDrifts()), exported.GetDrifts()...) {
				if d.GetTime() == nil || d.GetWanted() == "" {
					t.Fatalf("drift: %v", d)
				}
			}
		}
		nothing := &isthmusv1.DesiredState{ConsulDatacenter: "east", Drift: resource.DriftCorrect, Items: []*isthmusv1.DesiredItem{entries(), exports()}}
		h.expect(nothing)
		h.meanwhile(t)
		_, _, _ = m.Mend(h.t.Context(), nothing)
		h.quiet(t)
		if _, _, err := m.Mend(h.t.Context(), nothing); err != nil {
			t.Fatal(err)
		}
		h.compare(t)
	})
}

// The entries that the test is about: a service for each kind, so that Consul does not refuse one for what another says.
var (
	atIntentions = entryName{"service-intentions", "i"}
	atResolver   = entryName{"service-resolver", "r"}
	atSplitter   = entryName{"service-splitter", "s"}
	atRouter     = entryName{"service-router", "t"}
	atDefaults   = entryName{"service-defaults", "d"}
	atExports    = entryName{"exported-services", "default"}
	atMesh       = entryName{"mesh", "mesh"}
	atProxies    = entryName{"proxy-defaults", "global"}
)

func sourcesOf(body map[string]any) []any { list, _ := body["Sources"].([]any); return list }

func named(list []any, name string) int {
	return slices.IndexFunc(list, func(s any) bool { return s.(map[string]any)["Name"] == name }) //nolint:forcetypeassert // the test's own
}

// set sets a field of an entry, which it makes if need be.
func set(at entryName, field string, value any) edit {
	return edit{name: "sets " + field, at: at, apply: func(body map[string]any) map[string]any {
		if body == nil {
			body = map[string]any{}
		}
		body[field] = value
		return body
	}}
}

// note puts a word into the Meta of an entry that is (also) the human's.
func (h *human) note(at entryName, word string) edit {
	return edit{name: "notes", at: at, apply: func(body map[string]any) map[string]any {
		if h.alone[at] == nil {
			return body
		}
		meta, _ := body["Meta"].(map[string]any)
		if meta == nil {
			meta = map[string]any{}
		}
		meta["human"] = word
		body["Meta"] = meta
		return body
	}}
}

func remove(at entryName) edit {
	return edit{name: "deletes", at: at, apply: func(map[string]any) map[string]any { return nil }}
}

// rewrites puts back the file that the human has of it, which knows nothing of isthmus.
func (h *human) rewrites(at entryName) edit {
	return edit{name: "rewrites", at: at, ours: true, apply: func(body map[string]any) map[string]any {
		if h.alone[at] == nil {
			return body
		}
		return copied(h.alone[at])
	}}
}

// breaks changes what isthmus wrote, if it is there.
func (h *human) breaks(at entryName, change func(body map[string]any) map[string]any) edit {
	return edit{name: "breaks", at: at, ours: true, apply: func(body map[string]any) map[string]any {
		if body == nil || !h.breakable[at] || !strings.Contains(fmt.Sprint(body["Meta"]), "isthmus-") {
			return body
		}
		return change(body)
	}}
}

func (h *human) setSource(name, action string) edit {
	return edit{name: "sets source " + name, at: atIntentions, apply: func(body map[string]any) map[string]any {
		if body == nil {
			body = map[string]any{}
		}
		list := sourcesOf(body)
		source := map[string]any{"Name": name, "Action": action, "Type": "consul", "Precedence": json.Number("9"), "Description": "by <hand> & heart"}
		if i := named(list, name); i >= 0 {
			list[i] = source
		} else {
			list = append(list, source)
		}
		body["Sources"] = list
		return body
	}}
}

func (h *human) dropSource(name string) edit {
	return edit{name: "drops source " + name, at: atIntentions, apply: func(body map[string]any) map[string]any {
		if len(sourcesOf(h.alone[atIntentions])) < 2 {
			return body // who wants none of it deletes the entry
		}
		list := slices.DeleteFunc(sourcesOf(body), func(s any) bool { return s.(map[string]any)["Name"] == name }) //nolint:forcetypeassert // the test's own
		body["Sources"] = list
		return body
	}}
}

// exportTo adds or takes out a consumer of a service of the human's own.
func exportTo(service, peer string) edit {
	return edit{name: "exports " + service, at: atExports, apply: func(body map[string]any) map[string]any {
		if body == nil {
			body = map[string]any{}
		}
		list, _ := body["Services"].([]any)
		if named(list, service) < 0 {
			list = append(list, map[string]any{"Name": service, "Consumers": []any{map[string]any{"Peer": peer}}})
		}
		body["Services"] = list
		return body
	}}
}

// edits are all that the human may do.
func (h *human) edits(t *rapid.T) edit {
	k := rapid.IntRange(1, 3).Draw(t, "k")
	word := fmt.Sprint("w", k)
	seconds := fmt.Sprint(k, "s")
	all := []edit{
		h.setSource("h"+word, "allow"), h.setSource("h"+word, "deny"), h.dropSource("h" + word), h.note(atIntentions, word), remove(atIntentions), h.rewrites(atIntentions),
		h.breaks(atIntentions, func(body map[string]any) map[string]any {
			for _, s := range sourcesOf(body) {
				if fields := s.(map[string]any); fields["Name"] == "ours1" && fields["Action"] != nil { //nolint:forcetypeassert // the test's own
					fields["Action"] = "deny"
				}
			}
			return body
		}),
		h.breaks(atIntentions, func(body map[string]any) map[string]any {
			list := slices.DeleteFunc(sourcesOf(body), func(s any) bool { return strings.HasPrefix(fmt.Sprint(s.(map[string]any)["Name"]), "ours") }) //nolint:forcetypeassert // the test's own
			if len(list) == 0 {
				return nil
			}
			body["Sources"] = list
			return body
		}),
		set(atResolver, "ConnectTimeout", seconds), set(atResolver, "Subsets", map[string]any{word: map[string]any{"Filter": "Service.Meta.v == " + word}}),
		h.note(atResolver, word), remove(atResolver), h.rewrites(atResolver),
		h.breaks(atResolver, func(body map[string]any) map[string]any { delete(body, "Redirect"); return body }),
		h.breaks(atResolver, func(body map[string]any) map[string]any {
			if subsets, _ := body["Failover"].(map[string]any); subsets != nil {
				subsets["*"] = map[string]any{"Datacenters": []any{word}}
			}
			return body
		}),
		h.note(atSplitter, word), remove(atSplitter), h.rewrites(atSplitter),
		{name: "splits", at: atSplitter, apply: func(body map[string]any) map[string]any {
			if body != nil {
				return body
			}
			return map[string]any{"Splits": []any{map[string]any{"Weight": json.Number("100")}}}
		}},
		h.breaks(atSplitter, func(body map[string]any) map[string]any {
			body["Splits"] = []any{map[string]any{"Weight": json.Number("100")}}
			return body
		}),
		{name: "has no routes", at: atRouter, apply: func(body map[string]any) map[string]any {
			if body != nil {
				return body
			}
			return map[string]any{"Routes": []any{}}
		}},
		h.note(atRouter, word), remove(atRouter), h.rewrites(atRouter), h.breaks(atRouter, func(body map[string]any) map[string]any { body["Routes"] = nil; return body }),
		set(atDefaults, "MaxInboundConnections", json.Number(fmt.Sprint(k))), set(atDefaults, "ExternalSNI", word+".example"), h.note(atDefaults, word), remove(atDefaults), h.rewrites(atDefaults),
		h.breaks(atDefaults, func(body map[string]any) map[string]any { body["Protocol"] = "grpc"; return body }),
		exportTo("h"+word, "north"), h.note(atExports, word), remove(atExports), h.rewrites(atExports),
		h.breaks(atExports, func(body map[string]any) map[string]any {
			list, _ := body["Services"].([]any)
			body["Services"] = slices.DeleteFunc(list, func(s any) bool { return strings.HasPrefix(fmt.Sprint(s.(map[string]any)["Name"]), "ours") }) //nolint:forcetypeassert // the test's own
			return body
		}),
		set(atMesh, "TransparentProxy", map[string]any{"MeshDestinationsOnly": true}), set(atMesh, "HTTP", map[string]any{"SanitizeXForwardedClientCert": true}), h.note(atMesh, word), remove(atMesh),
		h.breaks(atMesh, func(body map[string]any) map[string]any { delete(body, "Peering"); return body }),
		h.breaks(atProxies, func(body map[string]any) map[string]any {
			body["MeshGateway"] = map[string]any{"Mode": "remote"}
			return body
		}),
		set(atProxies, "Config", map[string]any{"protocol": "http", "connect_timeout_ms": json.Number(fmt.Sprint(1000000 * k)), "x": "<&>"}), h.note(atProxies, word),
	}
	return rapid.SampledFrom(all).Draw(t, "edit")
}

// wishes are what isthmus wants in one round.
func wishes(t *rapid.T) *isthmusv1.DesiredState {
	some := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) > 0 }
	state := &isthmusv1.DesiredState{ConsulDatacenter: "east", Drift: resource.DriftCorrect}
	var all []*isthmusv1.ConfigEntry
	if some("intentions") {
		parts := []string{"source/default/ours1", `{"Name":"ours1","Action":"allow"}`}
		if some("second source") {
			parts = append(parts, "source/default/ours2@west", `{"Name":"ours2","Peer":"west","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/","Methods":["GET"]}}]}`)
		}
		all = append(all, wanting("service-intentions", "i", parts...))
	}
	switch rapid.IntRange(0, 2).Draw(t, "resolver") {
	case 1:
		all = append(all, wanting("service-resolver", "r", "failover/*", failover23))
	case 2:
		all = append(all, wanting("service-resolver", "r", "redirect", `{"Service":"r2","Datacenter":"dc2"}`))
	}
	if some("router") {
		all = append(all, wanting("service-router", "t", "routes", `[{"Match":{"HTTP":{"PathPrefix":"/v2"}},"Destination":{"Service":"t2","RequestTimeout":"1m30s"}}]`))
	}
	if some("splitter") {
		all = append(all, wanting("service-splitter", "s", "splits", `[{"Weight":66.67},{"Weight":33.33,"Service":"s2"}]`))
	}
	if some("defaults") {
		all = append(all, wanting("service-defaults", "d", "protocol", `"http"`))
	}
	slices.SortFunc(all, func(a, b *isthmusv1.ConfigEntry) int { return strings.Compare(a.GetKind(), b.GetKind()) })
	state.Items = append(state.Items, entries(all...))
	if some("exports") {
		state.Items = append(state.Items, exports(&isthmusv1.ExportedService{Name: "ours", Namespace: "default", Peers: []string{"west"}}))
	} else {
		state.Items = append(state.Items, exports())
	}
	if some("mesh") {
		state.Items = append(state.Items, throughGateways(true))
	}
	if some("proxy-defaults") {
		state.Items = append(state.Items, &isthmusv1.DesiredItem{Id: "d", Type: "proxy-defaults", ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: "local"}})
	}
	return state
}

// check looks whether everything is as isthmus wants it, and as the human does.
func (h *human) check(t *rapid.T, state *isthmusv1.DesiredState, policies *isthmusv1.PolicyReport, exported *isthmusv1.ExportsReport) {
	for _, e := range state.GetItems()[0].GetConfigEntries().GetEntries() {
		at := entryName{e.GetKind(), e.GetName()}
		i := slices.IndexFunc(policies.GetEntries(), func(o *isthmusv1.ObservedEntry) bool { return o.GetKind() == at.kind })
		if i < 0 || policies.GetEntries()[i].GetWantedDigest() != resource.Digest(e) {
			t.Fatalf("nothing is said of %v", at)
		}
		said := policies.GetEntries()[i]
		if at == atSplitter && h.alone[at] != nil {
			if said.GetState() != resource.PolicyConflict {
				t.Fatalf("of the human's splits is said %v", said)
			}
			continue
		}
		if said.GetState() != resource.PolicyApplied {
			t.Fatalf("%v: %v", at, said)
		}
		body, _, err := h.read(at)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(body)
		for _, p := range e.GetParts() {
			var want any
			if err := json.Unmarshal([]byte(p.GetValue()), &want); err != nil {
				t.Fatal(err)
			}
			if !has(want, body) {
				t.Fatalf("%v lacks %s: %s", at, p.GetValue(), text)
			}
		}
	}
	for _, o := range exported.GetExports() {
		if o.GetState() != resource.ExportApplied || len(o.GetPeers()) != 1 {
			t.Fatalf("exports: %v", o)
		}
	}
	h.survived(t)
}

// has tells whether a value stands somewhere in another, which may say more of it.
func has(want, in any) bool {
	if within(want, in) {
		return true
	}
	switch v := in.(type) {
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(inner any) bool { return has(want, inner) })
	case []any:
		return slices.ContainsFunc(v, func(inner any) bool { return has(want, inner) })
	}
	return false
}

func within(want, in any) bool {
	switch w := want.(type) {
	case map[string]any:
		m, ok := in.(map[string]any)
		for field, value := range w {
			ok = ok && within(value, m[field])
		}
		return ok
	case []any:
		list, ok := in.([]any)
		ok = ok && len(list) == len(w)
		for i := range w {
			ok = ok && within(w[i], list[i])
		}
		return ok
	case float64:
		n, ok := in.(json.Number)
		return ok && n.String() == fmt.Sprint(w)
	}
	return want == in
}

// survived looks whether all that the human wrote is still there.
func (h *human) survived(t *rapid.T) {
	for at, alone := range h.alone {
		body, _, err := h.read(at)
		if err != nil {
			t.Fatal(err)
		}
		for field, value := range alone {
			here := body[field]
			if list, ok := value.([]any); ok {
				var order []int
				for _, one := range list {
					there, _ := here.([]any)
					i := slices.IndexFunc(there, func(o any) bool { return within(one, o) })
					if i < 0 {
						t.Fatalf("%v: the human's %v is gone: %v", at, one, here)
					}
					order = append(order, i)
				}
				if !slices.IsSorted(order) {
					t.Fatalf("%v: the human's order is gone: %v", at, here)
				}
			} else if !within(value, here) {
				t.Fatalf("%v: of the human's %s is left: %v, not %v", at, field, here, value)
			}
		}
	}
}

// compare looks whether every entry is as it would be without isthmus: as Consul shows it, byte for byte.
func (h *human) compare(t *rapid.T) {
	for _, at := range h.all() {
		with, _, err := h.read(at)
		if err != nil {
			t.Fatal(err)
		}
		alone := h.alone[at]
		if alone != nil {
			if status, text, err := h.call(http.MethodPut, "/v1/config", whole(at, alone), nil); err != nil || status != http.StatusOK {
				t.Fatalf("%v: %s, %v", at, text, err)
			}
			if alone, _, err = h.read(at); err != nil {
				t.Fatal(err)
			}
		}
		a, _ := json.Marshal(with)
		b, _ := json.Marshal(alone)
		if string(a) != string(b) {
			t.Fatalf("%v after isthmus:\n%s\nwithout it:\n%s", at, a, b)
		}
	}
}
