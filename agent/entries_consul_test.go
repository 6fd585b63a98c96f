package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/consultest"
)

// mending is an agent's hands without the agent, on a real Consul.
type mending struct {
	*agent.Mender
	t *testing.T
	c *consultest.Cluster
}

func newMending(t *testing.T, c *consultest.Cluster) mending {
	t.Helper()
	return mending{agent.NewMender(mustClient(t, c, c.ManagementToken)), t, c}
}

func (m mending) put(text string) {
	m.t.Helper()
	var body map[string]any
	need(m.t, json.Unmarshal([]byte(text), &body))
	m.c.Do(http.MethodPut, "/v1/config", body, nil)
}

// want mends once, and gives what is said of each entry, by kind/name.
func (m mending) want(drift string, all ...*isthmusv1.ConfigEntry) (map[string]*isthmusv1.ObservedEntry, *isthmusv1.PolicyReport) {
	m.t.Helper()
	state := &isthmusv1.DesiredState{ConsulDatacenter: m.c.Datacenter, Drift: drift, Items: []*isthmusv1.DesiredItem{entries(all...)}}
	report, _, err := m.Mend(m.t.Context(), state)
	need(m.t, err)
	if report.GetErrorReason() != "" {
		m.t.Fatal(report)
	}
	out := map[string]*isthmusv1.ObservedEntry{}
	for _, e := range report.GetEntries() {
		out[e.GetKind()+"/"+e.GetName()] = e
	}
	return out, report
}

func (m mending) shows(kind, name string) string {
	m.t.Helper()
	text, err := json.Marshal(shownEntry(m.c, kind, name))
	need(m.t, err)
	return string(text)
}

func states(observed map[string]*isthmusv1.ObservedEntry) map[string]string {
	out := map[string]string{}
	for name, o := range observed {
		out[name] = o.GetState() + " " + o.GetReason()
	}
	return out
}

