package server_test

import (
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"isthmus/federation"
	"isthmus/identity"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// part is what an agent is told of the federation.
func (a *agent) part() (*isthmusv1.FederationPrimary, *isthmusv1.FederationSecondary) {
	a.t.Helper()
	r, err := a.sync.Pull(a.t.Context(), &isthmusv1.PullRequest{Wait: "0s", Features: plan.Features()})
	if err != nil {
		a.t.Fatal(err)
	}
	var p *isthmusv1.FederationPrimary
	var s *isthmusv1.FederationSecondary
	for _, item := range r.GetState().GetItems() {
		if item.GetFederationPrimary() != nil {
			p = item.GetFederationPrimary()
		}
		if item.GetFederationSecondary() != nil {
			s = item.GetFederationSecondary()
		}
	}
	return p, s
}

// bundling is a federation whose secondaries wait for bundles, which nobody makes by himself.
func bundling(t *testing.T) (n *node, w *wan, fleet *identity.FleetKey, agents map[string]*agent) {
	t.Helper()
	n, w, fleet, agents = joins(t)
	w.change(func() { w.lazy = true })
	n.apply(global)
	n.reaches(map[string]string{"dc1": joined, "dc2": resource.PhaseBundling, "dc3": resource.PhaseBundling})
	return n, w, fleet, agents
}

// Bundles are taken from the primary's agents alone, and as they are asked for.
func TestBundlesOfHostileAgents(t *testing.T) {
	t.Parallel()
	n, _, fleet, agents := bundling(t)
	cells := n.want(200, n.call("GET", "/v1/reachability?federation=global", "")).body
	if strings.Contains(cells, "NoAddress") || !strings.Contains(cells, "dc3 is bundling: what is tried") {
		t.Errorf("who reaches whom before they join: %s", cells)
	}
	maker := agents["dc1"]
	item, _ := maker.part()
	member := func(dc string) *isthmusv1.BundleMember {
		for _, m := range item.GetMembers() {
			if m.GetDatacenter() == dc {
				return m
			}
		}
		t.Fatalf("no member %s in %v", dc, item)
		return nil
	}
	age1 := func(a *agent) string { return a.id.Attestation.GetAgeRecipient() }
	sealed := func(by *agent, to string, generation int32, recipients ...string) *isthmusv1.SealedPayload {
		t.Helper()
		p, err := by.sealBundle(item, member(to), generation, time.Hour, recipients...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	store := func(by *agent, r *isthmusv1.StoreBundleRequest) error {
		_, err := by.sync.StoreBundle(t.Context(), r)
		return err
	}
	good := &isthmusv1.StoreBundleRequest{Payload: sealed(maker, "dc2", 1, age1(agents["dc2"])), Datacenter: "dc2", InputDigest: "d"}
	with := func(change func(r *isthmusv1.StoreBundleRequest)) *isthmusv1.StoreBundleRequest {
		r := proto.CloneOf(good)
		change(r)
		return r
	}
	unapproved := n.enrol(newWorld(), nil, "dc1")
	for what, c := range map[string]struct {
		by   *agent
		r    *isthmusv1.StoreBundleRequest
		want codes.Code
	}{
		"by a secondary":      {agents["dc2"], good, codes.PermissionDenied},
		"by nobody's agent":   {unapproved, good, codes.PermissionDenied},
		"somebody else's":     {n.enrol(newWorld(), fleet, "dc1"), good, codes.InvalidArgument},
		"of another member":   {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Datacenter = "dc3" }), codes.InvalidArgument},
		"of the primary":      {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Datacenter = "dc1" }), codes.Aborted},
		"of nobody":           {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Datacenter = "dc9" }), codes.Aborted},
		"of no federation":    {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Payload.Uid = "other" }), codes.NotFound},
		"changed":             {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Payload.Ciphertext[0] ^= 1 }), codes.PermissionDenied},
		"for another's agent": {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Payload = sealed(maker, "dc2", 1, age1(agents["dc3"])) }), codes.InvalidArgument},
		"for one more": {maker, with(func(r *isthmusv1.StoreBundleRequest) {
			r.Payload = sealed(maker, "dc2", 1, age1(agents["dc2"]), age1(agents["dc3"]))
		}), codes.InvalidArgument},
		"of a later generation": {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Payload = sealed(maker, "dc2", 2, age1(agents["dc2"])) }), codes.InvalidArgument},
		"after none":            {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.PreviousGeneration = 1 }), codes.Aborted},
		"without a digest":      {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.InputDigest = "" }), codes.InvalidArgument},
		"with certificates":     {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Certificates = []string{agents["dc2"].id.Agent()} }), codes.InvalidArgument},
		"that nobody asked for": {maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Recipient = age1(maker) }), codes.Aborted},
		"for ever": {maker, with(func(r *isthmusv1.StoreBundleRequest) {
			p, err := maker.sealBundle(item, member("dc2"), 1, 365*24*time.Hour, age1(agents["dc2"]))
			if err != nil {
				t.Fatal(err)
			}
			r.Payload = p
		}), codes.InvalidArgument},
		"nothing": {maker, &isthmusv1.StoreBundleRequest{}, codes.NotFound},
	} {
		if err := store(c.by, c.r); status.Code(err) != c.want {
			t.Errorf("a bundle %s: %v; want %v", what, err, c.want)
		}
	}
	for range 2 { // The second time is an answer that got lost.
		if err := store(maker, good); err != nil {
			t.Fatal(err)
		}
	}
	if err := store(maker, with(func(r *isthmusv1.StoreBundleRequest) { r.Payload = sealed(maker, "dc2", 1, age1(agents["dc2"])) })); status.Code(err) != codes.Aborted {
		t.Errorf("another one of the same generation: %v", err)
	}
	// One that is not sealed to an agent that came meanwhile is of no use to it.
	late := n.enrol(newWorld(), fleet, "dc3")
	eventually(t, "the late agent is among the recipients", func() (bool, string) {
		item, _ = maker.part()
		return len(member("dc3").GetRecipients()) == 2, item.String()
	})
	r := &isthmusv1.StoreBundleRequest{Payload: sealed(maker, "dc3", 1, age1(agents["dc3"])), Datacenter: "dc3", InputDigest: "d"}
	if err := store(maker, r); status.Code(err) != codes.Aborted {
		t.Errorf("without the late agent: %v", err)
	}
	r.Payload = sealed(maker, "dc3", 1, age1(agents["dc3"]), age1(late))
	if err := store(maker, r); err != nil {
		t.Error(err)
	}
}

