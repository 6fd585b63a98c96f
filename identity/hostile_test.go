package identity_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// A token that was cut off anywhere says so; any other character in it is noticed.
func TestEveryPlaceOfATokenCounts(t *testing.T) {
	t.Parallel()
	for _, fleet := range []*identity.FleetKey{fleetKey(t), nil} {
		text := mint(t, fleet, "dc1").String()
		for i := 1; i < len(text); i++ {
			if _, err := identity.ParseJoinToken(text[:i]); reason(err) != identity.ReasonTokenTruncated {
				t.Fatalf("cut to %d of %d characters: %v, want %s", i, len(text), err, identity.ReasonTokenTruncated)
			}
		}
		for i := range text {
			for _, with := range []string{"A", "_", "\n", " ", "!", ""} {
				changed := text[:i] + with + text[i+1:]
				if with == text[i:i+1] || strings.TrimSpace(changed) == text {
					continue
				}
				if _, err := identity.ParseJoinToken(changed); err == nil {
					t.Fatalf("character %d became %q and nobody noticed", i, with)
				}
			}
		}
		if _, err := identity.ParseJoinToken(text + "A"); reason(err) != identity.ReasonTokenTampered {
			t.Errorf("longer: %v, want %s", err, identity.ReasonTokenTampered)
		}
	}
}

// Who holds a token but not the fleet key cannot make it say more.
func TestAGrantCannotBeStretched(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	for name, change := range map[string]func(*identity.JoinToken){
		"longer":               func(j *identity.JoinToken) { j.Grant.ExpireTime = timestamppb.New(noon.Add(24 * time.Hour)) },
		"more uses":            func(j *identity.JoinToken) { j.Grant.MaxUses = 100 },
		"another datacenter":   func(j *identity.JoinToken) { j.Grant.Datacenter = "dc2" },
		"another kind":         func(j *identity.JoinToken) { j.Grant.Kind = "gateway" },
		"another name":         func(j *identity.JoinToken) { j.Grant.Name = "dc1-other" },
		"another fleet key":    func(j *identity.JoinToken) { j.Grant.FleetKey = fleetKey(t).Public() },
		"no signature":         func(j *identity.JoinToken) { j.Grant.Signature = nil },
		"half a fleet":         func(j *identity.JoinToken) { j.Grant.FleetKey = nil },
		"another one-time key": func(j *identity.JoinToken) { j.OneTimeKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) },
	} {
		forged := mint(t, fleet, "dc1")
		change(forged)
		if _, err := identity.ParseJoinToken(forged.String()); reason(err) != identity.ReasonTokenTampered {
			t.Errorf("%s: %v, want %s", name, err, identity.ReasonTokenTampered)
		}
	}
}

// An agent whose clock is far ahead, or that got the token too late, hears why; its file can still be read.
func TestKeysAttestedTooLate(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	token := mint(t, fleet, "dc1")
	late, err := identity.NewIdentity(token, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	trusted := &isthmusv1.TrustedAgent{Attestation: late.Attestation}
	if err := identity.VerifyTrusted(trusted, fleet.Public()); reason(err) != identity.ReasonTokenExpired {
		t.Errorf("trusted: %v, want %s", err, identity.ReasonTokenExpired)
	}
	csr, err := late.CSR()
	if err != nil {
		t.Fatal(err)
	}
	registered := &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}}
	if err := identity.CheckEnrolment(late.Attestation, csr, registered, noon); reason(err) != identity.ReasonTokenExpired {
		t.Errorf("enrolled: %v, want %s", err, identity.ReasonTokenExpired)
	}
	dir := t.TempDir()
	if err := late.Save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadIdentity(dir); err != nil {
		t.Errorf("loaded: %v", err)
	}
}

func TestAnAgentIsNamedAfterItsDatacenter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		datacenter, agent string
		want              string
	}{
		{"dc1", "", ""},
		{strings.Repeat("d", 63), "", ""},
		{"dc1", "dc1-abcdefgh", ""},
		{"dc1", "dc-abcdefgh", identity.ReasonWrongDatacenter},
		{"dc1", "dc10-abcdefgh", identity.ReasonWrongDatacenter},
		{"dc1", "dc1", identity.ReasonWrongDatacenter},
		{"dc1", "operator", identity.ReasonBadAttestation},
		{"dc1", "DC1-x", identity.ReasonBadAttestation},
	} {
		token := mint(t, nil, tt.datacenter)
		i := newIdentity(t, token)
		csr, err := i.CSR()
		if err != nil {
			t.Fatal(err)
		}
		a := i.Attestation
		if tt.agent != "" {
			a = identity.Attest(token, tt.agent, a.GetIdentityKey(), a.GetAgeRecipient(), noon)
		}
		stored := &isthmusv1.JoinToken{Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}}
		if err := identity.CheckEnrolment(a, csr, stored, noon); reason(err) != tt.want {
			t.Errorf("%s of %s: %v, want %q", a.GetAgent(), tt.datacenter, err, tt.want)
		}
	}
}