// What somebody else wrote stays: side by side with what is wanted, until it is the same, and is taken over only when asked.
func TestConflictsAndAdoption(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"web","Action":"deny"}],"Meta":{"owner":"bob"}}`)
	want := wanting("service-intentions", "api", "source/default/web", allowWeb)
	want.Parts[0].Adopt = true
	before := m.shows("service-intentions", "api")
	got, _ := m.want("correct", want)
	o := got["service-intentions/api"]
	if o.GetState() != resource.PolicyConflict || len(o.GetParts()) != 1 || !strings.Contains(o.GetParts()[0].GetFound(), `"deny"`) || o.GetParts()[0].GetFix() == "" {
		t.Errorf("in conflict: %v", o)
	}
	if after := m.shows("service-intentions", "api"); after != before {
		t.Errorf("a conflict was written: %s", after)
	}
	// Somebody makes it what isthmus wants: it is adopted where the host allows that, and goes with the policy.
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"web","Action":"allow"},{"Name":"z","Action":"deny"}],"Meta":{"owner":"bob"}}`)
	before = m.shows("service-intentions", "api")
	got, _ = m.want("correct", want)
	if o := got["service-intentions/api"]; o.GetReason() != "AdoptNotAllowed" || m.shows("service-intentions", "api") != before {
		t.Errorf("not allowed: %v", o)
	}
	m.Mender = agent.NewMender(mustClient(t, m.c, m.c.ManagementToken)) // started again with the flag
	m.AllowAdopt(true)
	got, _ = m.want("correct", want)
	if o := got["service-intentions/api"]; o.GetState() != resource.PolicyApplied || len(o.GetParts()) != 0 {
		t.Errorf("adopted: %v", o)
	}
	m.want("correct")
	if left := m.shows("service-intentions", "api"); strings.Contains(left, "web") || !strings.Contains(left, `"z"`) || strings.Contains(left, "isthmus") {
		t.Errorf("after the policy went: %s", left)
	}
	// Without adopt the same content is the human's, and stays.
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"web","Action":"allow"}]}`)
	want.Parts[0].Adopt = false
	before = m.shows("service-intentions", "api")
	if got, _ := m.want("correct", want); got["service-intentions/api"].GetState() != resource.PolicyApplied {
		t.Errorf("the human's own: %v", got)
	}
	m.want("correct")
	if after := m.shows("service-intentions", "api"); after != before {
		t.Errorf("the human's own was touched: %s", after)
	}
}

// Consumers that somebody else wrote are taken over only where the host allows it.
func TestExportsAreAdoptedWhereTheHostAllowsIt(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.put(`{"Kind":"exported-services","Name":"default","Services":[{"Name":"web","Consumers":[{"Peer":"west"},{"Peer":"north"}]}]}`)
	want := &isthmusv1.DesiredState{Items: []*isthmusv1.DesiredItem{exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}, Adopt: true})}}
	none := &isthmusv1.DesiredState{Items: []*isthmusv1.DesiredItem{exports()}}
	for _, allow := range []bool{false, true} {
		m.AllowAdopt(allow)
		_, report, err := m.Mend(t.Context(), want)
		need(t, err)
		if state := report.GetExports()[0].GetState(); (state == resource.ExportApplied) != allow {
			t.Errorf("allowed %v: %v", allow, report)
		}
		_, _, err = m.Mend(t.Context(), none)
		need(t, err)
		if left := m.shows("exported-services", "default"); strings.Contains(left, "west") == allow || !strings.Contains(left, "north") {
			t.Errorf("allowed %v: left: %s", allow, left)
		}
	}
}

// Consul takes names that differ in capitals for one entry, and so does isthmus.
func TestEntriesInOtherCapitals(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.put(`{"Kind":"service-intentions","Name":"API","Sources":[{"Name":"a","Action":"deny"}]}`)
	before := m.shows("service-intentions", "API")
	want := wanting("service-intentions", "api", "source/default/web", allowWeb)
	for range 2 {
		got, report := m.want("correct", want)
		if got["service-intentions/api"].GetState() != resource.PolicyApplied || len(report.GetEntries()) != 1 || len(report.GetDrifts()) != 0 {
			t.Fatalf("%v", report)
		}
		if now := m.shows("service-intentions", "API"); !strings.Contains(now, `"web"`) || !strings.Contains(now, `"a"`) {
			t.Fatalf("%s", now)
		}
	}
	m.want("correct")
	if after := m.shows("service-intentions", "API"); after != before {
		t.Fatalf("left: %s", after)
	}
}

// An entry that consul-k8s manages is never written, whatever is wanted.
func TestKubernetesKeepsItsEntries(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"a","Action":"deny"}],"Meta":{"external-source":"kubernetes"}}`)
	m.put(`{"Kind":"service-resolver","Name":"api","ConnectTimeout":"3s","Meta":{"external-source":"kubernetes"}}`)
	want := []*isthmusv1.ConfigEntry{
		wanting("service-intentions", "api", "source/default/a", `{"Name":"a","Action":"deny"}`, "source/default/web", allowWeb), wanting("service-resolver", "api", "failover/*", failover23),
	}
	before := m.shows("service-intentions", "api") + m.shows("service-resolver", "api")
	got, _ := m.want("correct", want...)
	for _, name := range []string{"service-intentions/api", "service-resolver/api"} {
		if o := got[name]; o.GetState() != resource.PolicyManaged || len(o.GetParts()) != 1 || o.GetParts()[0].GetState() != resource.PolicyManaged {
			t.Errorf("%s: %v", name, o)
		}
	}
	// Somebody patches the custom resource: it is satisfied.
	m.put(`{"Kind":"service-resolver","Name":"api","ConnectTimeout":"3s","Failover":{"*":` + failover23 + `},"Meta":{"external-source":"kubernetes"}}`)
	if got, _ := m.want("correct", want...); got["service-resolver/api"].GetState() != resource.PolicyApplied {
		t.Errorf("patched: %v", got["service-resolver/api"])
	}
	m.put(`{"Kind":"service-resolver","Name":"api","ConnectTimeout":"3s","Meta":{"external-source":"kubernetes"}}`)
	m.want("correct")
	if after := m.shows("service-intentions", "api") + m.shows("service-resolver", "api"); after != before {
		t.Errorf("touched: %s", after)
	}
}