// A bundle by hand is an admin's, allowed or refused by the primary's agent, and opened by its recipient alone.
func TestBundleByHand(t *testing.T) {
	t.Parallel()
	n, w, fleet := start(t), newWAN(t, "dc1"), fleetKey(t)
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	api := isthmusv1.NewFederationServiceClient(n.shared())
	ask := &isthmusv1.RequestBundleRequest{Name: "global", Datacenter: "dc2", Recipient: key.Recipient().String(), Wait: "300ms"}
	if _, err := api.RequestBundle(n.as(n.apiToken("operator")), ask); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an operator: %v", err)
	}
	if _, err := api.RequestBundle(n.as(n.token), ask); status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "no agent of the primary dc1") {
		t.Errorf("while the primary has no agent: %v", err)
	}
	w.change(func() { w.refuse = "the recipient is not allowed" })
	maker := n.enrolInto(w, fleet, "dc1")
	ask.Wait = patience.String()
	if _, err := api.RequestBundle(n.as(n.token), ask); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "the recipient is not allowed") {
		t.Errorf("an agent that refuses: %v", err)
	}
	w.change(func() { w.refuse = "" })
	signed := &isthmusv1.BundleRequest{Datacenter: "dc2", Recipient: ask.GetRecipient()}
	identity.SignRecipient(fleet, n.federation().GetUid(), signed, time.Now())
	ask.FleetKey, ask.Signature, ask.CreateTime = signed.GetFleetKey(), signed.GetSignature(), signed.GetCreateTime()
	got, err := api.RequestBundle(n.as(n.token), ask)
	if err != nil {
		t.Fatal(err)
	}
	text, err := seal.Open(got.GetPayload(), seal.Expect{
		Kind: seal.KindFederationBundle, UID: n.federation().GetUid(), FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: got.GetPayload().GetGeneration(),
	}, got.GetSenders(), fleet.Public(), key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := federation.DecodeBundle(text); err != nil || b.Datacenter != "dc2" {
		t.Errorf("%v %v", b, err)
	}
	if q := n.federation().GetStatus().GetBundleRequests(); len(q) != 1 || identity.VerifyRecipient(n.federation().GetUid(), q[0], fleet.Public(), time.Now()) != nil {
		t.Errorf("what the agent had to see: %v", q)
	}
	for what, a := range map[string]*agent{"the secondary": n.enrol(newWorld(), fleet, "dc2"), "the primary": maker} {
		_, err := a.sync.FetchSecrets(t.Context(), &isthmusv1.FetchSecretsRequest{Digests: []string{seal.Digest(got.GetPayload())}})
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s fetches what is not for agents: %v", what, err)
		}
	}
	events := n.want(200, n.call("GET", "/v1/events?kind=Federation&pageSize=1000", "")).body
	for _, text := range []string{"a bundle of dc2 is wanted for " + ask.GetRecipient(), "sealed to " + ask.GetRecipient(), "for " + ask.GetRecipient() + `"`} {
		if !strings.Contains(events, text) {
			t.Errorf("the audit log has no %q: %s", text, events)
		}
	}
}
