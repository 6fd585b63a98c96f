package kube_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"isthmus/agent/delivery"
	"isthmus/agent/kube"
	"isthmus/federation"
)

// authority is the CA of a primary.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newKey(t *testing.T) (key *ecdsa.PrivateKey, text []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func sign(t *testing.T, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, _ := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Consul Agent CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{cert: template, key: key, pem: sign(t, template, template, &key.PublicKey, key)}
}

// issue makes a server certificate of a datacenter for 30 days, and its key.
func (a *authority) issue(t *testing.T, datacenter string, from time.Time) (cert, key []byte) {
	t.Helper()
	private, key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(from.UnixNano()), DNSNames: federation.CertificateNames(datacenter, "consul"),
		NotBefore: from, NotAfter: from.AddDate(0, 0, 30), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return sign(t, template, a.cert, &private.PublicKey, a.key), key
}

// keylessContent is for an agent with a key and a certificate of its own.
func keylessContent(t *testing.T, a *authority, issued time.Time, generation int32) (c delivery.Content, cert []byte) {
	t.Helper()
	b := bundle()
	b.CAKey, b.CACertificates = "", []string{string(a.pem)}
	c = content(t, b, generation)
	c.Cert, c.Key = a.issue(t, "dc2", issued)
	return c, c.Cert
}

func testKeyless(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	a := newAuthority(t)
	c, cert := keylessContent(t, a, time.Now(), 1)
	h := r.host(nil)
	r.put(h, c, delivery.EffectRestart)
	got := r.read(certName)
	if got.Type != "kubernetes.io/tls" || !bytes.Equal(got.Data["tls.crt"], cert) || !bytes.Equal(got.Data["tls.key"], c.Key) || len(got.Data) != 2 {
		t.Fatalf("type %s, %d keys", got.Type, len(got.Data))
	}
	if _, ok := r.read("consul-federation").Data["caKey"]; ok {
		t.Fatal("there is a CA key")
	}
	if err := h.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put(h, c, delivery.EffectNone)

	// Renewed at two thirds, with a reload.
	later := time.Now().AddDate(0, 0, 21)
	renewed, cert := keylessContent(t, a, later, 2)
	h = r.host(func(k *kube.Config) { k.Now = func() time.Time { return later } })
	r.put(h, renewed, delivery.EffectReload)
	if got := r.read(certName); !bytes.Equal(got.Data["tls.crt"], cert) {
		t.Fatal("it was not renewed")
	}

	// No longer keyless: the chart makes the certificates.
	b := bundle()
	b.CACertificates = []string{string(a.pem)}
	r.put(h, content(t, b, 3), delivery.EffectRestart)
	if r.read(certName) == nil {
		t.Fatal("a Secret that the servers need to start is gone")
	}
	r.notMounted()
	_, err := h.Put(t.Context(), content(t, b, 3))
	refused(t, err, kube.SecretUnused)
	if r.read(certName) != nil {
		t.Fatal("the certificate's Secret is still there")
	}
}

// Two agents have two certificates for one Secret: the first one's stays as long as it is good.
func testCertificates(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	a := newAuthority(t)
	now := time.Now()
	first, firstCert := keylessContent(t, a, now, 1)
	second, _ := keylessContent(t, a, now, 1)
	there := func(want []byte, why string) {
		t.Helper()
		if !bytes.Equal(r.read(certName).Data["tls.crt"], want) {
			t.Fatal(why)
		}
	}
	one, two := r.host(nil), r.host(nil)
	r.put(one, first, delivery.EffectRestart)
	r.put(two, second, delivery.EffectRestart)
	there(firstCert, "two agents take turns")
	if err := two.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put(one, first, delivery.EffectNone)

	// Not when it is of another CA, which the servers would not believe, nor when its key is another one's.
	other, otherCert := keylessContent(t, newAuthority(t), now, 2)
	r.put(two, other, delivery.EffectRestart)
	there(otherCert, "a certificate of another CA stayed")
	broken := map[string]any{"data": map[string][]byte{"tls.key": first.Key}}
	r.Do(t, "PATCH", r.path("secrets", certName), broken, nil)
	r.put(two, other, delivery.EffectRestart)
	there(otherCert, "a certificate without its key stayed")
	// Nor when it is another datacenter's.
	foreign := other
	foreign.Cert, foreign.Key = a.issue(t, "dc3", now)
	foreign.CA, foreign.Secret = a.pem, first.Secret
	r.put(two, foreign, delivery.EffectReload)
	there(foreign.Cert, "a certificate without the names stayed")
}
