package identity_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Parsers of what strangers send: none panics, and none believes what nobody signed.

func FuzzVerifyTrusted(f *testing.F) {
	fleet := fleetKey(f)
	genuine := newIdentity(f, mint(f, fleet, "dc1")).Attestation
	unsigned := newIdentity(f, mint(f, nil, "dc1")).Attestation
	approval, err := identity.Approve(fleet, unsigned, noon)
	if err != nil {
		f.Fatal(err)
	}
	seeds := []*isthmusv1.TrustedAgent{{Attestation: genuine}, {Attestation: unsigned, Approval: approval}, {Attestation: unsigned}}
	for _, seed := range seeds {
		data, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		trusted := &isthmusv1.TrustedAgent{}
		if proto.Unmarshal(data, trusted) != nil {
			return
		}
		identity.Fingerprint(trusted.GetAttestation())
		identity.TrustOf(trusted.GetAttestation(), trusted.GetApproval())
		if identity.VerifyTrusted(trusted, fleet.Public()) != nil {
			return
		}
		key := string(trusted.GetAttestation().GetIdentityKey())
		if key != string(genuine.GetIdentityKey()) && key != string(unsigned.GetIdentityKey()) {
			t.Error("keys are trusted that nobody signed")
		}
	})
}

func FuzzCheckEnrolment(f *testing.F) {
	token := mint(f, fleetKey(f), "dc1")
	i := newIdentity(f, token)
	csr, err := i.CSR()
	if err != nil {
		f.Fatal(err)
	}
	attestation, err := proto.Marshal(i.Attestation)
	if err != nil {
		f.Fatal(err)
	}
	stored := &isthmusv1.JoinToken{Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}}
	f.Add(attestation, csr)
	f.Add([]byte{}, csr)
	f.Fuzz(func(t *testing.T, data, csr []byte) {
		a := &isthmusv1.Attestation{}
		if proto.Unmarshal(data, a) != nil || identity.CheckEnrolment(a, csr, stored, noon) != nil {
			return
		}
		if string(a.GetIdentityKey()) != string(i.Attestation.GetIdentityKey()) {
			t.Error("enrolled keys that the one-time key did not sign")
		}
	})
}

func FuzzVerifyClient(f *testing.F) {
	ca := newCA(f)
	_, i, c := enrolled(f, ca)
	f.Add(c.Leaf().Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		who, err := identity.VerifyClient(leaf, ca.Pool())
		if err == nil && who.Name != i.Agent() {
			t.Errorf("took %+v for an agent", who)
		}
	})
}

func FuzzAccept(f *testing.F) {
	ca := newCA(f)
	dir, i, _ := enrolled(f, ca)
	f.Add(issue(f, ca, i, i.Agent(), noon), string(ca.CertificatePEM()))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, certificate, root string) {
		c, err := i.Accept(dir, certificate, root)
		if key := ed25519.PublicKey(i.Attestation.GetIdentityKey()); err == nil && !key.Equal(c.Leaf().PublicKey) {
			t.Error("accepted a certificate for another key")
		}
	})
}

func FuzzServerKeyOpen(f *testing.F) {
	k, err := identity.NewServerKey()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := k.Seal("ca", []byte("key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := k.Open("ca", data); err == nil && string(plain) != "key" {
			t.Errorf("opened %q", plain)
		}
	})
}

func FuzzParseAPISecret(f *testing.F) {
	secret, _, err := identity.NewAPISecret("admin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(secret)
	f.Add("isthmus__")
	f.Fuzz(func(t *testing.T, text string) {
		name, hash, err := identity.ParseAPISecret(text)
		if err == nil && (name == "" || !identity.SameHash(hash, hash)) {
			t.Errorf("%q is no name", name)
		}
	})
}

// FuzzKeyFiles reads files that a disk or a hand has damaged.
func FuzzKeyFiles(f *testing.F) {
	dir, i, _ := enrolled(f, newCA(f))
	fleet := filepath.Join(f.TempDir(), "fleet.key")
	if err := fleetKey(f).Save(fleet); err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{fleet, filepath.Join(dir, "identity.json"), filepath.Join(dir, "certificate.pem")} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		for _, name := range []string{"fleet.key", "identity.json", "certificate.pem"} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = identity.LoadFleetKey(filepath.Join(dir, "fleet.key"))
		_, _ = identity.LoadServerKey(filepath.Join(dir, "fleet.key"))
		loaded, err := identity.LoadIdentity(dir)
		if err == nil && !loaded.Signer().Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(loaded.Attestation.GetIdentityKey())) {
			t.Error("loaded an identity with other keys than it attests")
		}
		if c, err := i.LoadCredential(dir); err == nil && c.Leaf() == nil {
			t.Error("loaded a credential without a certificate")
		}
	})
}
