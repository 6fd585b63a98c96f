package server_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server"
)

// tries enrols with a token and gives the answer.
func (n *node) tries(token *identity.JoinToken) (*agent, *isthmusv1.EnrolResponse, error) {
	n.t.Helper()
	id, err := identity.NewIdentity(token, token.Grant.GetExpireTime().AsTime().Add(-time.Minute))
	if err != nil {
		n.t.Fatal(err)
	}
	a := &agent{t: n.t, id: id}
	answer, err := isthmusv1.NewSyncServiceClient(n.shared()).Enrol(n.t.Context(), a.enrolment())
	return a, answer, err
}

func TestEnrolmentRefused(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	fleet := fleetKey(t)
	unregistered, err := identity.MintJoinToken(fleet, identity.MintOptions{Datacenter: "dc1", Address: n.GRPCAddr(), CAFingerprint: n.server().GetCaFingerprint()}, clock.now())
	if err != nil {
		t.Fatal(err)
	}
	used := n.joinToken(fleet, "dc1", 1)
	if _, _, err := n.tries(used); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	tampered := n.joinToken(fleet, "dc1", 1)
	tampered.Grant.MaxUses = 100
	expired := n.joinToken(fleet, "dc1", 1)
	elsewhere := n.joinToken(fleet, "dc1", 1)
	elsewhere.Grant.Datacenter = "dc2"
	check := func(what, want string, token *identity.JoinToken) {
		t.Helper()
		_, _, err := n.tries(token)
		if status.Code(err) != codes.PermissionDenied || reason(err) != want {
			t.Errorf("%s: %v (%s); want %s", what, err, reason(err), want)
		}
	}
	check("unknown", identity.ReasonTokenUnknown, unregistered)
	check("used up", identity.ReasonTokenUsed, used)
	check("tampered", identity.ReasonTokenTampered, tampered)
	check("for another datacenter", identity.ReasonTokenTampered, elsewhere)
	clock.advance(16 * time.Minute)
	check("expired", identity.ReasonTokenExpired, expired)
	if events := n.call("GET", "/v1/events?kind=JoinToken&target="+used.Grant.GetName(), "").body; !strings.Contains(events, `"refuse"`) {
		t.Errorf("the audit log says nothing of a refused agent: %s", events)
	}
	eventually(t, "the token's state expired", func() (bool, string) {
		body := n.call("GET", "/v1/join-tokens/"+expired.Grant.GetName(), "").fields(t)
		return body["status"].(map[string]any)["state"] == "expired", ""
	})
}

// An answer can get lost: asking again with the same keys is no second use.
func TestEnrolmentAgain(t *testing.T) {
	t.Parallel()
	n := start(t)
	fleet := fleetKey(t)
	token := n.joinToken(fleet, "dc1", 1)
	a, first, err := n.tries(token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := isthmusv1.NewSyncServiceClient(n.shared()).Enrol(t.Context(), a.enrolment())
	if err != nil || second.GetAgent() != first.GetAgent() {
		t.Fatalf("asking again: %v", err)
	}
	n.want(200, n.call("DELETE", "/v1/agents/"+first.GetAgent(), ""))
	if _, err := isthmusv1.NewSyncServiceClient(n.shared()).Enrol(t.Context(), a.enrolment()); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a deleted agent asks again: %v", err)
	}
	multi := n.joinToken(fleet, "dc1", 5)
	b, made, err := n.tries(multi)
	if err != nil {
		t.Fatal(err)
	}
	n.want(200, n.call("DELETE", "/v1/agents/"+made.GetAgent(), ""))
	if _, err := isthmusv1.NewSyncServiceClient(n.shared()).Enrol(t.Context(), b.enrolment()); reason(err) != identity.ReasonAgentDeleted {
		t.Errorf("a deleted agent asks again with a token that has uses left: %v", err)
	}
}

// Many agents that race for few uses: exactly as many get in.
func TestEnrolmentRace(t *testing.T) {
	t.Parallel()
	n := start(t)
	token := n.joinToken(fleetKey(t), "dc1", 3)
	var in, out atomic.Int32
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if _, _, err := n.tries(token); err == nil {
				in.Add(1)
			} else if reason(err) == identity.ReasonTokenUsed {
				out.Add(1)
			} else {
				t.Errorf("enrolling: %v", err)
			}
		})
	}
	wait.Wait()
	if in.Load() != 3 || out.Load() != 7 {
		t.Errorf("%d got in, %d were told that the token is used up", in.Load(), out.Load())
	}
}

func TestDeletedAgentIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	first, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{})
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() {
		_, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Epoch: first.GetEpoch(), MinIndex: first.GetIndex(), Have: first.GetDigest()})
		refused <- err
	}()
	n.want(200, n.call("DELETE", "/v1/agents/"+a.id.Agent(), ""))
	select {
	case err := <-refused:
		if reason(err) != identity.ReasonAgentDeleted {
			t.Errorf("an open Pull: %v", err)
		}
	case <-time.After(patience):
		t.Error("an open Pull of a deleted agent goes on")
	}
	if _, err := a.sync.Report(t.Context(), &isthmusv1.ReportRequest{}); reason(err) != identity.ReasonAgentDeleted || status.Code(err) != codes.PermissionDenied {
		t.Errorf("a call of a deleted agent: %v", err)
	}
}

