package agent_test

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// vouched is a CA as an agent vouches for it, in a datacenter with that role.
func vouched(t *testing.T, id *identity.Identity, uid, role, ca string) *isthmusv1.TrustedCA {
	t.Helper()
	datacenter := id.Attestation.GetGrant().GetDatacenter()
	signature, err := identity.SignOwnCA(id.Signer(), uid, role, id.Agent(), datacenter, ca)
	need(t, err)
	return &isthmusv1.TrustedCA{Datacenter: datacenter, Certificates: ca, Agent: trustedOf(id)[0], Signature: signature}
}

// hostileCAs are what a server that was taken over could name as CAs, by what is wrong with them. evil is the CA that it has the key of.
func hostileCAs(t *testing.T, fleet *identity.FleetKey, datacenter, role, evil string) map[string]*isthmusv1.TrustedCA {
	t.Helper()
	another, err := identity.NewFleetKey()
	need(t, err)
	honest, stranger, unproven := enrolledBy(t, fleet, datacenter), enrolledBy(t, another, datacenter), enrolledBy(t, nil, datacenter)
	elsewhere := enrolledBy(t, fleet, "dc9")
	good := newServerCA(t, time.Now(), time.Hour, nil).text(t)
	leaf := newServerCA(t, time.Now(), time.Hour, func(c *x509.Certificate) { c.IsCA = false }).text(t)
	swapped := vouched(t, honest, "f1", role, good)
	swapped.Certificates = evil
	added := vouched(t, honest, "f1", role, good)
	added.Certificates += evil
	moved := vouched(t, elsewhere, "f1", role, evil)
	moved.Datacenter = datacenter
	colleague := vouched(t, enrolledBy(t, fleet, datacenter), "f1", role, evil)
	colleague.Agent = trustedOf(honest)[0]
	unsigned := vouched(t, honest, "f1", role, evil)
	unsigned.Signature = nil
	ordinary := vouched(t, honest, "f1", role, evil)
	ordinary.Certificates = leaf
	other := map[string]string{"primary": "secondary", "secondary": "primary"}[role]
	return map[string]*isthmusv1.TrustedCA{
		"a CA that was swapped":                {Datacenter: datacenter, Certificates: evil, Agent: swapped.GetAgent(), Signature: swapped.GetSignature()},
		"a CA that was added":                  added,
		"of another federation":                vouched(t, honest, "f2", role, evil),
		"of another role":                      vouched(t, honest, "f1", other, evil),
		"of another datacenter's agent":        moved,
		"of another agent of the datacenter":   colleague,
		"of another fleet's agent":             vouched(t, stranger, "f1", role, evil),
		"of an agent that nobody attested":     vouched(t, unproven, "f1", role, evil),
		"without a signature":                  unsigned,
		"without an agent":                     {Datacenter: datacenter, Certificates: evil},
		"what is no CA's certificate":          ordinary,
		"a CA with something else in the text": {Datacenter: datacenter, Certificates: good + "x", Agent: swapped.GetAgent(), Signature: swapped.GetSignature()},
	}
}

// hostileNames are the cases of hostileCAs.
func hostileNames(t *testing.T) []string {
	t.Helper()
	fleet, err := identity.NewFleetKey()
	need(t, err)
	return slices.Sorted(maps.Keys(hostileCAs(t, fleet, "dc2", "secondary", newServerCA(t, time.Now(), time.Hour, nil).text(t))))
}

// withOwnCA is a site whose datacenter has a CA of its own already.
func withOwnCA(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	config := agent.FederationConfig{AllowJoin: []string{"dc1"}, CACertFile: newServerCA(t, s.clock, time.Hour, nil).config().CACertFile}
	var err error
	s.courier, err = agent.NewCourier(s.client, s.id, config, s.host, s.dir, func() time.Time { return s.clock }, nullLog(), agent.CourierHub{
		Fetch:    func(string) (*isthmusv1.SealedPayload, error) { return s.payload, nil },
		TakeTurn: func(string) (*isthmusv1.TakeTurnResponse, error) { return s.grant() },
		EndTurn:  func(string) error { return nil },
	})
	need(t, err)
	return s
}

// A host of a secondary trusts only what an agent of the other datacenter vouches for, before it joins and when it does.
func TestSecondaryTrustsNoCAThatIsNotProven(t *testing.T) {
	t.Parallel()
	for _, name := range hostileNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withOwnCA(t)
			evil, good := newServerCA(t, s.clock, time.Hour, nil).text(t), newServerCA(t, s.clock, time.Hour, nil).text(t)
			s.item.Join, s.item.TrustedCas = false, []*isthmusv1.TrustedCA{hostileCAs(t, s.fleet, "dc1", "primary", evil)[name]}
			if h := s.is("refused", "UntrustedCA"); s.host.content.CA != nil || !strings.Contains(h.GetMessage(), "dc1") {
				t.Fatalf("it is trusted: %v", h)
			}
			// What is proven is trusted all the same.
			s.item.TrustedCas = append(s.item.TrustedCas, vouched(t, s.primary, "f1", "primary", good))
			s.is("applied", "UntrustedCA")
			if ca := string(s.host.content.CA); !strings.Contains(ca, good) || strings.Contains(ca, evil) {
				t.Fatal("before the join it trusts another CA than the one that is proven")
			}
			s.item.Join = true
			s.pass()
			if ca := string(s.host.content.CA); !strings.Contains(ca, good) || !strings.Contains(ca, s.ca.text(t)) || strings.Contains(ca, evil) {
				t.Fatal("when it joins it trusts other CAs than those that are proven")
			}
		})
	}
}

