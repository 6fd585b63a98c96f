package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func newIdentity(tb testing.TB, token *identity.JoinToken) *identity.Identity {
	tb.Helper()
	i, err := identity.NewIdentity(token, noon)
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

func recipient(tb testing.TB) string {
	tb.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		tb.Fatal(err)
	}
	return i.Recipient().String()
}

func TestTrustReachesTheFleetKey(t *testing.T) {
	t.Parallel()
	fleet, other := fleetKey(t), fleetKey(t)
	attested := newIdentity(t, mint(t, fleet, "dc1")).Attestation
	unsigned := newIdentity(t, mint(t, nil, "dc1")).Attestation
	approval, err := identity.Approve(fleet, unsigned, noon)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.Approve(other, unsigned, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		agent   *isthmusv1.TrustedAgent
		trusted bool
		shown   string
	}{
		{"attested", &isthmusv1.TrustedAgent{Attestation: attested}, true, identity.TrustFleet},
		{"not approved", &isthmusv1.TrustedAgent{Attestation: unsigned}, false, identity.TrustNone},
		{"approved", &isthmusv1.TrustedAgent{Attestation: unsigned, Approval: approval}, true, identity.TrustApproved},
		{"approved by another fleet", &isthmusv1.TrustedAgent{Attestation: unsigned, Approval: foreign}, false, identity.TrustApproved},
		{
			"attested by another fleet",
			&isthmusv1.TrustedAgent{Attestation: newIdentity(t, mint(t, other, "dc1")).Attestation}, false, identity.TrustFleet,
		},
		{"nobody", &isthmusv1.TrustedAgent{}, false, identity.TrustNone},
	} {
		if err := identity.VerifyTrusted(tt.agent, fleet.Public()); (err == nil) != tt.trusted {
			t.Errorf("%s: %v, want trusted %v", tt.name, err, tt.trusted)
		}
		if got := identity.TrustOf(tt.agent.GetAttestation(), tt.agent.GetApproval()); got != tt.shown {
			t.Errorf("%s: shown as %s, want %s", tt.name, got, tt.shown)
		}
	}
}

// A hostile server puts its own keys in place of an agent's.
func TestAHostileServerCannotSwapKeys(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	victim := newIdentity(t, mint(t, fleet, "dc1")).Attestation
	elsewhere := newIdentity(t, mint(t, fleet, "dc2")).Attestation
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// A token that the server minted itself, for the victim's datacenter.
	own := mint(t, nil, "dc1")
	approval, err := identity.Approve(fleet, elsewhere, noon)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(change func(*isthmusv1.Attestation)) *isthmusv1.TrustedAgent {
		a := proto.CloneOf(victim)
		change(a)
		return &isthmusv1.TrustedAgent{Attestation: a}
	}
	for name, forged := range map[string]*isthmusv1.TrustedAgent{
		"the age recipient":  swap(func(a *isthmusv1.Attestation) { a.AgeRecipient = recipient(t) }),
		"the identity key":   swap(func(a *isthmusv1.Attestation) { a.IdentityKey = public }),
		"the one-time key":   swap(func(a *isthmusv1.Attestation) { a.Grant.OneTimeKey = public }),
		"the datacenter":     swap(func(a *isthmusv1.Attestation) { a.Grant.Datacenter = "dc2" }),
		"the expiry":         swap(func(a *isthmusv1.Attestation) { a.Grant.ExpireTime = timestamppb.New(noon.Add(time.Hour)) }),
		"the uses":           swap(func(a *isthmusv1.Attestation) { a.Grant.MaxUses = 99 }),
		"the fleet key":      swap(func(a *isthmusv1.Attestation) { a.Grant.FleetKey = public }),
		"the agent":          swap(func(a *isthmusv1.Attestation) { a.Agent = "dc1-evil" }),
		"its own token":      {Attestation: identity.Attest(own, "dc1-evil", public, recipient(t), noon)},
		"the victim's grant": {Attestation: identity.Attest(&identity.JoinToken{Grant: victim.GetGrant(), OneTimeKey: private}, "dc1-evil", public, recipient(t), noon)},
		"another's approval": {Attestation: identity.Attest(own, "dc1-evil", public, recipient(t), noon), Approval: approval},
	} {
		if err := identity.VerifyTrusted(forged, fleet.Public()); err == nil {
			t.Errorf("%s was swapped and the agent still trusted", name)
		}
	}
}

// Whatever field of an attestation or approval is changed, and however, the agent is no longer trusted.
func TestEveryFieldOfTrustIsCovered(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	unsigned := newIdentity(t, mint(t, nil, "dc1")).Attestation
	approval, err := identity.Approve(fleet, unsigned, noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, trusted := range map[string]*isthmusv1.TrustedAgent{
		"attested": {Attestation: newIdentity(t, mint(t, fleet, "dc1")).Attestation},
		"approved": {Attestation: unsigned, Approval: approval},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				changed := proto.CloneOf(trusted)
				field := mutate(t, changed.ProtoReflect())
				if err := identity.VerifyTrusted(changed, fleet.Public()); err == nil {
					t.Fatalf("%s was changed and nobody noticed", field)
				}
			})
		})
	}
}

