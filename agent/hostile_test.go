package agent_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// forged is an agent of the hub's own making: keys that the hub has, under whatever fleet key and datacenter.
func (h *hub) forged(fleet *identity.FleetKey, datacenter string) (*isthmusv1.TrustedAgent, *identity.Identity) {
	h.t.Helper()
	token, err := identity.MintJoinToken(fleet, identity.MintOptions{Datacenter: datacenter, Address: h.addr, CAFingerprint: h.ca.Fingerprint()}, time.Now())
	need(h.t, err)
	id, err := identity.NewIdentity(token, time.Now())
	need(h.t, err)
	return &isthmusv1.TrustedAgent{Attestation: id.Attestation}, id
}

// A hostile server wants tokens sealed to keys of its own. Nothing is sealed to them.
func TestNothingIsSealedToTheServersKeys(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	r := h.agentOf(c)
	run(t, h.config("west", settings(t, nowhere)))
	own, err := identity.NewFleetKey()
	need(t, err)
	honest := h.trusted("west")[0]
	mine, err := age.GenerateX25519Identity()
	need(t, err)

	ownFleet, _ := h.forged(own, "west")
	unsigned, _ := h.forged(nil, "west")
	otherDatacenter, _ := h.forged(h.fleet, "north") // a real agent of the fleet, but not of the dialer
	swapped := proto.CloneOf(honest)
	swapped.Attestation.AgeRecipient = mine.Recipient().String()
	renamed := proto.CloneOf(otherDatacenter)
	renamed.Attestation.Grant.Datacenter = "west"
	approvedByItself := proto.CloneOf(unsigned)
	approvedByItself.Approval, err = identity.Approve(own, unsigned.GetAttestation(), time.Now())
	need(t, err)
	for name, liar := range map[string]*isthmusv1.TrustedAgent{
		"fleet key of its own": ownFleet, "without a fleet key": unsigned, "another datacenter's": otherDatacenter, "swapped age key": swapped,
		"moved to the datacenter": renamed, "approved by its own key": approvedByItself, "nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			uid := "u-" + liar.GetAttestation().GetAgent() + name[:1]
			item := h.acceptor(uid, "west", 1)
			item.PeeringAcceptor.Recipients = []*isthmusv1.TrustedAgent{liar}
			h.want("east", item)
			eventually(t, "refused", func() bool { return h.observed("east", uid).GetErrorReason() == "NoTrustedRecipient" })
			h.mu.Lock()
			if len(h.stored) != 0 || h.claims[uid+"1"] != 0 {
				t.Errorf("sealed %d, claimed %v", len(h.stored), h.claims)
			}
			h.mu.Unlock()
			if n := len(c.Peerings()); n != 0 {
				t.Errorf("%d peerings were made for it", n)
			}
			// Beside an honest one it gets nothing either.
			item = h.acceptor(uid+"-both", "west", 1)
			item.PeeringAcceptor.Recipients = []*isthmusv1.TrustedAgent{liar, honest}
			h.want("east", item)
			eventually(t, "sealed to the honest one", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
			h.mu.Lock()
			got := h.stored[0].GetRecipients()
			h.stored = nil
			h.mu.Unlock()
			if !slices.Equal(got, []string{honest.GetAttestation().GetAgeRecipient()}) {
				t.Errorf("sealed to %v", got)
			}
			item.PeeringAcceptor.Delete = true
			h.want("east", item)
			eventually(t, "deleted", func() bool { return h.observed("east", uid+"-both").GetDeleted() && len(c.Peerings()) == 0 })
		})
	}
	r.stop()
}