// So does a host of the primary.
func TestPrimaryHostTrustsNoCAThatIsNotProven(t *testing.T) {
	t.Parallel()
	for _, name := range hostileNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withOwnCA(t)
			evil, good := newServerCA(t, s.clock, time.Hour, nil).text(t), newServerCA(t, s.clock, time.Hour, nil).text(t)
			item := &isthmusv1.FederationPrimary{Uid: "f1", Federation: "global", Mode: "mesh-gateway", RetryIntervalWan: "2s"}
			item.TrustedCas = []*isthmusv1.TrustedCA{
				hostileCAs(t, s.fleet, "dc3", "secondary", evil)[name], vouched(t, enrolledBy(t, s.fleet, "dc4"), "f1", "secondary", good),
			}
			state := &isthmusv1.DesiredState{Datacenter: "dc2", ConsulDatacenter: "dc2", Items: []*isthmusv1.DesiredItem{
				{Id: "federation-primary/f1", Type: "federation-primary", FederationPrimary: item},
			}}
			s.courier.Deliver(t.Context(), state, true)
			if ca := string(s.host.content.CA); !strings.Contains(ca, good) || strings.Contains(ca, evil) {
				t.Fatal("it trusts other CAs than those that are proven")
			}
		})
	}
}

// And a bundle has no CA that the server made up: whoever joins would trust it.
func TestBundleHasNoCAThatIsNotProven(t *testing.T) {
	t.Parallel()
	p := asDocumented(t, consultest.Start(t, "dc1"))
	member := p.enrolled("dc2")
	p.add("dc2", member)
	evil, good := newServerCA(t, p.clock, time.Hour, nil).text(t), newServerCA(t, p.clock, time.Hour, nil).text(t)
	for _, v := range hostileCAs(t, p.fleet, "dc3", "secondary", evil) {
		p.item.TrustedCas = append(p.item.TrustedCas, v)
	}
	p.item.TrustedCas = append(p.item.TrustedCas, vouched(t, p.enrolled("dc4"), "f1", "secondary", good))
	observed := p.later(time.Minute)
	if len(observed) != 1 || observed[0].GetErrorReason() != "UntrustedCA" || !strings.Contains(observed[0].GetError(), "dc3") || strings.Contains(observed[0].GetError(), "dc4") {
		t.Errorf("it reports %v", observed)
	}
	if len(p.stored) != 1 {
		t.Fatalf("%d bundles were made", len(p.stored))
	}
	if got := p.open(p.stored[0], member.Opener()).CACertificates; !slices.Equal(got, []string{p.ca.text(t), good}) {
		t.Errorf("the bundle has %d CAs", len(got))
	}
}

// An agent vouches for its own CA only where its host may join, or is told to be the primary: then only as one.
func TestAgentVouchesForItsCAWhenItMayJoin(t *testing.T) {
	t.Parallel()
	s := withOwnCA(t)
	deliver := func(item *isthmusv1.DesiredItem) *isthmusv1.TrustedCA {
		state := &isthmusv1.DesiredState{Datacenter: "dc2", ConsulDatacenter: "dc2", Items: []*isthmusv1.DesiredItem{item}}
		d := s.courier.Deliver(t.Context(), state, true)
		return &isthmusv1.TrustedCA{Datacenter: "dc2", Certificates: d.GetOwnCa(), Agent: trustedOf(s.id)[0], Signature: d.GetOwnCaSignature()}
	}
	secondary := &isthmusv1.DesiredItem{FederationSecondary: &isthmusv1.FederationSecondary{Uid: "f1", Federation: "global", Primary: "dc1"}}
	primary := &isthmusv1.DesiredItem{FederationPrimary: &isthmusv1.FederationPrimary{Uid: "f1", Federation: "global", Mode: "mesh-gateway"}}
	believed := func(v *isthmusv1.TrustedCA, role string) bool {
		_, err := identity.VerifyOwnCA(v, "f1", role, s.fleet.Public())
		return err == nil
	}
	if v := deliver(secondary); !believed(v, "secondary") || believed(v, "primary") {
		t.Errorf("allowed to join: %v", v)
	}
	c, err := agent.NewCourier(s.client, s.id, agent.FederationConfig{}, nil, s.dir, func() time.Time { return s.clock }, nullLog(), agent.CourierHub{})
	need(t, err)
	s.courier = c
	if v := deliver(secondary); v.GetCertificates() == "" || len(v.GetSignature()) != 0 {
		t.Errorf("not allowed to join: %v", v)
	}
	if v := deliver(primary); !believed(v, "primary") || believed(v, "secondary") {
		t.Errorf("a primary: %v", v)
	}
}
