package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/identity"
	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
	"isthmus/server"
)

// wanted waits until an acceptor is asked for a token, and gives what it is told of it.
func (a *agent) wanted() *isthmusv1.PeeringAcceptor {
	a.t.Helper()
	var wanted *isthmusv1.PeeringAcceptor
	eventually(a.t, "a token is wanted", func() (bool, string) {
		r, err := a.sync.Pull(a.t.Context(), &isthmusv1.PullRequest{Wait: "0s", Features: plan.Features()})
		if err != nil {
			return false, err.Error()
		}
		for _, item := range r.GetState().GetItems() {
			if p := item.GetPeeringAcceptor(); p.GetGeneration() > 0 {
				wanted = p
			}
		}
		return wanted != nil, r.GetState().String()
	})
	return wanted
}

// quiet is a peering of two datacenters whose agents do nothing by themselves.
func quiet(t *testing.T, change ...func(*server.Config)) (n *node, acceptor, dialer *agent, wanted *isthmusv1.PeeringAcceptor) {
	t.Helper()
	n, w := start(t, change...), newWorld()
	fleet := fleetKey(t)
	acceptor, dialer = n.enrol(w, fleet, "dc1"), n.enrol(w, fleet, "dc2")
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	return n, acceptor, dialer, acceptor.wanted()
}

// One agent's report, whatever is in it, holds up nobody.
func TestReportsOfAHostileAgent(t *testing.T) {
	t.Parallel()
	n, a, other, wanted := quiet(t)
	for field, r := range map[string]*isthmusv1.ReportRequest{
		"inventory.caExpireTime": {Inventory: &isthmusv1.InventoryReport{CaExpireTime: &timestamppb.Timestamp{Seconds: 1 << 60}}},
		"peerings.peerings":      {Peerings: &isthmusv1.PeeringsReport{Peerings: make([]*isthmusv1.ObservedPeering, 5_001)}},
		"exports.exports":        {Exports: &isthmusv1.ExportsReport{Exports: make([]*isthmusv1.ObservedExport, 20_001)}},
	} {
		for i := range r.GetPeerings().GetPeerings() {
			r.Peerings.Peerings[i] = &isthmusv1.ObservedPeering{}
		}
		for i := range r.GetExports().GetExports() {
			r.Exports.Exports[i] = &isthmusv1.ObservedExport{}
		}
		_, err := a.sync.Report(t.Context(), r)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := other.sync.Report(soon, &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Version: "x"}}); err != nil {
		t.Fatalf("another agent's report: %v", err)
	}
	escape := "\x1b]0;pwned\x07\u202e" + strings.Repeat("é\r\nhealthy", 1<<14)
	r := &isthmusv1.ReportRequest{
		Agent:     &isthmusv1.AgentReport{Leader: true, Version: escape, Host: escape, ErrorReason: escape, Error: escape},
		Inventory: &isthmusv1.InventoryReport{ConsulVersion: escape, Leader: "\x00" + escape},
		Peerings: &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{{
			Uid: wanted.GetUid(), Role: "acceptor", Origin: "own", State: "FAILING", ErrorReason: escape, Error: escape,
		}}},
	}
	for i := range 1_000 {
		r.Agent.Features = append(r.Agent.Features, "f")
		r.Inventory.Gateways = append(r.Inventory.Gateways, &isthmusv1.ObservedGateway{Node: "n", ServiceId: fmt.Sprint("g", i), WanAddress: "192.0.2.1:8443"})
	}
	a.reports(r)
	n.becomes("dc1-dc2", peering.VerdictFailing)
	eventually(t, "the report is taken in", func() (bool, string) {
		gateways := n.call("GET", "/v1/gateways?pageSize=1000", "").body
		return strings.Count(gateways, `"uid"`) == 256, gateways
	})
	for _, path := range []string{"/v1/peerings", "/v1/agents", "/v1/datacenters", "/v1/events?pageSize=1000"} {
		body := n.want(200, n.call("GET", path, "")).body
		if len(body) > 1<<20 || strings.ContainsAny(body, "\x1b\u202e") || strings.Contains(body, `\u001b`) || strings.Contains(body, `\r`) {
			t.Errorf("%s shows %d bytes: %.300s", path, len(body), body)
		}
	}
}

