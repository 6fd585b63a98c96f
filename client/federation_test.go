package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func TestFederationCalls(t *testing.T) {
	t.Parallel()
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		switch {
		case r.Method == http.MethodPost:
			var body map[string]any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["datacenter"] != "dc2" || body["recipient"] != "age1x" || body["wait"] != "1m" {
				t.Errorf("the request: %v %v", body, err)
			}
			fmt.Fprint(w, `{"payload":{"kind":"federation-bundle"},"senders":[{}]}`)
		case r.URL.Path == "/v1/members":
			fmt.Fprint(w, `{"members":[{"federation":"global"}],"gaps":[{"datacenter":"dc2"}]}`)
		case r.URL.Path == "/v1/reachability":
			fmt.Fprint(w, `{"cells":[{"from":"dc1","to":"dc2","reached":"yes"}]}`)
		default:
			fmt.Fprint(w, `{"federation":"global","members":[{"datacenter":"dc2","action":"join","lossCount":2}]}`)
		}
	})
	for _, deleting := range []bool{false, true} {
		if p, err := c.FederationPlan(t.Context(), "global", deleting); err != nil || p.GetMembers()[0].GetLossCount() != 2 {
			t.Errorf("plan: %v %v", p, err)
		}
	}
	bundle, err := c.RequestBundle(t.Context(), &isthmusv1.RequestBundleRequest{Name: "global", Datacenter: "dc2", Recipient: "age1x", Wait: "1m"})
	if err != nil || bundle.GetPayload().GetKind() != "federation-bundle" || len(bundle.GetSenders()) != 1 {
		t.Errorf("bundle: %v %v", bundle, err)
	}
	for _, federation := range []string{"", "global"} {
		if m, err := c.Members(t.Context(), federation); err != nil || len(m.GetMembers()) != 1 || len(m.GetGaps()) != 1 {
			t.Errorf("members: %v %v", m, err)
		}
		if r, err := c.Reachability(t.Context(), federation); err != nil || r.GetCells()[0].GetReached() != "yes" {
			t.Errorf("reachability: %v %v", r, err)
		}
	}
	want := []string{
		"GET /v1/federations/global/plan", "GET /v1/federations/global/plan?delete=true", "POST /v1/federations/global:bundle",
		"GET /v1/members", "GET /v1/reachability", "GET /v1/members?federation=global", "GET /v1/reachability?federation=global",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestAFederationIsReadyWhenAllHaveJoined(t *testing.T) {
	t.Parallel()
	f := &isthmusv1.Federation{Generation: 2, Status: &isthmusv1.FederationStatus{
		Secondaries: 2, Joined: 1,
		Conditions: []*isthmusv1.Condition{{Type: "Ready", Status: "false", Message: "dc3 restarts", ObservedGeneration: 2}},
	}}
	if r := client.Judge(f); r.Ready || r.State != "1/2 joined" || r.Message != "dc3 restarts" {
		t.Errorf("on the way: %+v", r)
	}
	f.Status.Joined, f.Status.Conditions[0].Status = 2, "true"
	if r := client.Judge(f); !r.Ready || r.State != "2/2 joined" {
		t.Errorf("joined: %+v", r)
	}
	f.Generation = 3
	if r := client.Judge(f); r.Ready {
		t.Errorf("after a change that nobody has looked at: %+v", r)
	}
}
