package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const removable = `---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1, dc2], consumers: {selector: env=demo}}
---
kind: Intention
name: api
spec: {destination: {service: api, datacenters: [dc1]}, sources: [{service: web, datacenters: [dc2], action: allow}]}
---
kind: Gateway
name: gw
spec: {datacenter: dc2, wanAddress: "192.0.2.9:8443"}
`

// removing asks for the removal of a datacenter.
func (n *node) removing(name, body string) (answer, *isthmusv1.DatacenterRemoval) {
	n.t.Helper()
	a := n.call(http.MethodPost, "/v1/datacenters/"+name+":remove", body)
	out := &isthmusv1.DatacenterRemoval{}
	if a.status == http.StatusOK {
		if err := protojson.Unmarshal([]byte(a.body), out); err != nil {
			n.t.Fatalf("%v\n%s", err, a.body)
		}
	}
	return a, out
}

// refusesRemoval wants a refusal with these words.
func (n *node) refusesRemoval(name, body string, words ...string) {
	n.t.Helper()
	a, _ := n.removing(name, body)
	for _, word := range words {
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, word) {
			n.t.Errorf("%s: status %d, want 400 with %q: %s", body, a.status, word, a.body)
		}
	}
}

// From the plan to the end, and nobody gets in meanwhile.
func TestRemoveDatacenter(t *testing.T) {
	t.Parallel()
	n, w, a1, a2 := pair(t)
	n.apply(removable)
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	_, plan := n.removing("dc2", `{"dryRun": true}`)
	var changes []string
	for _, c := range plan.GetChanges() {
		changes = append(changes, c.GetAction()+" "+c.GetKind()+" "+c.GetName())
	}
	if want := "delete Intention api, update ServiceExport web, delete Peering dc1-dc2, delete Gateway gw"; strings.Join(changes, ", ") != want {
		t.Errorf("changes %q, want %q", changes, want)
	}
	if len(plan.GetBlocked()) > 0 || len(plan.GetSteps()) != 8 || plan.GetRequestTime() != nil {
		t.Errorf("%v", plan)
	}
	if got := n.want(http.StatusBadRequest, n.call(http.MethodDelete, "/v1/datacenters/dc2", "")).body; !strings.Contains(got, "isthmus datacenter remove dc2") {
		t.Errorf("plain deletion: %s", got)
	}
	n.refusesRemoval("dc2", `{}`, "planDigest", "is needed")
	n.refusesRemoval("dc2", `{"planDigest": "0"}`, "PlanChanged", plan.GetPlanDigest(), "delete Intention api")
	n.refusesRemoval("dc2", fmt.Sprintf(`{"planDigest": %q, "lost": true}`, plan.GetPlanDigest()), "its agents are heard of")
	n.want(http.StatusNotFound, n.call(http.MethodPost, "/v1/datacenters/dc9:remove", `{"dryRun": true}`))

	// Something else depends on it by then.
	n.apply("kind: Gateway\nname: another\nspec: {datacenter: dc2, wanAddress: '192.0.2.8:8443'}\n")
	n.refusesRemoval("dc2", fmt.Sprintf(`{"planDigest": %q}`, plan.GetPlanDigest()), "PlanChanged", "delete Gateway another")
	_, plan = n.removing("dc2", `{"dryRun": true}`)

	a1.stop() // it waits for what dc1 says
	begun, now := n.removing("dc2", fmt.Sprintf(`{"planDigest": %q}`, plan.GetPlanDigest()))
	n.want(http.StatusOK, begun)
	if now.GetRequestedBy() != "api-token/admin" || now.GetRequestTime() == nil || now.GetSteps()[0].GetState() != resource.StepDoing {
		t.Errorf("%v", now)
	}
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/intentions/api", ""))
	if got := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/service-exports/web", "")).body; strings.Contains(got, `"dc2"]`) || !strings.Contains(got, `"dc1"`) {
		t.Errorf("the export: %s", got)
	}
	again, same := n.removing("dc2", `{}`)
	n.want(http.StatusOK, again)
	if same.GetPlanDigest() != plan.GetPlanDigest() {
		t.Errorf("asked again: %v", same)
	}
	for _, body := range []string{
		`{"manifests": "kind: Datacenter\nname: dc2\nlabels: {a: b}\nspec: {runtime: vm}\n"}`,
		`{"manifests": "kind: Gateway\nname: late\nspec: {datacenter: dc2, wanAddress: \"192.0.2.7:8443\"}\n"}`,
	} {
		if got := n.want(http.StatusBadRequest, n.call(http.MethodPost, "/v1/apply", body)).body; !strings.Contains(got, "Deleting") {
			t.Errorf("written to while it is removed: %s", got)
		}
	}
	n.until("it waits for dc1", func() error {
		got := n.call(http.MethodGet, "/v1/datacenters/dc2", "").body
		for _, word := range []string{`"Removing"`, "step 1 of 8", "dc1"} {
			if !strings.Contains(got, word) {
				return fmt.Errorf("no %s in %s", word, got)
			}
		}
		return nil
	})
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/datacenters/dc2:confirm", "{}")) // held removals have to go on

	a1.run()
	n.until("it is gone", func() error {
		a := n.call(http.MethodGet, "/v1/datacenters/dc2", "")
		if a.status != http.StatusNotFound {
			return fmt.Errorf("%s", a.body)
		}
		return nil
	})
	if w.active("dc1")+w.active("dc2") != 0 {
		t.Error("an end of the peering is left")
	}
	if _, err := a2.sync.Report(t.Context(), &isthmusv1.ReportRequest{}); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "was deleted") {
		t.Errorf("its agent is told %v", err)
	}
	for _, list := range []string{"/v1/agents", "/v1/gateways", "/v1/peerings"} {
		if got := n.call(http.MethodGet, list, "").body; strings.Contains(got, "dc2") {
			t.Errorf("%s: %s", list, got)
		}
	}
	events := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?kind=Datacenter&target=dc2&pageSize=1000", "")).body
	for _, text := range []string{`"remove"`, "plan " + plan.GetPlanDigest(), "removal, Policies: doing → done", "removal, Peerings:", "removal, Agents:", "removal, Scan:", "nothing of it is left in the others"} {
		if !strings.Contains(events, text) {
			t.Errorf("the audit log has no %s: %s", text, events)
		}
	}
}

