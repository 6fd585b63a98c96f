package server_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// A token for another operator's cluster is made on the agent's host, on a person's word, and told of in the audit log.
func TestTokenForAnExternalDialer(t *testing.T) {
	t.Parallel()
	n := start(t)
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	n.apply(datacenters("dc1") + "---\nkind: Peering\nname: out\nspec: {acceptor: dc1, externalDialer: acme}\n")
	p := n.becomes("out", peering.VerdictPending)
	eventually(t, "generation 1", func() (bool, string) {
		p = n.peering("out")
		return p.GetStatus().GetToken().GetGeneration() == 1, p.String()
	})
	if _, err := a.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: p.GetUid(), Generation: 1}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an agent makes a token by itself: %v", err)
	}
	claim, err := a.sync.ClaimToken(t.Context(), &isthmusv1.ClaimTokenRequest{Uid: p.GetUid(), Generation: 1, ExternalPlain: true})
	if err != nil {
		t.Fatal(err)
	}
	stored := &isthmusv1.StoreTokenRequest{Uid: p.GetUid(), Generation: 1, Attempt: claim.GetAttempt(), External: true}
	for range 2 { // The second time is an answer that got lost.
		if _, err := a.sync.StoreToken(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
	}
	entry := peering.Current(n.peering("out").GetStatus().GetToken())
	if entry.GetOutcome() != resource.OutcomeMade || entry.GetSecretDigest() != "" || entry.GetMadeBy() != a.id.Agent() {
		t.Errorf("ledger: %v", entry)
	}
	if events := n.call("GET", "/v1/events?target=out", "").body; !strings.Contains(events, "in the clear") {
		t.Errorf("the audit log says nothing of a token in the clear: %s", events)
	}
}

// A token of another operator's cluster is sealed by the CLI to the dialer's agents.
func TestTokenOfAnExternalAcceptor(t *testing.T) {
	t.Parallel()
	n, fleet := start(t), fleetKey(t)
	a := n.enrol(newWorld(), fleet, "dc2")
	n.apply(datacenters("dc2") + "---\nkind: Peering\nname: in\nspec: {externalAcceptor: acme, dialer: dc2}\n")
	p := n.peering("in")
	sealed := func(to string, recipients ...string) *isthmusv1.SealedPayload {
		payload, err := seal.Seal(seal.Draft{
			Kind: seal.KindPeeringToken, UID: p.GetUid(), From: seal.Operator, FromDatacenter: "acme", ToDatacenter: to,
			Generation: peering.ImportGeneration(n.peering("in").GetStatus().GetToken()), Attempt: 1, TTL: time.Hour,
		}, fleet.Signer(), recipients, []byte("token"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	mine := a.id.Attestation.GetAgeRecipient()
	peerings := isthmusv1.NewPeeringServiceClient(n.shared())
	bring := func(name string, payload *isthmusv1.SealedPayload) error {
		_, err := peerings.ImportPeering(n.as(n.token), &isthmusv1.ImportPeeringRequest{Name: name, Payload: payload})
		return err
	}
	other := n.enrol(newWorld(), fleet, "dc9").id.Attestation.GetAgeRecipient()
	for what, payload := range map[string]*isthmusv1.SealedPayload{
		"for another datacenter": sealed("dc1", mine), "sealed to a stranger": sealed("dc2", mine, other), "nothing": {},
	} {
		if err := bring("in", payload); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	payload := sealed("dc2", mine)
	if err := bring("in", payload); err != nil {
		t.Fatal(err)
	}
	if err := bring("in", payload); status.Code(err) != codes.Aborted {
		t.Errorf("the same again: %v", err)
	}
	got, err := a.sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{seal.Digest(payload)}})
	if err != nil || len(got.GetPayloads()) != 1 {
		t.Fatalf("fetching: %v", err)
	}
	if entry := peering.Current(n.peering("in").GetStatus().GetToken()); entry.GetOutcome() != resource.OutcomeDelivered || entry.GetMadeBy() != peering.Operator {
		t.Errorf("ledger: %v", entry)
	}
	if a := n.call("POST", "/v1/peerings/in:rotate", "{}"); a.status != 400 || !strings.Contains(a.body, "import a new one") {
		t.Errorf("rotating: %d %s", a.status, a.body)
	}
}

func TestDiscoveredGatewaysAreTheControllers(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	n.enrol(newWorld(), fleetKey(t), "dc1").run()
	eventually(t, "a discovered gateway", func() (bool, string) {
		a := n.call("GET", "/v1/gateways/dc1-s1-mesh-gateway", "")
		return a.status == 200, a.body
	})
	mine := "kind: Gateway\nname: mine\nspec: {datacenter: dc1, wanAddress: \"192.0.2.1:8443\", source: discovered}\n"
	for what, a := range map[string]answer{
		"create": n.call("POST", "/v1/apply", mine, "Content-Type", yaml),
		"update": n.call("PATCH", "/v1/gateways/dc1-s1-mesh-gateway", `{"spec":{"wanAddress":"192.0.2.9:8443"}}`),
	} {
		if a.status != 400 || !strings.Contains(a.body, "discovered is for the gateways") {
			t.Errorf("%s by hand: %d %s", what, a.status, a.body)
		}
	}
}