// An outage of 25 hours, and then one of 91 days.
func TestCertificatesAfterAnOutage(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	renew := func() (*isthmusv1.RenewResponse, error) {
		csr, err := a.id.CSR()
		if err != nil {
			t.Fatal(err)
		}
		return a.sync.Renew(t.Context(), &isthmusv1.RenewRequest{Csr: csr})
	}
	clock.advance(25 * time.Hour)
	if _, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{}); reason(err) != identity.ReasonCertificateExpired {
		t.Errorf("Pull after 25 hours: %v", err)
	}
	renewed, err := renew()
	if err != nil {
		t.Fatalf("Renew after 25 hours: %v", err)
	}
	if a.cred, err = a.id.Accept(t.TempDir(), renewed.GetCertificate(), renewed.GetCa()); err != nil {
		t.Fatal(err)
	}
	a.connect(n.GRPCAddr())
	if _, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{}); err != nil {
		t.Errorf("Pull with the new certificate: %v", err)
	}
	other := n.enrolAt(clock.now(), fleetKey(t), "dc1", identity.KindAgent)
	csr, err := other.id.CSR()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.sync.Renew(t.Context(), &isthmusv1.RenewRequest{Csr: csr}); reason(err) != identity.ReasonCSRMismatch {
		t.Errorf("Renew for another key: %v", err)
	}
	clock.advance(91*24*time.Hour + identity.AgentCertificateLife)
	a.connect(n.GRPCAddr())
	if _, err := renew(); reason(err) != identity.ReasonCertificateTooOld {
		t.Errorf("Renew after 91 days: %v", err)
	}
}

// A certificate of another server's CA is as good as none.
func TestForeignCertificate(t *testing.T) {
	t.Parallel()
	n, other := start(t), start(t)
	a := other.enrol(newWorld(), fleetKey(t), "dc1")
	conn := dial(t, n.GRPCAddr(), n.server().GetCaFingerprint(), &a.cred.Certificate)
	if _, err := isthmusv1.NewSyncServiceClient(conn).Pull(t.Context(), &isthmusv1.PullRequest{}); status.Code(err) != codes.Unauthenticated || reason(err) != identity.ReasonBadCertificate {
		t.Errorf("another server's agent: %v", err)
	}
}

// An agent gets and touches what is its datacenter's, and nothing else.
func TestAgentsKeepToTheirDatacenter(t *testing.T) {
	t.Parallel()
	n, w, _, a2 := pair(t)
	p := n.becomes("dc1-dc2", "healthy")
	stranger := n.enrol(w, a2.fleet, "dc3")
	if _, err := stranger.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: p.GetUid(), Generation: 1}); status.Code(err) != codes.NotFound {
		t.Errorf("another datacenter claims: %v", err)
	}
	if _, err := a2.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: p.GetUid(), Generation: 1}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("the dialer claims: %v", err)
	}
	digest := p.GetStatus().GetToken().GetLedger()[0].GetSecretDigest()
	for _, a := range []*agent{stranger, a2} {
		if _, err := a.sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{digest}}); status.Code(err) != codes.NotFound {
			t.Errorf("%s fetches a used token: %v", a.dc, err)
		}
	}
	state, err := stranger.sync.Pull(t.Context(), &isthmusv1.PullRequest{Features: []string{"peering-acceptor", "peering-dialer"}})
	if err != nil || len(state.GetState().GetItems()) != 0 {
		t.Errorf("another datacenter's plan: %v, %v", state.GetState().GetItems(), err)
	}
}

// Minted without the fleet key, an agent is trusted by nobody until it is approved with it.
func TestApproval(t *testing.T) {
	t.Parallel()
	n := start(t)
	fleet := fleetKey(t)
	minted := n.want(200, n.call("POST", "/v1/join-tokens:mint", `{"datacenter":"dc1"}`)).fields(t)["token"].(string)
	token, err := identity.ParseJoinToken(minted)
	if err != nil {
		t.Fatal(err)
	}
	a := n.enrolWith(newWorld(), fleet, token)
	trust := func() string {
		return n.want(200, n.call("GET", "/v1/agents/"+a.id.Agent(), "")).fields(t)["status"].(map[string]any)["trust"].(string)
	}
	if got := trust(); got != identity.TrustNone {
		t.Errorf("trust %s", got)
	}
	agents := isthmusv1.NewAgentServiceClient(n.shared())
	forged, err := identity.Approve(fleetKey(t), a.id.Attestation, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	forged.FleetKey = fleet.Public()
	if _, err := agents.ApproveAgent(n.as(n.token), &isthmusv1.ApproveAgentRequest{Name: a.id.Agent(), Approval: forged}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a forged approval: %v", err)
	}
	approval, err := identity.Approve(fleet, a.id.Attestation, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agents.ApproveAgent(n.as(n.token), &isthmusv1.ApproveAgentRequest{Name: a.id.Agent(), Approval: approval}); err != nil {
		t.Fatalf("approving: %v", err)
	}
	if got := trust(); got != identity.TrustApproved {
		t.Errorf("trust %s", got)
	}
}

// A token that was minted elsewhere lets in no more, and for no longer, than one could be minted to.
func TestGrantsAreBounded(t *testing.T) {
	t.Parallel()
	n := start(t)
	info := n.server()
	for field, o := range map[string]identity.MintOptions{
		"spec.grant.maxUses":    {Datacenter: "dc1", Uses: 1001},
		"spec.grant.expireTime": {Datacenter: "dc1", Uses: 1, TTL: identity.MaxTTL},
	} {
		o.Address, o.CAFingerprint = info.GetGrpcAddress(), info.GetCaFingerprint()
		token, err := identity.MintJoinToken(fleetKey(t), o, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		_, err = isthmusv1.NewJoinTokenServiceClient(n.shared()).CreateJoinToken(n.as(n.token), &isthmusv1.CreateJoinTokenRequest{
			JoinToken: &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}},
		})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
