package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/consultest"
)

// entries is a desired item with config entries.
func entries(all ...*isthmusv1.ConfigEntry) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{
		Id: resource.ItemConfigEntries, Type: resource.ItemConfigEntries, ConfigEntries: &isthmusv1.ConfigEntries{Entries: all},
	}
}

// wanting is one entry with parts, given as key and value in turn.
func wanting(kind, name string, parts ...string) *isthmusv1.ConfigEntry {
	e := &isthmusv1.ConfigEntry{Kind: kind, Name: name, Namespace: "default"}
	for i := 0; i < len(parts); i += 2 {
		e.Parts = append(e.Parts, &isthmusv1.ConfigPart{Key: parts[i], Value: parts[i+1], Policies: []string{"Intention/x"}})
	}
	return e
}

// shownEntry is an entry as Consul shows it, but for its indexes; empty: it is not there.
func shownEntry(c *consultest.Cluster, kind, name string) map[string]any {
	var list []map[string]any
	c.Do(http.MethodGet, "/v1/config/"+kind, nil, &list)
	for _, e := range list {
		if e["Name"] == name {
			for _, field := range []string{"CreateIndex", "ModifyIndex", "Hash"} {
				delete(e, field)
			}
			return e
		}
	}
	return nil
}

// observedEntry is what an agent said of one entry.
func (h *hub) observedEntry(datacenter, kind, name string) *isthmusv1.ObservedEntry {
	for _, e := range h.reported(datacenter).GetPolicy().GetEntries() {
		if e.GetKind() == kind && e.GetName() == name {
			return e
		}
	}
	return nil
}

// settled waits until the agent says of an entry, as it is wanted now, that it is in some state.
func (h *hub) settled(datacenter string, want *isthmusv1.ConfigEntry, state string) *isthmusv1.ObservedEntry {
	h.t.Helper()
	var last *isthmusv1.ObservedEntry
	eventually(h.t, fmt.Sprintf("%s/%s is %s", want.GetKind(), want.GetName(), state), func() bool {
		last = h.observedEntry(datacenter, want.GetKind(), want.GetName())
		return last.GetWantedDigest() == resource.Digest(want) && last.GetState() == state
	})
	return last
}

const (
	allowWeb   = `{"Name":"web","Action":"allow"}`
	denyWeb    = `{"Name":"web","Action":"deny"}`
	failover23 = `{"Targets":[{"Datacenter":"dc2"},{"Peer":"west"}]}`
)