// What isthmus wrote into an entry that is said to be Kubernetes' afterwards stays, and that is told.
func TestKubernetesTakesAnEntryOver(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.want("correct", wanting("service-intentions", "api", "source/default/web", allowWeb))
	meta := shownEntry(m.c, "service-intentions", "api")["Meta"].(map[string]any)
	meta["external-source"] = "kubernetes"
	text, err := json.Marshal(meta)
	need(t, err)
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[` + allowWeb + `],"Meta":` + string(text) + `}`)
	got, _ := m.want("correct")
	o := got["service-intentions/api"]
	if o.GetState() != resource.PolicyManaged || o.GetWantedDigest() != "" || len(o.GetParts()) != 1 || o.GetParts()[0].GetKey() != "source/default/web" {
		t.Fatalf("%v", o)
	}
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"a","Action":"deny"}],"Meta":{"external-source":"kubernetes"}}`)
	if got, _ := m.want("correct"); len(got) > 0 {
		t.Fatalf("%v", got)
	}
}

// 1,000 sources fit, marks and all, beside a human's; a Meta without room, ids that would be lost and what Consul refuses are said, and nothing
// else waits for them.
func TestLimitsOfConsul(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.put(`{"Kind":"service-intentions","Name":"big","Sources":[{"Name":"a","Action":"deny"}],"Meta":{"owner":"bob"}}`)
	full := map[string]string{}
	for i := range 64 {
		full[fmt.Sprint("key-", i)] = "bob's"
	}
	text, err := json.Marshal(full)
	need(t, err)
	m.put(`{"Kind":"service-intentions","Name":"full","Sources":[{"Name":"a","Action":"deny"}],"Meta":` + string(text) + `}`)
	m.c.Do(http.MethodPost, "/v1/connect/intentions", map[string]any{"SourceName": "a", "DestinationName": "old", "Action": "deny"}, nil)
	var parts []string
	for i := range 1000 {
		name := fmt.Sprintf("service-with-a-rather-long-name-%d", i)
		parts = append(parts, "source/default/"+name, `{"Name":"`+name+`","Action":"allow"}`)
	}
	big := m.shows("service-intentions", "big")
	others := m.shows("service-intentions", "full") + m.shows("service-intentions", "old")
	want := []*isthmusv1.ConfigEntry{
		wanting("service-intentions", "big", parts...), wanting("service-intentions", "full", "source/default/web", allowWeb), wanting("service-intentions", "old", "source/default/web", allowWeb),
		wanting("service-splitter", "tcp", "splits", `[{"Weight":50},{"Weight":50,"Service":"other"}]`), wanting("service-resolver", "api", "failover/none", failover23),
		wanting("service-resolver", "fine", "failover/*", failover23),
	}
	got, _ := m.want("correct", want...)
	for name, want := range map[string]string{
		"service-intentions/big": "applied ", "service-intentions/full": "failed MetaFull", "service-intentions/old": "failed LegacyIntentions",
		"service-splitter/tcp": "failed NeedsHTTP", "service-resolver/api": "failed ConsulError", "service-resolver/fine": "applied ",
	} {
		if is := states(got)[name]; is != want {
			t.Errorf("%s is %s, want %s: %v", name, is, want, got[name])
		}
	}
	if o := got["service-splitter/tcp"]; len(o.GetParts()) != 1 || !strings.Contains(o.GetParts()[0].GetFix(), "service-defaults/tcp") {
		t.Errorf("the fix: %v", o)
	}
	if after := m.shows("service-intentions", "full") + m.shows("service-intentions", "old"); after != others {
		t.Errorf("touched: %s", after)
	}
	if sources := shownEntry(m.c, "service-intentions", "big")["Sources"].([]any); len(sources) != 1001 {
		t.Errorf("%d sources", len(sources))
	}
	// The next look knows them all again, and they go as they came.
	if _, report := m.want("correct", want...); len(report.GetDrifts()) > 0 {
		t.Errorf("drift without anybody: %v", report.GetDrifts()[0])
	}
	m.want("correct")
	if after := m.shows("service-intentions", "big"); after != big {
		t.Errorf("left: %.300s", after)
	}
}