// Who enrolled without the fleet key is not believed before it is approved.
func TestAnAgentThatNobodyApproved(t *testing.T) {
	t.Parallel()
	n, a, _, wanted := quiet(t)
	evil := n.enrol(newWorld(), nil, "dc1")
	denied := func(what string, err error) {
		t.Helper()
		if status.Code(err) != codes.PermissionDenied || reason(err) != identity.ReasonNotApproved {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := evil.sync.Report(t.Context(), &isthmusv1.ReportRequest{
		Agent:     &isthmusv1.AgentReport{Leader: true, Version: "evil", ErrorReason: "Broken", Error: "all is lost"},
		Inventory: &isthmusv1.InventoryReport{ConsulVersion: "evil"},
		Peerings: &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{{
			Uid: wanted.GetUid(), Role: "acceptor", Origin: "own", State: peering.StateTerminated, Generation: 1,
		}}},
	})
	denied("report", err)
	_, err = evil.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: wanted.GetUid(), Generation: 1})
	denied("claim", err)
	_, err = evil.sync.StoreToken(t.Context(), &isthmusv1.StoreTokenRequest{Payload: &isthmusv1.SealedPayload{Uid: wanted.GetUid()}})
	denied("store", err)
	_, err = evil.sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{"d"}})
	denied("fetch", err)
	if _, err := evil.sync.Report(t.Context(), &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Leader: true, Version: "evil2"}}); err != nil {
		t.Errorf("it may say how it is: %v", err)
	}
	a.reports(&isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Leader: true}, Inventory: &isthmusv1.InventoryReport{ConsulVersion: "1.20.6", Leader: "s1", Servers: 1}})
	eventually(t, "the honest agent speaks for the datacenter", func() (bool, string) {
		body := n.call("GET", "/v1/datacenters/dc1", "").body
		return strings.Contains(body, `"1.20.6"`) && !strings.Contains(body, "Broken") && !strings.Contains(body, "evil"), body
	})
	eventually(t, "the agent is seen", func() (bool, string) {
		body := n.call("GET", "/v1/agents/"+evil.id.Agent(), "").body
		return strings.Contains(body, `"evil2"`), body
	})
}

// What an agent stores is what it should be, as far as that can be seen from outside.
func TestPayloadsOfAHostileAgent(t *testing.T) {
	t.Parallel()
	_, a, dialer, wanted := quiet(t)
	claim, err := a.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: wanted.GetUid(), Generation: wanted.GetGeneration()})
	if err != nil {
		t.Fatal(err)
	}
	good, err := seal.Seal(seal.Draft{
		Kind: seal.KindPeeringToken, UID: wanted.GetUid(), From: a.id.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2",
		Generation: wanted.GetGeneration(), Attempt: claim.GetAttempt(), TTL: time.Hour,
	}, a.id.Signer(), []string{dialer.id.Attestation.GetAgeRecipient()}, []byte("token"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	store := func(p *isthmusv1.SealedPayload) error {
		_, err := a.sync.StoreToken(t.Context(), &isthmusv1.StoreTokenRequest{Payload: p})
		return err
	}
	for what, spoil := range map[string]func(p *isthmusv1.SealedPayload){
		"good until 9999": func(p *isthmusv1.SealedPayload) {
			p.ExpireTime = timestamppb.New(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		},
		"no attempt":          func(p *isthmusv1.SealedPayload) { p.Attempt = 0 },
		"everybody, and more": func(p *isthmusv1.SealedPayload) { p.Recipients = append(p.Recipients, p.Recipients...) },
		"a time that is none": func(p *isthmusv1.SealedPayload) { p.CreateTime = &timestamppb.Timestamp{Seconds: 1 << 60} },
	} {
		p := proto.CloneOf(good)
		spoil(p)
		if err := store(p); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	garbage := proto.CloneOf(good)
	garbage.Ciphertext = []byte("garbage")
	if err := store(garbage); reason(err) != seal.ReasonBadSignature {
		t.Errorf("garbage: %v", err)
	}
	if err := store(good); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// An agent that asks without end is told to wait, and fills neither the audit log nor the store.
func TestAnAgentThatAsksTooOften(t *testing.T) {
	t.Parallel()
	// The clock stands still, so that a slow machine does not make it ask slowly enough.
	moment := time.Now()
	n, a, _, wanted := quiet(t, func(c *server.Config) { c.Now = func() time.Time { return moment } })
	asked := 0
	var err error
	for ; asked < 2_000 && status.Code(err) != codes.ResourceExhausted; asked++ {
		_, err = a.sync.TakeTurn(t.Context(), &isthmusv1.TakeTurnRequest{Uid: "none"})
	}
	exhausted(t, err, "agent dc1-", "asks too often", "100 times a second")
	if asked != 1_001 {
		t.Errorf("it may ask %d times at once", asked-1)
	}
	_, err = a.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: wanted.GetUid(), Generation: wanted.GetGeneration()})
	exhausted(t, err, "asks too often")
	if events := n.call("GET", "/v1/events?kind=Peering&pageSize=1000", "").body; strings.Contains(events, `"claim"`) {
		t.Errorf("a claim that was refused is in the audit log: %s", events)
	}
	if err := status.Convert(reportsUntil(t, a, 1_000)); !strings.Contains(err.Message(), "reports too often: at most 20 times a second") {
		t.Errorf("a thousand reports in a row: %v", err)
	}
	if _, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Wait: "0s"}); err != nil {
		t.Errorf("it cannot ask for its state: %v", err)
	}
}

