package seal_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world is two datacenters of one fleet, and whoever else a test wants.
type world struct {
	t        testing.TB
	fleet    *identity.FleetKey
	acceptor *identity.Identity
	dialer   *identity.Identity
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	fleet, err := identity.NewFleetKey()
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{t: tb, fleet: fleet}
	w.acceptor, w.dialer = w.agent(fleet, "dc1"), w.agent(fleet, "dc2")
	return w
}

func (w *world) agent(fleet *identity.FleetKey, datacenter string) *identity.Identity {
	w.t.Helper()
	token, err := identity.MintJoinToken(fleet, identity.MintOptions{
		Datacenter: datacenter, Address: "127.0.0.1:8701", CAFingerprint: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
	}, noon)
	if err != nil {
		w.t.Fatal(err)
	}
	i, err := identity.NewIdentity(token, noon)
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

func (w *world) draft() seal.Draft {
	return seal.Draft{
		Kind: seal.KindPeeringToken, UID: "u1", From: w.acceptor.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2",
		Generation: 3, Attempt: 1, TTL: time.Hour,
	}
}

func (w *world) sealed(d seal.Draft, maker *identity.Identity, to ...*identity.Identity) *isthmusv1.SealedPayload {
	w.t.Helper()
	var recipients []string
	for _, i := range to {
		recipients = append(recipients, i.Attestation.GetAgeRecipient())
	}
	p, err := seal.Seal(d, maker.Signer(), recipients, []byte("the token"), noon)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func expect() seal.Expect {
	return seal.Expect{
		Kind: seal.KindPeeringToken, UID: "u1", FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: 3, MinGeneration: 3,
	}
}

func trusted(agents ...*identity.Identity) []*isthmusv1.TrustedAgent {
	var out []*isthmusv1.TrustedAgent
	for _, i := range agents {
		out = append(out, &isthmusv1.TrustedAgent{Attestation: i.Attestation})
	}
	return out
}

func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Violations) > 0 {
		return f.Violations[0].Reason
	}
	return ""
}

func TestSealedForAllAgentsOfADatacenter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.agent(w.fleet, "dc2")
	stored, err := seal.Encode(w.sealed(w.draft(), w.acceptor, w.dialer, second))
	if err != nil {
		t.Fatal(err)
	}
	p, err := seal.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, opener := range []*identity.Identity{w.dialer, second} {
		got, err := seal.Open(p, expect(), trusted(w.acceptor), w.fleet.Public(), opener.Opener(), noon)
		if err != nil || string(got) != "the token" {
			t.Errorf("opened %q, %v", got, err)
		}
	}
}

func TestAnOperatorSealsWithTheFleetKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.draft()
	d.From, d.FromDatacenter = seal.Operator, ""
	want := expect()
	want.FromDatacenter = ""
	p, err := seal.Seal(d, w.fleet.Signer(), []string{w.dialer.Attestation.GetAgeRecipient()}, []byte("the token"), noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(p, want, nil, w.fleet.Public(), w.dialer.Opener(), noon); err != nil {
		t.Error(err)
	}
	// An agent cannot speak as the operator.
	forged := w.sealed(d, w.acceptor, w.dialer)
	if _, err := seal.Open(forged, want, trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon); reason(err) != seal.ReasonBadSignature {
		t.Errorf("forged: %v", err)
	}
}