// A person's entries are merged into, drift is put back, and without isthmus everything is as it was before.
func TestConfigEntriesBesideAHuman(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	put := func(entry string) {
		t.Helper()
		var body map[string]any
		need(t, json.Unmarshal([]byte(entry), &body))
		c.Do(http.MethodPut, "/v1/config", body, nil)
	}
	put(`{"Kind":"service-defaults","Name":"web","Protocol":"http","Meta":{"owner":"bob"}}`)
	put(`{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"billing","Action":"allow","Description":"by hand"},{"Name":"*","Action":"deny"}],"Meta":{"owner":"bob"}}`)
	put(`{"Kind":"service-resolver","Name":"api","ConnectTimeout":"7s","Subsets":{"v2":{"Filter":"Service.Meta.v == 2"}},"Failover":{"v2":{"Datacenters":["dc9"]}}}`)
	put(`{"Kind":"service-router","Name":"web","Routes":[]}`)
	type at struct{ kind, name string }
	before := map[at]map[string]any{}
	all := []at{{"service-intentions", "api"}, {"service-resolver", "api"}, {"service-router", "web"}, {"service-splitter", "web"}, {"service-resolver", "web-at-dc2"}, {"service-defaults", "web-at-dc2"}, {"service-defaults", "web"}, {"service-intentions", "web"}}
	for _, e := range all {
		before[e] = shownEntry(c, e.kind, e.name)
	}
	rules, err := policyRules("peering", "intentions", "traffic")
	need(t, err)
	run(t, h.config("east", settings(t, c.Env(c.MintToken("agent", rules))...)))

	wants := []*isthmusv1.ConfigEntry{
		wanting("service-defaults", "web-at-dc2", "protocol", `"http"`),
		wanting("service-intentions", "api", "source/default/web", allowWeb, "source/default/web@west", `{"Name":"web","Peer":"west","Action":"deny","Description":"from west"}`),
		wanting("service-intentions", "web", "source/default/*", `{"Name":"*","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/","Methods":["GET"]}}]}`),
		wanting("service-resolver", "api", "failover/*", failover23),
		wanting("service-resolver", "web-at-dc2", "redirect", `{"Service":"web","Datacenter":"dc2"}`),
		wanting("service-router", "web", "routes", `[{"Match":{"HTTP":{"PathPrefix":"/v2"}},"Destination":{"Service":"web-at-dc2","RequestTimeout":"1m30s","NumRetries":3}}]`),
		wanting("service-splitter", "web", "splits", `[{"Weight":66.67},{"Weight":33.33,"Service":"web-at-dc2"}]`),
	}
	h.want("east", entries(wants...))
	for _, w := range wants {
		h.settled("east", w, resource.PolicyApplied)
	}
	if got := shownEntry(c, "service-intentions", "api")["Sources"].([]any); len(got) != 4 {
		t.Fatalf("sources: %v", got)
	}
	if got := h.reported("east").GetPolicy(); got.GetErrorReason() != "" || len(got.GetDrifts()) != 0 {
		t.Fatalf("report: %v", got)
	}

	// A person changes isthmus's part, and takes another one out with the whole entry.
	put(`{"Kind":"service-intentions","Name":"web","Sources":[{"Name":"*","Action":"deny"}],"Meta":` + metaOf(t, c, "service-intentions", "web") + `}`)
	c.Do(http.MethodDelete, "/v1/config/service-splitter/web", nil, nil)
	eventually(t, "drifts are told", func() bool { return len(h.reported("east").GetPolicy().GetDrifts()) == 2 })
	for _, d := range h.reported("east").GetPolicy().GetDrifts() {
		if !d.GetCorrected() || d.GetModifyIndex() == 0 || d.GetWanted() == "" || (d.GetFound() == "") != (d.GetEntry() == "service-splitter/web") || d.GetTime() == nil {
			t.Errorf("drift: %v", d)
		}
	}
	eventually(t, "drift is put back", func() bool {
		return shownEntry(c, "service-splitter", "web") != nil && strings.Contains(fmt.Sprint(shownEntry(c, "service-intentions", "web")["Sources"]), "Permissions")
	})
	reported := func(kind, name string) string {
		for _, e := range h.reported("east").GetEntries().GetEntries() {
			if e.GetKind() == kind && e.GetName() == name {
				return e.GetJson()
			}
		}
		return ""
	}
	eventually(t, "everybody's entries are told", func() bool {
		return strings.Contains(reported("service-intentions", "api"), "by hand") && reported("service-defaults", "web") == `{"Kind":"service-defaults","Name":"web","Protocol":"http"}`
	})

	h.want("east", entries())
	for _, e := range all {
		eventually(t, fmt.Sprint(e, " is as it was"), func() bool { return cmp.Equal(before[e], shownEntry(c, e.kind, e.name)) })
	}
}

func metaOf(t *testing.T, c *consultest.Cluster, kind, name string) string {
	t.Helper()
	text, err := json.Marshal(shownEntry(c, kind, name)["Meta"])
	need(t, err)
	return string(text)
}

// What somebody changed is put back, and what is newly wanted is written, also while a pass waits for something else.
func TestDriftIsPutBackWhileAPassHangs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	var hold atomic.Bool
	held, release := make(chan struct{}, 1), make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	target, err := url.Parse(c.HTTPAddr)
	need(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: newHuman(t, c).http.Transport, ErrorHandler: refuse}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hold.Load() && r.URL.Path == "/v1/peerings" && r.URL.Query().Get("index") == "" {
			select {
			case held <- struct{}{}:
			default:
			}
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	run(t, h.config("east", settings(t, "CONSUL_HTTP_ADDR="+proxy.URL, "CONSUL_HTTP_TOKEN="+c.ManagementToken)))
	want := wanting("service-intentions", "api", "source/default/web", allowWeb)
	h.want("east", entries(want), exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}))
	h.settled("east", want, resource.PolicyApplied)
	eventually(t, "exported", func() bool { return shownEntry(c, "exported-services", "default") != nil })
	hold.Store(true)
	<-held
	for _, path := range []string{"service-intentions/api", "exported-services/default"} {
		c.Do(http.MethodDelete, "/v1/config/"+path, nil, nil)
	}
	more := wanting("service-intentions", "web", "source/default/cron", `{"Name":"cron","Action":"deny"}`)
	h.want("east", entries(want, more), exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}))
	for _, at := range []entryName{{"service-intentions", "api"}, {"exported-services", "default"}, {"service-intentions", "web"}} {
		eventually(t, fmt.Sprint(at, " is there"), func() bool { return shownEntry(c, at.kind, at.name) != nil })
	}
	h.settled("east", more, resource.PolicyApplied)
	if drifts := h.reported("east").GetExports().GetDrifts(); len(drifts) != 1 || drifts[0].GetPart() != "export/default/web@west" || !drifts[0].GetCorrected() {
		t.Errorf("drifts of exports: %v", drifts)
	}
}
