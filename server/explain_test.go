package server_test

import (
	"net/http"
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What agents report is what is explained, over gRPC and REST, to whoever may read.
func TestExplain(t *testing.T) {
	t.Parallel()
	n, _, _, agents := joins(t)
	n.apply(global)
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	api := isthmusv1.NewDiagnosisServiceClient(n.shared())
	ask := func() *isthmusv1.Explanation {
		e, err := api.Explain(n.as(n.token), &isthmusv1.ExplainRequest{Source: "web@dc1", Destination: "api@dc2"})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	agents["dc1"].offers("web")
	agents["dc1"].reports(&isthmusv1.ReportRequest{Rights: &isthmusv1.RightsReport{}})
	agents["dc2"].offers("apt")
	eventually(t, "api is missing", func() (bool, string) {
		e := ask()
		return e.GetVerdict() == "broken" && strings.Contains(e.GetMessage(), "Destination: api is not registered in dc2; did you mean apt?"), e.String()
	})
	agents["dc2"].offers("api")
	eventually(t, "api is there, and connected", func() (bool, string) {
		e := ask()
		return len(e.GetHops()) == 9 && e.GetHops()[1].GetVerdict() == "pass" && e.GetHops()[2].GetVerdict() == "pass", e.String()
	})
	body := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/explain?source=web@dc1&destination=api@dc2", "")).body
	if !strings.Contains(body, `"id":"Certificate"`) && !strings.Contains(body, `"id": "Certificate"`) {
		t.Errorf("REST says %s", body)
	}
	for _, query := range []string{"", "source=web@dc1", "source=web@dc1&destination=api", "source=web@dc1&destination=api@nowhere"} {
		if a := n.want(http.StatusBadRequest, n.call(http.MethodGet, "/v1/explain?"+query, "")); !strings.Contains(a.body, "destination") && !strings.Contains(a.body, "source") {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}
