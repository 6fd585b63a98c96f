package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// log is what the audit log has that a query asks for.
func (n *node) log(query url.Values) []*isthmusv1.Event {
	n.t.Helper()
	out := &isthmusv1.ListEventsResponse{}
	body := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?"+query.Encode(), "")).body
	if err := protojson.Unmarshal([]byte(body), out); err != nil {
		n.t.Fatalf("%v\n%s", err, body)
	}
	return out.GetEvents()
}

// fields are the changes of an event in one line each.
func fields(e *isthmusv1.Event) string {
	var out []string
	for _, c := range e.GetSpec().GetChanges() {
		out = append(out, fmt.Sprintf("%s: %s → %s", c.GetField(), c.GetBefore(), c.GetAfter()))
	}
	return strings.Join(out, "\n")
}

// The log tells what became of each field, to whoever asks for what was done by whom, and never a header's value.
func TestEventsTellFields(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	policy := func(value string) string {
		return "kind: TrafficPolicy\nname: api\nspec:\n  service: api\n  datacenters: [dc1]\n  routes:\n  - match: {pathPrefix: /a, headers: [{name: x-key, exact: " + value + "}]}\n    target: {service: other}\n"
	}
	n.apply(policy("hunter2"))
	n.apply(policy("hunter3"))
	n.apply("kind: TrafficPolicy\nname: api\nlabels: {team: a}\nspec: {service: api, datacenters: [dc1], redirect: {service: other}}\n")
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/traffic-policies/api", ""))
	of := func(action string) []*isthmusv1.Event {
		return n.log(url.Values{"kind": {"TrafficPolicy"}, "target": {"api"}, "action": {action}, "actor": {"api-token/admin"}})
	}
	routes := `[{"match":{"headers":[{"exact":"…","name":"x-key"}],"pathPrefix":"/a"},"target":{"service":"other"}}]`
	created, updated, deleted := of(resource.ActionCreate), of(resource.ActionUpdate), of(resource.ActionDelete)
	if len(created) != 1 || len(updated) != 2 || len(deleted) != 1 {
		t.Fatalf("%d created, %d updated, %d deleted", len(created), len(updated), len(deleted))
	}
	for i, c := range []struct{ got, want string }{
		{fields(created[0]), "spec.datacenters:  → [\"dc1\"]\nspec.namespace:  → \"default\"\nspec.routes:  → " + routes + "\nspec.service:  → \"api\""},
		{fields(updated[0]), "spec.routes: " + routes + " → " + routes},
		{fields(updated[1]), "labels.team:  → \"a\"\nspec.redirect.service:  → \"other\"\nspec.routes: " + routes + " → "},
		{fields(deleted[0]), "labels.team: \"a\" → \nspec.datacenters: [\"dc1\"] → \nspec.namespace: \"default\" → \nspec.redirect.service: \"other\" → \nspec.service: \"api\" → "},
	} {
		if c.got != c.want {
			t.Errorf("%d: got\n%s\nwant\n%s", i, c.got, c.want)
		}
	}
	if all := n.call(http.MethodGet, "/v1/events?pageSize=1000", "").body; strings.Contains(all, "hunter") {
		t.Error("a header's value is in the log")
	}
}

// What changes by itself is told field by field, too.
func TestTransitionsTellFields(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *serverConfig) { c.Now = clock.now })
	n.apply(datacenters("dc1", "dc2"))
	n.apply("kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc2}\n")
	w, fleet := newWorld(), fleetKey(t)
	a := n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	n.becomes("p", "healthy")
	a.stop()
	tells := func(kind, target, field, before, after string) {
		t.Helper()
		n.until(target+"'s "+field+" is told", func() error {
			events := n.log(url.Values{"kind": {kind}, "target": {target}, "action": {resource.ActionTransition}, "actor": {"controller"}, "descending": {"true"}})
			for _, e := range events {
				if slices.ContainsFunc(e.GetSpec().GetChanges(), func(c *isthmusv1.FieldChange) bool {
					return c.GetField() == field && c.GetBefore() == before && c.GetAfter() == after
				}) {
					return nil
				}
			}
			return fmt.Errorf("%v", events)
		})
	}
	tells("Peering", "p", "status.verdict", `"pending"`, `"healthy"`)
	clock.advance(2 * resource.Silence)
	tells("Datacenter", "dc1", "status.agent", `"online"`, `"offline"`)
	tells("Peering", "p", "status.verdict", `"healthy"`, `"unknown"`)
	tells("Peering", "p", "status.reason", `"Healthy"`, `"AgentSilent"`)
}

// Who holds which API token is for admins: others read a log without it, page by page, and hear of logins by who did something only.
func TestEventsOfAPITokens(t *testing.T) {
	t.Parallel()
	n := start(t)
	viewer, operator := n.apiToken("viewer"), n.apiToken("operator")
	for i := range 6 {
		n.apply(datacenters(fmt.Sprintf("dc%d", i)))
		n.want(http.StatusOK, n.call(http.MethodPost, "/v1/api-tokens", fmt.Sprintf(`{"name":"t%d","spec":{"role":"admin","description":"hush"}}`, i)))
	}
	n.browse(operator)
	everything := n.log(url.Values{"pageSize": {"1000"}})
	var wanted []string
	for _, e := range everything {
		if e.GetSpec().GetKind() != resource.KindAPIToken {
			wanted = append(wanted, e.GetName())
		}
		status := http.StatusOK
		if e.GetSpec().GetKind() == resource.KindAPIToken {
			status = http.StatusNotFound
		}
		n.want(status, n.callAs(viewer, http.MethodGet, "/v1/events/"+e.GetName(), ""))
		n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events/"+e.GetName(), ""))
	}
	if len(everything)-len(wanted) < 9 || len(wanted) < 6 {
		t.Fatalf("%d events, %d of them not about API tokens", len(everything), len(wanted))
	}
	for token, who := range map[string]string{viewer: "a viewer", operator: "an operator"} {
		for _, descending := range []bool{false, true} {
			var got []string
			query := url.Values{"pageSize": {"4"}, "descending": {fmt.Sprint(descending)}}
			for more := true; more; more = query.Get("pageToken") != "" {
				a := n.want(http.StatusOK, n.callAs(token, http.MethodGet, "/v1/events?"+query.Encode(), ""))
				page := &isthmusv1.ListEventsResponse{}
				if err := protojson.Unmarshal([]byte(a.body), page); err != nil {
					t.Fatal(err)
				}
				for _, e := range page.GetEvents() {
					got = append(got, e.GetName())
				}
				if strings.Contains(a.body, "hush") || page.GetNextPageToken() != "" && len(page.GetEvents()) != 4 {
					t.Errorf("%s reads %s", who, a.body)
				}
				query.Set("pageToken", page.GetNextPageToken())
			}
			if descending {
				slices.Reverse(got)
			}
			if !slices.Equal(got, wanted) {
				t.Errorf("%s (descending %v) reads %v, want %v", who, descending, got, wanted)
			}
		}
		if got := n.want(http.StatusOK, n.callAs(token, http.MethodGet, "/v1/events?kind=APIToken", "")).body; strings.Contains(got, "spec") {
			t.Errorf("%s reads %s", who, got)
		}
	}
}