// A removal that would leave a federation without its primary, and one of a secondary.
func TestRemoveFromFederation(t *testing.T) {
	t.Parallel()
	n, w, fleet, agents := joins(t)
	n.apply(global)
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	n.refusesRemoval("dc1", `{}`, "it is the primary of Federation global", "dc2, dc3")
	_, plan := n.removing("dc3", `{"dryRun": true}`)
	if text := plan.String(); !strings.Contains(text, "are revoked in dc1") {
		t.Errorf("the plan does not tell what leaving means: %s", text)
	}
	if got := n.call(http.MethodPost, "/v1/datacenters/dc3:remove", fmt.Sprintf(`{"planDigest": %q}`, plan.GetPlanDigest())); got.status != http.StatusOK {
		t.Fatal(got.body)
	}
	n.until("it is gone", func() error {
		a := n.call(http.MethodGet, "/v1/datacenters/dc3", "")
		if a.status != http.StatusNotFound {
			return fmt.Errorf("%s", a.body)
		}
		return nil
	})
	if w.is(w.tokens, "dc3") || w.is(w.joined, "dc3") || !w.is(w.tokens, "dc2") {
		t.Error("its tokens are good, or those of dc2 are not")
	}
	n.reaches(map[string]string{"dc1": joined, "dc2": joined})
	if _, err := agents["dc3"].sync.Pull(t.Context(), &isthmusv1.PullRequest{Wait: "1s"}); !strings.Contains(fmt.Sprint(err), "was deleted") {
		t.Errorf("its agent is told %v", err)
	}
	// Where nobody is any more, one may come again.
	n.apply(datacenters("dc3"))
	if _, _, err := n.tries(n.joinToken(fleet, "dc3", 1)); err != nil {
		t.Errorf("declared again: %v", err)
	}
}