// An approval is for one agent's keys, and no others.
func TestAnApprovalCannotBeMoved(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	token := mint(t, nil, "dc1")
	approved := newIdentity(t, token).Attestation
	approval, err := identity.Approve(fleet, approved, noon)
	if err != nil {
		t.Fatal(err)
	}
	gateway := proto.CloneOf(token.Grant)
	gateway.Kind = identity.KindGateway
	elsewhere := proto.CloneOf(token.Grant)
	elsewhere.Datacenter = "dc2"
	for name, a := range map[string]*isthmusv1.Attestation{
		"another agent of that token": newIdentity(t, token).Attestation,
		"its keys under another name": identity.Attest(token, "dc1-other", approved.GetIdentityKey(), approved.GetAgeRecipient(), noon),
		"another age key":             identity.Attest(token, approved.GetAgent(), approved.GetIdentityKey(), recipient(t), noon),
		"as a gateway": identity.Attest(&identity.JoinToken{Grant: gateway, OneTimeKey: token.OneTimeKey},
			approved.GetAgent(), approved.GetIdentityKey(), approved.GetAgeRecipient(), noon),
		"in another datacenter": identity.Attest(&identity.JoinToken{Grant: elsewhere, OneTimeKey: token.OneTimeKey},
			approved.GetAgent(), approved.GetIdentityKey(), approved.GetAgeRecipient(), noon),
	} {
		// Each is signed as it should be, by the one-time key that a hostile server minted itself.
		if err := identity.VerifyAttestation(a); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		trusted := &isthmusv1.TrustedAgent{Attestation: a, Approval: approval}
		if err := identity.VerifyTrusted(trusted, fleet.Public()); reason(err) != identity.ReasonUntrusted {
			t.Errorf("%s: %v, want %s", name, err, identity.ReasonUntrusted)
		}
	}
	if err := identity.VerifyTrusted(&isthmusv1.TrustedAgent{Attestation: approved, Approval: approval}, nil); err == nil {
		t.Error("without a pinned fleet key nobody is trusted")
	}
}

func TestADamagedFleetKeyIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "fleet.key"), filepath.Join(dir, "other.key")
	fleet := fleetKey(t)
	if err := fleet.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := fleetKey(t).Save(other); err != nil {
		t.Fatal(err)
	}
	loaded, err := identity.LoadFleetKey(path)
	if err != nil || loaded.ID() != fleet.ID() {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	if err := fleet.Save(path); fault.CodeOf(err) != fault.AlreadyExists {
		t.Errorf("saved over a key: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(text), "-----BEGIN")
	_, key, _ := strings.Cut(string(wrong), "-----BEGIN")
	if err := os.WriteFile(path, []byte(comment+"-----BEGIN"+key), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadFleetKey(path); fault.CodeOf(err) != fault.Refused {
		t.Errorf("another key under this comment: %v, want it refused", err)
	}
	// Made by other tools, without the comment.
	if err := os.WriteFile(path, []byte("-----BEGIN"+key), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadFleetKey(path); err != nil {
		t.Errorf("a bare key: %v", err)
	}
}

// Whatever verb a log uses, no key shows.
func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	server, err := identity.NewServerKey()
	if err != nil {
		t.Fatal(err)
	}
	i := newIdentity(t, mint(t, fleet, "dc1"))
	for _, key := range []any{fleet, server, i} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			got := strings.Trim(fmt.Sprintf(verb, key), `"`)
			if got != fleet.ID() && got != i.Agent() && got != "server key" {
				t.Errorf("%T prints as %s with %s", key, got, verb)
			}
		}
	}
}

// What is signed today is verified by every later version: these bytes never change.
func TestStatementsAreFrozen(t *testing.T) {
	t.Parallel()
	seed := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(b)), ed25519.SeedSize)))
	}
	public := func(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
	grant := &isthmusv1.JoinGrant{
		Name: "dc1-token", Kind: "agent", Datacenter: "dc1", OneTimeKey: public(seed('o')), MaxUses: 1,
		ExpireTime: timestamppb.New(noon.Add(15 * time.Minute)), FleetKey: public(seed('f')),
	}
	grant.Signature = identity.NewStatement("join-grant").Text("dc1-token").Text("agent").Text("dc1").Bytes(public(seed('o'))).
		Time(grant.GetExpireTime()).Number(1).Bytes(public(seed('f'))).Sign(seed('f'))
	token := &identity.JoinToken{Grant: grant, Address: "hub.example:8701", CAFingerprint: pinned, OneTimeKey: seed('o')}
	const want = "isthmus-join-1.AW8AAAAAAAAAEGh1Yi5leGFtcGxlOjg3MDEAAAAAAAAAIOOwxEKY_BwUmvv0yJlvuSQnrkHkZJuTTKSVmRt4UrhVAAAAAAAAACBvb29v" +
		"b29vb29vb29vb29vb29vb29vb29vb29vb29vbwAAAAAAAAAJZGMxLXRva2VuAAAAAAAAAAVhZ2VudAAAAAAAAAADZGMxAAAAAAAAAAwAAAAA"
	if got := token.String(); !strings.HasPrefix(got, want) {
		t.Errorf("the token is\n%s, want it to begin with\n%s", got, want)
	}
	a := identity.Attest(token, "dc1-abc", public(seed('i')), "age1hrnuzgd6xhs2y9axhre58dudk8fkk6nzjtvqgc83gz3kq4lyfseqcql0s4", noon)
	if err := identity.VerifyGrant(grant, public(seed('f'))); err != nil {
		t.Error(err)
	}
	for name, golden := range map[string][2]string{
		"attestation": {fmt.Sprintf("%x", a.GetSignature()[:8]), "dd08219746d01f30"},
		"fingerprint": {identity.Fingerprint(a), "SHA256:zp1g+hMH25qinbrPXtmB4B0AjCnIWrPg7Dm4th4cBTg"},
		"grant":       {fmt.Sprintf("%x", grant.GetSignature()[:8]), "e6bfbfb6afff3be1"},
		"token":       {fmt.Sprintf("%x", identity.NewStatement("x").Text(token.String()).Digest()[:8]), "a38bac698baa681e"},
	} {
		if golden[0] != golden[1] {
			t.Errorf("%s is %s, want %s", name, golden[0], golden[1])
		}
	}
}