// mutate changes one scalar somewhere in a message and says which.
func mutate(t *rapid.T, m protoreflect.Message) string {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	f := rapid.SampledFrom(fields).Draw(t, "field")
	name := string(f.Name())
	switch v := m.Get(f); f.Kind() {
	case protoreflect.MessageKind:
		return name + "." + mutate(t, m.Mutable(f).Message())
	case protoreflect.StringKind:
		m.Set(f, protoreflect.ValueOfString(string(flip(t, []byte(v.String())))))
	case protoreflect.BytesKind:
		m.Set(f, protoreflect.ValueOfBytes(flip(t, v.Bytes())))
	case protoreflect.Int32Kind:
		m.Set(f, protoreflect.ValueOfInt32(int32(v.Int())+rapid.Int32Range(1, 9).Draw(t, "more")))
	case protoreflect.Int64Kind:
		m.Set(f, protoreflect.ValueOfInt64(v.Int()+rapid.Int64Range(1, 9).Draw(t, "more")))
	default:
		t.Fatalf("field %s of kind %s", name, f.Kind())
	}
	return name
}

func flip(t *rapid.T, data []byte) []byte {
	changed := append([]byte(nil), data...)
	i := rapid.IntRange(0, len(changed)-1).Draw(t, "byte")
	changed[i] ^= byte(rapid.IntRange(1, 127).Draw(t, "flip"))
	return changed
}

func TestFingerprintsTellKeysApart(t *testing.T) {
	t.Parallel()
	a := newIdentity(t, mint(t, nil, "dc1")).Attestation
	b := newIdentity(t, mint(t, nil, "dc1")).Attestation
	if identity.Fingerprint(a) == identity.Fingerprint(b) || identity.Fingerprint(a) != identity.Fingerprint(proto.CloneOf(a)) {
		t.Error("a fingerprint must be the same for the same keys, and another for others")
	}
}

func TestEnrolment(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	token := mint(t, fleet, "dc1")
	i := newIdentity(t, token)
	csr, err := i.CSR()
	if err != nil {
		t.Fatal(err)
	}
	otherCSR, err := newIdentity(t, token).CSR()
	if err != nil {
		t.Fatal(err)
	}
	registered := func(uses int32) *isthmusv1.JoinToken {
		return &isthmusv1.JoinToken{
			Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}, Status: &isthmusv1.JoinTokenStatus{Uses: uses},
		}
	}
	longer := proto.CloneOf(i.Attestation)
	longer.Grant.ExpireTime = timestamppb.New(noon.Add(24 * time.Hour))
	stranger := identity.Attest(token, "dc2-abc", i.Attestation.GetIdentityKey(), recipient(t), noon)
	extended := mint(t, fleet, "dc1")
	extended.Grant.Name = token.Grant.GetName()
	for _, tt := range []struct {
		name        string
		attestation *isthmusv1.Attestation
		csr         []byte
		stored      *isthmusv1.JoinToken
		now         time.Time
		want        string
	}{
		{"as it should be", i.Attestation, csr, registered(0), noon, ""},
		{"unknown", i.Attestation, csr, nil, noon, identity.ReasonTokenUnknown},
		{"expired", i.Attestation, csr, registered(0), noon.Add(15 * time.Minute), identity.ReasonTokenExpired},
		{"used up", i.Attestation, csr, registered(1), noon, identity.ReasonTokenUsed},
		{"grant changed", longer, csr, registered(0), noon, identity.ReasonBadAttestation},
		{"another grant of that name", newIdentity(t, extended).Attestation, csr, registered(0), noon, identity.ReasonTokenTampered},
		{"named after another datacenter", stranger, csr, registered(0), noon, identity.ReasonWrongDatacenter},
		{"request for another key", i.Attestation, otherCSR, registered(0), noon, identity.ReasonCSRMismatch},
		{"request of garbage", i.Attestation, []byte("garbage"), registered(0), noon, identity.ReasonCSRMismatch},
	} {
		err := identity.CheckEnrolment(tt.attestation, tt.csr, tt.stored, tt.now)
		if got := reason(err); got != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if !identity.SameAgent(i.Attestation, &isthmusv1.Agent{Spec: &isthmusv1.AgentSpec{Attestation: i.Attestation}}) ||
		identity.SameAgent(stranger, &isthmusv1.Agent{Spec: &isthmusv1.AgentSpec{Attestation: i.Attestation}}) {
		t.Error("the same agent asking again must be known, and nobody else")
	}
}