// Entries that refer to each other are written and taken out in the order that Consul takes, and so is one thing in place of another.
func TestEntriesThatReferToEachOther(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	split := []*isthmusv1.ConfigEntry{
		wanting("service-defaults", "web", "protocol", `"http"`), wanting("service-defaults", "web-at-dc2", "protocol", `"http"`),
		wanting("service-resolver", "web-at-dc2", "redirect", `{"Service":"web","Datacenter":"dc2"}`),
		wanting("service-router", "web", "routes", `[{"Match":{"HTTP":{"PathPrefix":"/v2"}},"Destination":{"Service":"web-at-dc2"}}]`),
		wanting("service-splitter", "web", "splits", `[{"Weight":50},{"Weight":50,"Service":"web-at-dc2"}]`),
	}
	redirect := []*isthmusv1.ConfigEntry{wanting("service-resolver", "web", "redirect", `{"Service":"old"}`)}
	back := []*isthmusv1.ConfigEntry{wanting("service-resolver", "old", "redirect", `{"Service":"web"}`)} // a circle with the former
	for i, want := range [][]*isthmusv1.ConfigEntry{split, redirect, back, redirect, split, nil} {
		got, report := m.want("correct", want...)
		if len(got) != len(want) || len(report.GetDrifts()) > 0 {
			t.Fatalf("step %d: %v", i, report)
		}
		for name, o := range got {
			if o.GetState() != resource.PolicyApplied {
				t.Fatalf("step %d: %s: %v", i, name, o)
			}
		}
	}
	for _, kind := range []string{"service-defaults", "service-resolver", "service-router", "service-splitter"} {
		var list []any
		if m.c.Do(http.MethodGet, "/v1/config/"+kind, nil, &list); len(list) > 0 {
			t.Errorf("left: %v", list)
		}
	}
}

// Drift that is only to be reported stays as somebody made it, is told once, and is over when it is put back by hand, or put right.
func TestDriftIsOnlyReported(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	want := []*isthmusv1.ConfigEntry{
		wanting("service-intentions", "api", "source/default/web", allowWeb, "source/default/cron", `{"Name":"cron","Action":"allow"}`), wanting("service-resolver", "api", "failover/*", failover23),
	}
	m.want("report", want...)
	meta := metaOf(t, m.c, "service-intentions", "api")
	changed := `{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"web","Action":"deny"}],"Meta":` + meta + `}`
	m.put(changed)
	m.c.Do(http.MethodDelete, "/v1/config/service-resolver/api", nil, nil)
	for range 2 {
		got, report := m.want("report", want...)
		if s := states(got); s["service-intentions/api"] != "drifted ChangedByHand" || s["service-resolver/api"] != "drifted ChangedByHand" {
			t.Fatalf("states: %v", s)
		}
		if parts := got["service-intentions/api"].GetParts(); len(parts) != 2 || len(report.GetDrifts()) != 3 {
			t.Fatalf("parts %v, drifts %v", parts, report.GetDrifts())
		}
		for _, d := range report.GetDrifts() {
			if d.GetCorrected() || d.GetModifyIndex() == 0 {
				t.Errorf("drift: %v", d)
			}
		}
	}
	if left := m.shows("service-intentions", "api"); strings.Contains(left, `"Name":"cron"`) || m.shows("service-resolver", "api") != "null" {
		t.Errorf("it was put back: %s", left)
	}
	m.put(strings.Replace(changed, `{"Name":"web","Action":"deny"}`, `{"Name":"web","Action":"allow"},{"Name":"cron","Action":"allow"}`, 1))
	if got, _ := m.want("report", want...); got["service-intentions/api"].GetState() != resource.PolicyApplied {
		t.Errorf("put back by hand: %v", got)
	}
	got, report := m.want("correct", want...)
	if got["service-resolver/api"].GetState() != resource.PolicyApplied || !report.GetDrifts()[0].GetCorrected() || m.shows("service-resolver", "api") == "null" {
		t.Errorf("put right: %v", report)
	}
}