// reportsUntil reports as often as it may, most times at most, and gives why it may no more.
func reportsUntil(t *testing.T, a *agent, most int) (err error) {
	t.Helper()
	for range most {
		if _, err = a.sync.Report(t.Context(), &isthmusv1.ReportRequest{}); err != nil {
			return err
		}
	}
	return nil
}

// A token is read once, as far as the audit log goes, however often an agent asks for it.
func TestReadingATokenAgain(t *testing.T) {
	t.Parallel()
	n, a, dialer, wanted := quiet(t)
	if err := a.accept(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	digest := n.peering("dc1-dc2").GetStatus().GetToken().GetLedger()[0].GetSecretDigest()
	for range 5 {
		if got, err := dialer.sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{digest}}); err != nil || len(got.GetPayloads()) != 1 {
			t.Fatalf("fetching: %v", err)
		}
	}
	if events := n.call("GET", "/v1/events?kind=Peering", "").body; strings.Count(events, `"read-secret"`) != 1 {
		t.Errorf("the audit log: %s", events)
	}
}

// Certificates are not given out for nothing: neither early, nor for an enrolment of long ago.
func TestCertificatesForTheAsking(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	csr, err := a.id.CSR()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.sync.Renew(t.Context(), &isthmusv1.RenewRequest{Csr: csr}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("renewing at once: %v", err)
	}
	clock.advance(13 * time.Hour)
	if _, err := a.sync.Renew(t.Context(), &isthmusv1.RenewRequest{Csr: csr}); err != nil {
		t.Errorf("renewing after half of its life: %v", err)
	}
	strangers := isthmusv1.NewSyncServiceClient(n.shared())
	if _, err := strangers.Enrol(t.Context(), a.enrolment()); err != nil {
		t.Errorf("asking again on the same day: %v", err)
	}
	clock.advance(12 * time.Hour)
	if _, err := strangers.Enrol(t.Context(), a.enrolment()); reason(err) != identity.ReasonTokenUsed {
		t.Errorf("asking again on the next day: %v", err)
	}
	clock.advance(400 * 24 * time.Hour)
	if _, err := strangers.Enrol(t.Context(), a.enrolment()); reason(err) != identity.ReasonCertificateTooOld {
		t.Errorf("asking again after a year: %v", err)
	}
}

// Strangers are looked at before they cost anything, and then not without end.
func TestEnrolmentOfStrangers(t *testing.T) {
	t.Parallel()
	// The clock stands still, so that a slow machine does not make them come slowly enough.
	moment := time.Now()
	n := start(t, func(c *server.Config) { c.Now = func() time.Time { return moment } })
	fleet := fleetKey(t)
	strangers := isthmusv1.NewSyncServiceClient(n.shared())
	honest := n.joinToken(fleet, "dc1", 1)
	unknown := n.unregistered(fleet)
	var err error
	for what, spoil := range map[string]func(r *isthmusv1.EnrolRequest){
		"no attestation": func(r *isthmusv1.EnrolRequest) { r.Attestation = nil },
		"a name that is none": func(r *isthmusv1.EnrolRequest) {
			r.Attestation.Agent = strings.Repeat("A", 1<<20) + "\n2026-11-21T00:00:00Z [INFO] forged line"
		},
		"a token's name that is none": func(r *isthmusv1.EnrolRequest) { r.Attestation.Grant.Name = "\n" },
		"not signed":                  func(r *isthmusv1.EnrolRequest) { r.Attestation.Signature[0]++ },
		"a long request":              func(r *isthmusv1.EnrolRequest) { r.Csr = make([]byte, 1<<20) },
	} {
		r := proto.CloneOf(unknown)
		spoil(r)
		for range 60 {
			if _, err = strangers.Enrol(t.Context(), r); status.Code(err) == codes.ResourceExhausted {
				break
			}
		}
		if c := status.Code(err); c != codes.PermissionDenied && c != codes.InvalidArgument {
			t.Errorf("%s: %.200v", what, err)
		}
	}
	for range 200 {
		if _, err = strangers.Enrol(t.Context(), unknown); status.Code(err) == codes.ResourceExhausted {
			break
		}
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("200 strangers in a row: %v", err)
	}
	if _, _, err := n.tries(honest); err != nil {
		t.Errorf("an honest agent beside them: %v", err)
	}
}

// unregistered is the enrolment of an agent with a join token that the server does not know.
func (n *node) unregistered(fleet *identity.FleetKey) *isthmusv1.EnrolRequest {
	n.t.Helper()
	token, err := identity.MintJoinToken(fleet, identity.MintOptions{Datacenter: "dc1", Address: n.GRPCAddr(), CAFingerprint: n.server().GetCaFingerprint()}, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	id, err := identity.NewIdentity(token, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	return (&agent{t: n.t, id: id}).enrolment()
}