// A hostile server hands out secrets of its own. None is used: no call reaches Consul.
func TestNothingOfTheServersMakingIsUsed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "west")
	r := h.agentOf(c)
	recipient := h.trusted("west")[0].GetAttestation().GetAgeRecipient()
	honest, maker := h.forged(h.fleet, "east") // an honest agent of east, whose keys the test has
	own, err := identity.NewFleetKey()
	need(t, err)
	liar, liarKeys := h.forged(own, "east")
	_, strangerKeys := h.forged(h.fleet, "north")

	good := seal.Draft{Kind: seal.KindPeeringToken, UID: "u1", From: maker.Agent(), FromDatacenter: "east", ToDatacenter: "west", Generation: 2, Attempt: 1, TTL: time.Hour}
	sealed := func(id *identity.Identity, now time.Time, change func(*seal.Draft)) *isthmusv1.SealedPayload {
		d := good
		d.From = id.Agent()
		if change != nil {
			change(&d)
		}
		p, err := seal.Seal(d, id.Signer(), []string{recipient}, []byte("no token at all"), now)
		need(t, err)
		return p
	}
	now := time.Now()
	changed := sealed(maker, now, nil)
	changed.Ciphertext = sealed(liarKeys, now, nil).GetCiphertext()
	for name, payload := range map[string]*isthmusv1.SealedPayload{
		"signed by itself":               sealed(liarKeys, now, nil),
		"signed by another datacenter":   sealed(strangerKeys, now, nil),
		"signed by itself, under a name": sealed(liarKeys, now, func(d *seal.Draft) { d.From = maker.Agent() }),
		"as the operator":                sealed(liarKeys, now, func(d *seal.Draft) { d.From = seal.Operator }),
		"another ciphertext":             changed,
		"of another peering":             sealed(maker, now, func(d *seal.Draft) { d.UID = "u2" }),
		"for another datacenter":         sealed(maker, now, func(d *seal.Draft) { d.ToDatacenter = "north" }),
		"of another kind":                sealed(maker, now, func(d *seal.Draft) { d.Kind = "bundle" }),
		"of an older generation":         sealed(maker, now, func(d *seal.Draft) { d.Generation = 1 }),
		"of a newer generation":          sealed(maker, now, func(d *seal.Draft) { d.Generation = 3 }),
		"expired":                        sealed(maker, now.Add(-2*time.Hour), nil),
	} {
		t.Run(name, func(t *testing.T) {
			item := h.dialer("u1", "east", 2)
			item.PeeringDialer.SecretDigest = seal.Digest(payload)
			item.PeeringDialer.Senders = []*isthmusv1.TrustedAgent{honest, liar}
			h.edit(func() { h.secrets[seal.Digest(payload)] = payload })
			h.want("west", item)
			eventually(t, "refused", func() bool { return h.observed("west", "u1").GetErrorReason() == "SecretRefused" })
			if p := h.observed("west", "u1"); p.GetGeneration() != 0 || p.GetOutcome() != "" || len(c.Peerings()) != 0 {
				t.Fatalf("something of it was used: %v, %v", p, c.Peerings())
			}
			h.want("west") // the next case begins with nothing
			eventually(t, "nothing wanted", func() bool { return h.observed("west", "u1") == nil })
		})
	}
	t.Run("another secret than the one named", func(t *testing.T) {
		item := h.dialer("u1", "east", 2)
		item.PeeringDialer.SecretDigest = "0000"
		item.PeeringDialer.Senders = []*isthmusv1.TrustedAgent{honest}
		h.edit(func() { h.fetch = func(string) *isthmusv1.SealedPayload { return sealed(maker, now, nil) } })
		h.want("west", item)
		eventually(t, "refused", func() bool { return h.observed("west", "u1").GetErrorReason() == "SecretRefused" })
		h.edit(func() { h.fetch = nil })
	})
	t.Run("the honest one reaches Consul", func(t *testing.T) {
		payload := sealed(maker, now, nil)
		item := h.dialer("u1", "east", 2)
		item.PeeringDialer.SecretDigest = seal.Digest(payload)
		item.PeeringDialer.Senders = []*isthmusv1.TrustedAgent{honest, liar}
		h.edit(func() { h.secrets[seal.Digest(payload)] = payload })
		h.want("west", item)
		eventually(t, "Consul refused what is no token", func() bool { return h.observed("west", "u1").GetOutcome() == "refused" })
	})
	t.Run("a generation that was taken is not taken again", func(t *testing.T) {
		payload := sealed(maker, now, func(d *seal.Draft) { d.Generation = 1 })
		item := h.dialer("u1", "east", 1)
		item.PeeringDialer.SecretDigest = seal.Digest(payload)
		item.PeeringDialer.Senders = []*isthmusv1.TrustedAgent{honest}
		h.edit(func() { h.secrets[seal.Digest(payload)] = payload })
		h.want("west", item)
		h.workedThrough("west", r)
		if p := h.observed("west", "u1"); p.GetGeneration() != 2 || len(c.Peerings()) != 0 {
			t.Fatalf("rolled back: %v", p)
		}
	})
}

// A server that goes back in time is not followed.
func TestOlderStatesAreNotFollowed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	config := h.config("east", h.settings(c))
	var mu sync.Mutex
	var followed []string
	config.Hooks.Applied = func(digest string, _ uint64) {
		mu.Lock()
		defer mu.Unlock()
		followed = append(followed, digest)
	}
	r := run(t, config)
	want := func(peers ...string) {
		h.want("east", exports(&isthmusv1.ExportedService{Name: "web", Peers: peers}))
		h.workedThrough("east", r)
	}
	// lie shows another state until the agent has asked for it again and again: had it taken it, it would be kept waiting for the next one.
	var lies []string
	lie := func(what string, index uint64, state *isthmusv1.DesiredState) {
		var shown atomic.Int32
		h.edit(func() { h.index, h.states["east"], h.pulled = index, state, func() { shown.Add(1) } })
		eventually(t, what+" is shown, refused and asked for again", func() bool { return shown.Load() >= 3 })
		lies = append(lies, resource.Digest(state))
	}
	want("west")
	h.edit(func() { h.index += 1000 })
	want("west", "north")
	lie("an older state", 5, &isthmusv1.DesiredState{Datacenter: "east", ConsulDatacenter: "east", Items: []*isthmusv1.DesiredItem{exports()}})
	lie("another datacenter's", 5000, &isthmusv1.DesiredState{Datacenter: "west", ConsulDatacenter: "east"})
	want("west", "south") // it goes on with an honest one
	mu.Lock()
	defer mu.Unlock()
	for _, digest := range lies {
		if slices.Contains(followed, digest) {
			t.Errorf("it followed %s of %v", digest, followed)
		}
	}
}

// An agent that was enrolled without the fleet key believes nobody, until its host is told the key.
func TestWithoutAFleetKeyNobodyIsBelieved(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	token, err := identity.MintJoinToken(nil, identity.MintOptions{Datacenter: "east", Address: h.addr, CAFingerprint: h.ca.Fingerprint()}, time.Now())
	need(t, err)
	config := h.config("east", h.settings(c))
	config.JoinToken = token.String()
	r := run(t, config)
	run(t, h.config("west", settings(t, nowhere)))
	h.want("east", h.acceptor("u1", "west", 1))
	eventually(t, "it says so", func() bool { return h.observed("east", "u1").GetErrorReason() == "FleetKeyUnknown" })
	r.stop()
	config.FleetKey = h.fleet.ID()
	run(t, config)
	eventually(t, "told the key, it seals", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
	if fault.CodeOf(identity.VerifyTrusted(h.trusted("west")[0], h.fleet.Public())) != "" {
		t.Fatal("the test's own agent is not trusted")
	}
}