// What a hostile server can do with what it has: each is refused, by its name.
func TestAHostileServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger, err := identity.NewFleetKey()
	if err != nil {
		t.Fatal(err)
	}
	evil := w.agent(stranger, "dc1")
	unsigned := w.agent(nil, "dc1")
	elsewhere := w.agent(w.fleet, "dc3")
	draft := func(change func(*seal.Draft)) seal.Draft {
		d := w.draft()
		change(&d)
		return d
	}
	by := func(i *identity.Identity) seal.Draft { return draft(func(d *seal.Draft) { d.From = i.Agent() }) }
	for _, tt := range []struct {
		name    string
		payload *isthmusv1.SealedPayload
		senders []*isthmusv1.TrustedAgent
		later   time.Duration
		want    string
	}{
		{name: "its own agent of its own fleet", payload: w.sealed(by(evil), evil, w.dialer), senders: trusted(evil), want: seal.ReasonUntrustedSender},
		{name: "an agent that nobody approved", payload: w.sealed(by(unsigned), unsigned, w.dialer), senders: trusted(unsigned), want: seal.ReasonUntrustedSender},
		{name: "an agent of another datacenter", payload: w.sealed(by(elsewhere), elsewhere, w.dialer), senders: trusted(elsewhere), want: seal.ReasonWrongSender},
		{name: "a sender that it does not propose", payload: w.sealed(w.draft(), w.acceptor, w.dialer), senders: trusted(elsewhere), want: seal.ReasonUnknownSender},
		{name: "forged in the acceptor's name", payload: w.sealed(w.draft(), evil, w.dialer), want: seal.ReasonBadSignature},
		{name: "another kind", payload: w.sealed(draft(func(d *seal.Draft) { d.Kind = "bundle" }), w.acceptor, w.dialer), want: seal.ReasonWrongKind},
		{name: "of another peering", payload: w.sealed(draft(func(d *seal.Draft) { d.UID = "u2" }), w.acceptor, w.dialer), want: seal.ReasonWrongResource},
		{name: "for another datacenter", payload: w.sealed(draft(func(d *seal.Draft) { d.ToDatacenter = "dc3" }), w.acceptor, w.dialer), want: seal.ReasonWrongDirection},
		{name: "an older one again", payload: w.sealed(draft(func(d *seal.Draft) { d.Generation = 2 }), w.acceptor, w.dialer), want: seal.ReasonWrongGeneration},
		{name: "of the future", payload: w.sealed(draft(func(d *seal.Draft) { d.Generation = 4 }), w.acceptor, w.dialer), want: seal.ReasonWrongGeneration},
		{name: "after its time", payload: w.sealed(w.draft(), w.acceptor, w.dialer), later: 2 * time.Hour, want: seal.ReasonExpired},
		{name: "before its time", payload: w.sealed(w.draft(), w.acceptor, w.dialer), later: -time.Hour, want: seal.ReasonFromTheFuture},
		{name: "sealed to somebody else", payload: w.sealed(w.draft(), w.acceptor, elsewhere), want: seal.ReasonNotForUs},
		{name: "nothing at all", payload: &isthmusv1.SealedPayload{}, want: seal.ReasonUnknownSender},
	} {
		senders := tt.senders
		if senders == nil {
			senders = trusted(w.acceptor)
		}
		plain, err := seal.Open(tt.payload, expect(), senders, w.fleet.Public(), w.dialer.Opener(), noon.Add(tt.later))
		if reason(err) != tt.want || plain != nil {
			t.Errorf("%s: %q, %v; want %s", tt.name, plain, err, tt.want)
		}
	}
}

func TestARollbackIsRefusedEvenWhenTheServerAsksForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.draft()
	d.Generation = 2
	want := expect()
	want.Generation, want.MinGeneration = 2, 3
	_, err := seal.Open(w.sealed(d, w.acceptor, w.dialer), want, trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon)
	if reason(err) != seal.ReasonWrongGeneration {
		t.Errorf("got %v, want the rollback refused", err)
	}
}

func TestWithoutAFleetKeyNobodyIsBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := seal.Open(w.sealed(w.draft(), w.acceptor, w.dialer), expect(), trusted(w.acceptor), nil, w.dialer.Opener(), noon)
	if reason(err) != seal.ReasonUntrustedSender {
		t.Errorf("got %v", err)
	}
}

func TestSealNeedsSomebodyToSealTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := seal.Seal(w.draft(), w.acceptor.Signer(), nil, []byte("x"), noon); fault.CodeOf(err) != fault.Refused {
		t.Errorf("nobody: %v", err)
	}
	if _, err := seal.Seal(w.draft(), w.acceptor.Signer(), []string{"age1nonsense"}, []byte("x"), noon); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("nonsense: %v", err)
	}
	big := make([]byte, seal.MaxPlaintext+1)
	if _, err := seal.Seal(w.draft(), w.acceptor.Signer(), []string{w.dialer.Attestation.GetAgeRecipient()}, big, noon); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
}

// Any change of any byte of what is stored is noticed.
func TestATamperedPayloadIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	original := w.sealed(w.draft(), w.acceptor, w.dialer)
	stored, err := seal.Encode(original)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := append([]byte(nil), stored...)
		changed[rapid.IntRange(0, len(stored)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		p, err := seal.Decode(changed)
		if err != nil || proto.Equal(p, original) {
			return
		}
		// An unknown field is no part of the payload: it must not count, and does not.
		p.ProtoReflect().SetUnknown(nil)
		if proto.Equal(p, original) {
			return
		}
		if _, err := seal.Open(p, expect(), trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon); err == nil {
			t.Fatal("a byte was changed and nobody noticed")
		}
		if seal.Digest(p) == seal.Digest(original) {
			t.Fatal("two payloads have one digest")
		}
	})
}

func FuzzDecode(f *testing.F) {
	w := newWorld(f)
	stored, err := seal.Encode(w.sealed(w.draft(), w.acceptor, w.dialer))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	other := w.sealed(w.draft(), w.acceptor, w.dialer)
	other.ExpireTime = timestamppb.New(noon.Add(time.Hour * 1000))
	extended, err := seal.Encode(other)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(extended)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := seal.Decode(data)
		if err != nil {
			return
		}
		plain, err := seal.Open(p, expect(), trusted(w.acceptor), w.fleet.Public(), w.dialer.Opener(), noon)
		if err == nil && string(plain) != "the token" {
			t.Errorf("opened %q", plain)
		}
	})
}
