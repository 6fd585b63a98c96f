package agent_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"isthmus/agent"
	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/consultest"
)

// human edits config entries in a real Consul as people do: reads one, changes it, and writes it back with check-and-set. What all of the
// edits would have come to without isthmus is kept beside it.
type human struct {
	t    *testing.T
	http *http.Client
	c    *consultest.Cluster
	// alone is each entry as it would be without isthmus; absent: it is not there.
	alone map[entryName]map[string]any
	// plan are the edits that come before the next requests of isthmus.
	mu   sync.Mutex
	plan []plannedEdit
	seen int
	// breakable are the entries in which isthmus wants what it wanted before, or for the first time: who changes there what isthmus wrote and
	// nobody wants any more makes it theirs.
	breakable map[entryName]bool
	before    map[entryName]string
	// failed is what went wrong in an edit between two requests.
	failed error
}

type entryName struct{ kind, name string }

// edit is one change of one entry. It is given the entry as it is (nil: it is not there) and gives it as it shall be; nil deletes it, and the
// same map leaves it alone. ours: it is about isthmus's part, and would not have been made without isthmus.
type edit struct {
	name  string
	at    entryName
	apply func(body map[string]any) map[string]any
	ours  bool
}

type plannedEdit struct {
	edit
	// request is how many requests of isthmus come before it.
	request int
}

func newHuman(t *testing.T, c *consultest.Cluster) *human {
	t.Helper()
	ca, err := os.ReadFile(c.CAFile)
	need(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &human{t: t, c: c, http: &http.Client{Transport: transport}, alone: map[entryName]map[string]any{}}
}

// proxy is how isthmus reaches Consul: edits come between its requests.
func (h *human) proxy() string {
	target, err := url.Parse(h.c.HTTPAddr)
	need(h.t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: h.http.Transport, ErrorHandler: refuse}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if strings.HasPrefix(r.URL.Path, "/v1/config") {
			for len(h.plan) > 0 && h.plan[0].request <= h.seen {
				if err := h.do(h.plan[0].edit); err != nil {
					h.failed = err
				}
				h.plan = h.plan[1:]
			}
			h.seen++
		}
		h.mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	h.t.Cleanup(server.Close)
	return server.URL
}

// refuse answers for a Consul that does not.
func refuse(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }

func (h *human) call(method, path string, in, out any) (status int, text string, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.c.HTTPAddr+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Consul-Token", h.c.ManagementToken)
	answer, err := h.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode == http.StatusOK && out != nil {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		err = decoder.Decode(out)
	}
	return answer.StatusCode, string(raw), err
}

// read is an entry without its indexes; nil: it is not there.
func (h *human) read(at entryName) (body map[string]any, index string, err error) {
	status, text, err := h.call(http.MethodGet, "/v1/config/"+at.kind+"/"+at.name, nil, &body)
	switch {
	case err != nil:
		return nil, "", err
	case status == http.StatusNotFound:
		return nil, "0", nil
	case status != http.StatusOK:
		return nil, "", fmt.Errorf("reading %v: %s", at, text)
	}
	index = fmt.Sprint(body["ModifyIndex"])
	for _, field := range []string{"CreateIndex", "ModifyIndex", "Hash"} {
		delete(body, field)
	}
	return body, index, nil
}

func copied(body map[string]any) map[string]any {
	if body == nil {
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	out := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil {
		panic(err)
	}
	return out
}

// whole is an entry as it is written.
func whole(at entryName, body map[string]any) map[string]any {
	body = copied(body)
	body["Kind"] = at.kind
	if at.kind != "mesh" {
		body["Name"] = at.name
	}
	return body
}

// do makes one edit. One that Consul refuses was not made.
func (h *human) do(e edit) error {
	for {
		body, index, err := h.read(e.at)
		if err != nil {
			return err
		}
		next := e.apply(copied(body))
		if cmp.Equal(next, body) {
			return nil
		}
		var ok bool
		var status int
		var text string
		if next == nil {
			status, text, err = h.call(http.MethodDelete, "/v1/config/"+e.at.kind+"/"+e.at.name+"?cas="+index, nil, &ok)
		} else {
			status, text, err = h.call(http.MethodPut, "/v1/config?cas="+index, whole(e.at, next), &ok)
		}
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			if os.Getenv("ISTHMUS_TEST_VERBOSE") != "" {
				h.t.Logf("refused: %s: %s", e.name, text)
			}
			return nil
		}
		if ok {
			break
		}
	}
	if !e.ours {
		if next := e.apply(copied(h.alone[e.at])); next == nil {
			delete(h.alone, e.at)
		} else {
			h.alone[e.at] = next
		}
	}
	return nil
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

// all are the entries that the test is about.
func (h *human) all() []entryName {
	return []entryName{atRouter, atSplitter, atResolver, atIntentions, atDefaults, atExports, atMesh, atProxies}
}

// start begins with what the human had before isthmus came.
func (h *human) start(t *rapid.T) {
	h.plan, h.failed, h.before, h.breakable = nil, nil, nil, nil
	clear(h.alone)
	for _, at := range h.all() {
		if at == atProxies {
			continue
		}
		if err := h.do(remove(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.do(edit{name: "begins", at: atProxies, apply: func(map[string]any) map[string]any {
		return map[string]any{"Config": map[string]any{"protocol": "http"}}
	}}); err != nil {
		t.Fatal(err)
	}
	h.alone[atProxies] = map[string]any{"Config": map[string]any{"protocol": "http"}}
	for range rapid.IntRange(0, 4).Draw(t, "edits before") {
		if err := h.do(h.edits(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// expect notes what isthmus wants from now on.
func (h *human) expect(state *isthmusv1.DesiredState) {
	now := map[entryName]string{}
	for _, item := range state.GetItems() {
		for _, e := range item.GetConfigEntries().GetEntries() {
			now[entryName{e.GetKind(), e.GetName()}] = resource.Digest(e)
		}
		at := map[string]entryName{"exported-services": atExports, "mesh": atMesh, "proxy-defaults": atProxies}[item.GetType()]
		if at.kind != "" && (at != atExports || len(item.GetExportedServices().GetServices()) > 0) {
			now[at] = resource.Digest(item)
		}
	}
	h.breakable = map[entryName]bool{}
	for at, digest := range now {
		h.breakable[at] = h.before[at] == "" || h.before[at] == digest
	}
	h.before = now
}

// meanwhile plans edits before the next requests of isthmus.
func (h *human) meanwhile(t *rapid.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen, h.plan = 0, nil
	for range rapid.IntRange(0, 5).Draw(t, "edits") {
		h.plan = append(h.plan, plannedEdit{h.edits(t), rapid.IntRange(0, 25).Draw(t, "before request")})
	}
	slices.SortStableFunc(h.plan, func(a, b plannedEdit) int { return a.request - b.request })
}

// quiet ends the edits: those that are left are made now.
func (h *human) quiet(t *rapid.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.plan {
		if err := h.do(p.edit); err != nil {
			t.Fatal(err)
		}
	}
	h.plan = nil
	if h.failed != nil {
		t.Fatal(h.failed)
	}
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
