package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/doctor"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// doctor asks some checks with a token.
func (n *node) doctor(token, query string) *isthmusv1.DoctorReport {
	n.t.Helper()
	out := &isthmusv1.DoctorReport{}
	body := n.want(http.StatusOK, n.callAs(token, http.MethodGet, "/v1/doctor?"+query, "")).body
	if err := protojson.Unmarshal([]byte(body), out); err != nil {
		n.t.Fatalf("%v\n%s", err, body)
	}
	return out
}

// finds waits until a check is found to be so.
func (n *node) finds(id, verdict, severity, words string) {
	n.t.Helper()
	n.until(id+" is "+verdict, func() error {
		report := n.doctor(n.token, "only="+id)
		c := report.GetChecks()[0]
		if c.GetVerdict() != verdict || c.GetSeverity() != severity || !strings.Contains(c.GetMessage()+c.GetFix(), words) {
			return fmt.Errorf("%v", c)
		}
		return nil
	})
}

// until looks until there is no error.
func (n *node) until(what string, look func() error) {
	n.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			n.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// A certificate that nobody renews is told of before it ends, and renewing it cures that.
func TestDoctorSeesCertificatesEnd(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *serverConfig) { c.Now = clock.now })
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	n.finds("AgentCertificate", resource.CheckPass, doctor.SeverityError, "good for")
	clock.advance(identity.AgentCertificateLife - 5*time.Hour)
	n.finds("AgentCertificate", resource.CheckFail, doctor.SeverityWarning, "should have been renewed")
	clock.advance(6 * time.Hour)
	n.finds("AgentCertificate", resource.CheckFail, doctor.SeverityError, "renews its certificate by itself")
	csr, err := a.id.CSR()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.sync.Renew(t.Context(), &isthmusv1.RenewRequest{Csr: csr}); err != nil {
		t.Fatal(err)
	}
	n.finds("AgentCertificate", resource.CheckPass, doctor.SeverityError, "good for")
}

// An agent that is not heard of, and the rest of what is then known of its datacenter.
func TestDoctorAndASilentAgent(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *serverConfig) { c.Now = clock.now })
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1").run()
	n.finds("AgentOnline", resource.CheckPass, doctor.SeverityError, "heard of")
	n.finds("LeaderFound", resource.CheckPass, doctor.SeverityError, "leads")
	a.stop()
	n.inFlight("isthmus.v1.SyncService/Pull", 0)
	clock.advance(time.Minute)
	n.finds("AgentOnline", resource.CheckFail, doctor.SeverityError, "isthmus delete agent")
	n.finds("LeaderFound", resource.CheckUnknown, doctor.SeverityError, "no agent of dc1 is heard of")
}

// Who asks is told of tokens that it may know of: an admin of all, others of their own.
func TestDoctorTellsOfTokens(t *testing.T) {
	t.Parallel()
	n := start(t)
	tokens := map[string]string{}
	for _, name := range []string{"short", "other"} {
		body := fmt.Sprintf(`{"name": %q, "spec": {"role": "viewer", "expireTime": %q}}`, name, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		tokens[name] = n.want(http.StatusOK, n.call(http.MethodPost, "/v1/api-tokens", body)).fields(t)["secret"].(string)
	}
	subjects := func(token string) string {
		var out []string
		for _, c := range n.doctor(token, "only=APITokenExpiring").GetChecks() {
			out = append(out, c.GetSubject())
		}
		return strings.Join(out, " ")
	}
	if got := subjects(n.token); got != "APIToken/other APIToken/short" {
		t.Errorf("an admin is told of %q", got)
	}
	if got := subjects(tokens["short"]); got != "APIToken/short" {
		t.Errorf("a viewer is told of %q", got)
	}
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/api-tokens/short", ""))
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/api-tokens/other", ""))
	n.finds("APITokenExpiring", resource.CheckPass, doctor.SeverityWarning, "none of the API tokens")
}

func TestDoctorIsAskedSomeChecks(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2"))
	for _, query := range []string{"only=AgentEnrolled,HeldRemovals&datacenter=dc1", "only=AgentEnrolled&only=HeldRemovals&datacenter=dc1"} {
		n.until("both are asked", func() error {
			report := n.doctor(n.token, query)
			if report.GetFailed() != 1 || report.GetPassed() != 1 || len(report.GetChecks()) != 2 || report.GetTime() == nil {
				return fmt.Errorf("%v", report)
			}
			return nil
		})
	}
	a := n.call(http.MethodGet, "/v1/doctor?only=Nonsense", "")
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, "ConfigEntriesApplied") || !strings.Contains(a.body, "only[0]") {
		t.Errorf("%d: %s", a.status, a.body)
	}
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/doctor?datacenter=dc9", ""))
}
