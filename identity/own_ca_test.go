package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// caPEM is the certificate of a new CA.
func caPEM(tb testing.TB, edit func(*x509.Certificate)) string {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// voucher is what an agent says of its CA as a secondary in federation f1.
func voucher(tb testing.TB, i *identity.Identity, ca string) *isthmusv1.TrustedCA {
	tb.Helper()
	datacenter := i.Attestation.GetGrant().GetDatacenter()
	signature, err := identity.SignOwnCA(i.Signer(), "f1", "secondary", i.Agent(), datacenter, ca)
	if err != nil {
		tb.Fatal(err)
	}
	return &isthmusv1.TrustedCA{Datacenter: datacenter, Certificates: ca, Agent: &isthmusv1.TrustedAgent{Attestation: i.Attestation}, Signature: signature}
}

func TestOwnCAIsBelievedOfItsDatacenterAlone(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	i, colleague, stranger := newIdentity(t, mint(t, fleet, "dc2")), newIdentity(t, mint(t, fleet, "dc2")), newIdentity(t, mint(t, fleetKey(t), "dc2"))
	unproven := newIdentity(t, mint(t, nil, "dc2"))
	elsewhere := newIdentity(t, mint(t, fleet, "dc3"))
	gatewayToken, err := identity.MintJoinToken(fleet, identity.MintOptions{Kind: identity.KindGateway, Datacenter: "dc2", Address: "127.0.0.1:8701", CAFingerprint: pinned}, noon)
	if err != nil {
		t.Fatal(err)
	}
	ca, other := caPEM(t, nil), caPEM(t, nil)
	both := ca + other
	text, err := identity.VerifyOwnCA(voucher(t, i, "\n"+both+"\n"), "f1", "secondary", fleet.Public())
	if err != nil || text != both {
		t.Fatalf("%v, %q", err, text)
	}
	signed := voucher(t, i, both)
	for name, tt := range map[string]struct {
		change    func(v *isthmusv1.TrustedCA)
		uid, role string
	}{
		"another federation":            {nil, "f2", "secondary"},
		"another role":                  {nil, "f1", "primary"},
		"another CA":                    {func(v *isthmusv1.TrustedCA) { v.Certificates = other }, "f1", "secondary"},
		"one more CA":                   {func(v *isthmusv1.TrustedCA) { v.Certificates += caPEM(t, nil) }, "f1", "secondary"},
		"one CA less":                   {func(v *isthmusv1.TrustedCA) { v.Certificates = ca }, "f1", "secondary"},
		"another order":                 {func(v *isthmusv1.TrustedCA) { v.Certificates = other + ca }, "f1", "secondary"},
		"another datacenter":            {func(v *isthmusv1.TrustedCA) { v.Datacenter = "dc3" }, "f1", "secondary"},
		"another datacenter's agent":    {func(v *isthmusv1.TrustedCA) { proto.Merge(v, voucher(t, elsewhere, both)); v.Datacenter = "dc2" }, "f1", "secondary"},
		"another agent of it":           {func(v *isthmusv1.TrustedCA) { v.Agent = voucher(t, colleague, both).GetAgent() }, "f1", "secondary"},
		"an agent of another fleet":     {func(v *isthmusv1.TrustedCA) { proto.Reset(v); proto.Merge(v, voucher(t, stranger, both)) }, "f1", "secondary"},
		"an agent that nobody attested": {func(v *isthmusv1.TrustedCA) { proto.Reset(v); proto.Merge(v, voucher(t, unproven, both)) }, "f1", "secondary"},
		"a gateway": {func(v *isthmusv1.TrustedCA) {
			proto.Reset(v)
			proto.Merge(v, voucher(t, newIdentity(t, gatewayToken), both))
		}, "f1", "secondary"},
		"nobody":       {func(v *isthmusv1.TrustedCA) { v.Agent = nil }, "f1", "secondary"},
		"no signature": {func(v *isthmusv1.TrustedCA) { v.Signature = nil }, "f1", "secondary"},
	} {
		v := proto.CloneOf(signed)
		if tt.change != nil {
			tt.change(v)
		}
		if text, err := identity.VerifyOwnCA(v, tt.uid, tt.role, fleet.Public()); err == nil || text != "" {
			t.Errorf("%s: it is believed", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := proto.CloneOf(signed)
		field := mutate(t, v.ProtoReflect())
		if text, err := identity.VerifyOwnCA(v, "f1", "secondary", fleet.Public()); err == nil && text != both {
			t.Fatalf("%s was changed and another CA believed", field)
		}
	})
}

func TestOwnCAIsNothingElse(t *testing.T) {
	t.Parallel()
	i := newIdentity(t, mint(t, fleetKey(t), "dc2"))
	ca := caPEM(t, nil)
	for name, text := range map[string]string{
		"nothing":                " \n",
		"no PEM":                 "ca",
		"more behind it":         ca + "x",
		"a certificate of one":   ca + caPEM(t, func(c *x509.Certificate) { c.IsCA = false }),
		"one that signs nothing": caPEM(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }),
		"a key":                  ca + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("k")})),
		"a broken certificate":   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("c")})),
		"too many":               strings.Repeat(ca, 17),
		"too much":               ca + strings.Repeat("\n", 64<<10),
	} {
		if _, err := identity.SignOwnCA(i.Signer(), "f1", "secondary", i.Agent(), "dc2", text); reason(err) != identity.ReasonBadCertificate {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is signed today is verified by every later version.
func TestFederationStatementsAreFrozen(t *testing.T) {
	t.Parallel()
	i := newIdentity(t, mint(t, fleetKey(t), "dc2"))
	ca := caPEM(t, nil)
	block, _ := pem.Decode([]byte(ca))
	sum := sha256.Sum256(block.Bytes)
	own := identity.NewStatement("own-ca").Text("f1").Text("secondary").Text(i.Agent()).Text("dc2").Number(1).Bytes(sum[:]).Sign(i.Signer())
	if !bytes.Equal(own, voucher(t, i, ca).GetSignature()) {
		t.Error("own-ca is another statement")
	}
	csr := identity.NewStatement("server-csr").Text("f1").Text(i.Agent()).Text("dc2").Text("east").Bytes([]byte("csr")).Sign(i.Signer())
	if !bytes.Equal(csr, identity.SignServerCSR(i.Signer(), "f1", i.Agent(), "dc2", "east", []byte("csr"))) {
		t.Error("server-csr is another statement")
	}
}

func FuzzVerifyOwnCA(f *testing.F) {
	fleet := fleetKey(f)
	ca := caPEM(f, nil)
	data, err := proto.Marshal(voucher(f, newIdentity(f, mint(f, fleet, "dc2")), ca))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		v := &isthmusv1.TrustedCA{}
		if proto.Unmarshal(data, v) != nil {
			return
		}
		if text, err := identity.VerifyOwnCA(v, "f1", "secondary", fleet.Public()); err == nil && text != ca {
			t.Error("a CA is believed that nobody signed")
		}
	})
}