// Somebody whose tool puts its own back as fast as isthmus does does not keep Consul busy, and is told of; isthmus does not give up.
func TestTwoWhoKeepChangingTheSame(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.SetClock(func() time.Time { return now })
	want := wanting("service-intentions", "api", "source/default/web", allowWeb)
	m.want("correct", want)
	corrected := 0
	var last *isthmusv1.ObservedEntry
	fight := func() {
		m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"web","Action":"deny"}],"Meta":` + metaOf(t, m.c, "service-intentions", "api") + `}`)
		got, _ := m.want("correct", want)
		if last = got["service-intentions/api"]; last.GetState() == resource.PolicyApplied {
			corrected++
		}
	}
	for range 20 {
		fight()
	}
	if corrected != 8 || last.GetState() != resource.PolicyDrifted || last.GetReason() != "Contested" {
		t.Fatalf("put back %d times: %v", corrected, last)
	}
	now = now.Add(11 * time.Second)
	if got, _ := m.want("correct", want); got["service-intentions/api"].GetState() != resource.PolicyApplied {
		t.Fatalf("later: %v", got)
	}
}

// An agent that starts again, or comes to lead, knows what was written although somebody deleted the entries with their marks; in a Consul that
// was made anew everything is written again.
func TestDriftIsKnownAfterARestart(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	m := newMending(t, c)
	client := mustClient(t, c, c.ManagementToken)
	own, follower := filepath.Join(t.TempDir(), "entries.json"), filepath.Join(t.TempDir(), "entries.json")
	want := []*isthmusv1.ConfigEntry{wanting("service-intentions", "api", "source/default/web", allowWeb), wanting("service-resolver", "api", "failover/*", failover23)}
	state := &isthmusv1.DesiredState{ConsulDatacenter: "dc1", Drift: "report", Items: []*isthmusv1.DesiredItem{
		entries(want...), exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}),
	}}
	m.Mender = agent.NewMenderIn(own, client)
	_, _, err := m.Mend(t.Context(), state)
	need(t, err)
	agent.NewMenderIn(follower, client).Follow(t.Context(), state)
	for _, path := range []string{"service-intentions/api", "service-resolver/api", "exported-services/default"} {
		c.Do(http.MethodDelete, "/v1/config/"+path, nil, nil)
	}
	for name, path := range map[string]string{"started again": own, "came to lead": follower} {
		m.Mender = agent.NewMenderIn(path, client)
		report, exported, err := m.Mend(t.Context(), state)
		need(t, err)
		for _, e := range report.GetEntries() {
			if e.GetState() != resource.PolicyDrifted {
				t.Errorf("an agent that %s: %v", name, e)
			}
		}
		if path == own && exported.GetExports()[0].GetState() != resource.ExportDrifted {
			t.Errorf("exports: %v", exported)
		}
		if len(report.GetDrifts()) != 2 || m.shows("service-intentions", "api") != "null" {
			t.Errorf("an agent that %s: %v", name, report)
		}
	}
	need(t, c.Wipe(t.Context()))
	m.Mender = agent.NewMenderIn(own, mustClient(t, c, c.ManagementToken))
	consultest.Await(t, "everything is written into the new Consul", func() error {
		report, _, err := m.Mend(t.Context(), state)
		if err == nil && (len(report.GetEntries()) != 2 || report.GetEntries()[0].GetState() != resource.PolicyApplied || len(report.GetDrifts()) > 0) {
			err = fmt.Errorf("%v", report)
		}
		return err
	})
}

// What everybody's entries say is told, and nothing of what defaults say beside.
func TestCensusOfEntries(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	m.put(`{"Kind":"proxy-defaults","Name":"global","Config":{"protocol":"http","secret":"hush"},"MeshGateway":{"Mode":"local"},"Meta":{"secret":"hush"}}`)
	m.put(`{"Kind":"service-defaults","Name":"api","Protocol":"grpc","ExternalSNI":"hush.example"}`)
	m.put(`{"Kind":"mesh","TransparentProxy":{"MeshDestinationsOnly":true}}`)
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"*","Action":"deny","Description":"nobody"}]}`)
	m.put(`{"Kind":"exported-services","Name":"default","Services":[{"Name":"api","Consumers":[{"Peer":"west"}]}]}`)
	m.put(`{"Kind":"service-defaults","Name":"web","Protocol":"http"}`)
	m.put(`{"Kind":"service-intentions","Name":"web","Sources":[{"Name":"a","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/a","Header":[{"Name":"x-api-key","Exact":"hush"}]}}]}]}`)
	m.put(`{"Kind":"service-router","Name":"web","Routes":[{"Match":{"HTTP":{"PathPrefix":"/a","QueryParam":[{"Name":"key","Exact":"hush"}]}},` +
		`"Destination":{"RequestHeaders":{"Set":{"Authorization":"hush"},"Remove":["x"]},"ResponseHeaders":{"Add":{"Set-Cookie":"hush"}}}}]}`)
	report := m.Census(t.Context())
	got := map[string]string{}
	for _, e := range report.GetEntries() {
		got[e.GetKind()+"/"+e.GetName()] = e.GetJson()
		if e.GetNamespace() != "default" || strings.Contains(e.GetJson(), "hush") || strings.Contains(e.GetJson(), "Index") {
			t.Errorf("told: %v", e)
		}
	}
	for name, want := range map[string]string{
		"proxy-defaults/global":     `{"Config":{"protocol":"http"},"Kind":"proxy-defaults","MeshGateway":{"Mode":"local"},"Name":"global"}`,
		"service-defaults/api":      `{"Kind":"service-defaults","Name":"api","Protocol":"grpc"}`,
		"mesh/mesh":                 `"MeshDestinationsOnly":true`,
		"service-intentions/api":    `"Description":"nobody"`,
		"exported-services/default": `"Peer":"west"`,
		"service-intentions/web":    `{"Action":"allow","HTTP":{"Header":[{"Exact":"…","Name":"x-api-key"}],"PathPrefix":"/a"}}`,
		"service-router/web":        `"RequestHeaders":{"Remove":["x"],"Set":{"Authorization":"…"}},"ResponseHeaders":{"Add":{"Set-Cookie":"…"}}`,
	} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s: %s", name, got[name])
		}
	}
	if len(got) != 8 || report.GetTruncated() || report.GetErrorReason() != "" {
		t.Errorf("%v", report)
	}
	observed, _ := m.want("correct", wanting("service-router", "web", "routes", `[{"Destination":{"Service":"b"}}]`))
	if found := observed["service-router/web"].GetParts()[0].GetFound(); strings.Contains(found, "hush") || !strings.Contains(found, "Authorization") {
		t.Errorf("a conflict tells %s", found)
	}
	// With a token that may not see all of it, that is said.
	blind := agent.NewMender(mustClient(t, m.c, m.c.MintToken("blind", `node_prefix "" { policy = "read" }`)))
	if report := blind.Census(t.Context()); report.GetErrorReason() != "AclRuleMissing" || len(report.GetEntries()) == 8 {
		t.Errorf("without rights: %v", report)
	}
	// More than fits is cut off, and that is said.
	for i := range 35 {
		var sources []string
		for k := range 1000 {
			sources = append(sources, fmt.Sprintf(`{"Name":"source-%d","Action":"deny"}`, k))
		}
		m.put(fmt.Sprintf(`{"Kind":"service-intentions","Name":"s%d","Sources":[%s]}`, i, strings.Join(sources, ",")))
	}
	size := 0
	report = agent.NewMender(mustClient(t, m.c, m.c.ManagementToken)).Census(t.Context())
	for _, e := range report.GetEntries() {
		size += len(e.GetJson())
	}
	if !report.GetTruncated() || size > 2<<20 || size < 1<<20 || report.GetEntries()[0].GetKind() != "mesh" {
		t.Errorf("%d bytes, truncated: %v", size, report.GetTruncated())
	}
}

// A secondary has the primary's entries: its agent writes none, whatever it is told, and tells what is there.
func TestASecondaryWritesNothing(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc2"))
	m.put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"a","Action":"deny"}]}`)
	before := m.shows("service-intentions", "api")
	secondary := consul.Self{Datacenter: "dc2", PrimaryDatacenter: "dc1"}
	want := &isthmusv1.DesiredState{Items: []*isthmusv1.DesiredItem{entries(wanting("service-intentions", "api", "source/default/web", allowWeb))}}
	if report := m.MendAs(t.Context(), want, secondary); report.GetErrorReason() != "SecondaryOfFederation" || len(report.GetEntries()) > 0 {
		t.Errorf("told to write: %v", report)
	}
	if report := m.MendAs(t.Context(), &isthmusv1.DesiredState{}, secondary); report.GetErrorReason() != "" {
		t.Errorf("told nothing: %v", report)
	}
	if after := m.shows("service-intentions", "api"); after != before {
		t.Errorf("written: %s", after)
	}
	if report := m.Census(t.Context()); len(report.GetEntries()) != 1 || report.GetEntries()[0].GetName() != "api" {
		t.Errorf("told: %v", report)
	}
}
