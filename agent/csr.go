package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"slices"
	"time"

	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	"isthmus/secretfile"
)

// ownCertificateLife is how long a certificate is good that this host signs for itself with the federation's CA key. It is renewed at two
// thirds of it.
const ownCertificateLife = 365 * 24 * time.Hour

// serverCertificate is a Consul server's, as its files have it.
type serverCertificate struct {
	chain, key []byte
	expires    time.Time
}

// serverKey is the key of this host's Consul server. It is made once, and never leaves the host.
func (c *courier) serverKey() (crypto.Signer, []byte, error) {
	path := c.path(fileServerKey)
	text, err := secretfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, text, err := newServerKey()
		if err != nil {
			return nil, nil, err
		}
		return key, text, secretfile.Write(path, text)
	}
	if err != nil {
		return nil, nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "%s is damaged", path)
	}
	return key, text, nil
}

// newServerKey makes the key of a Consul server, also as PEM.
func newServerKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "making the key of a Consul server")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "encoding the key of a Consul server")
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// request is this host's request for a certificate of a server of a Consul datacenter, and its signature with the agent's identity key.
// Nothing without it is said: the next pass tries again.
func (c *courier) request(uid, consulDatacenter string) (csr, signature []byte) {
	if len(c.record.CSR) == 0 {
		if err := c.makeRequest(); err != nil {
			c.log.Error("the request for this host's server certificate cannot be made", "error", err)
			return nil, nil
		}
	}
	return c.record.CSR, identity.SignServerCSR(c.self.signer(), uid, c.self.name(), c.self.datacenter(), consulDatacenter, c.record.CSR)
}

func (c *courier) makeRequest() error {
	key, _, err := c.serverKey()
	if err != nil {
		return err
	}
	// Names do not matter: the primary's agent gives those of this datacenter's servers, and no others.
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: c.self.name()}}, key)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a certificate request")
	}
	return c.save(func(r *deliveryRecord) { r.CSR = csr })
}

// certificate is this host's: the one in the bundle, or one that is signed here with the key in the bundle.
func (c *courier) certificate(b *federation.Bundle, datacenter string) (serverCertificate, error) {
	key, text, err := c.serverKey()
	if err != nil {
		return serverCertificate{}, err
	}
	if b.CAKey != "" {
		return c.ownCertificate(b, datacenter, key, text)
	}
	chain := b.Certificates[c.self.name()]
	if chain == "" {
		return serverCertificate{}, because(fault.Unavailable, reasonNoCertificate, "waiting for a bundle with a certificate for this host: the primary's agent makes it of the request that this agent has sent")
	}
	out := serverCertificate{chain: []byte(chain), key: text}
	if out.expires, err = c.checkCertificate(out.chain, b, datacenter, key); err != nil {
		return serverCertificate{}, because(fault.Refused, reasonSecret, "the bundle's certificate for this host is of no use: %s", messageOf(err))
	}
	return out, nil
}

// checkCertificate proves that Consul servers will take a certificate with this key as one of this datacenter.
func (c *courier) checkCertificate(chain []byte, b *federation.Bundle, datacenter string, key crypto.Signer) (expires time.Time, err error) {
	certificates, err := parseCertificates(chain)
	if err != nil {
		return time.Time{}, err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(b.CABundle()))
	for _, one := range certificates[1:] {
		between.AddCert(one)
	}
	leaf := certificates[0]
	if !samePublicKey(leaf.PublicKey, key.Public()) {
		return time.Time{}, fault.New(fault.Refused, "it is for another key")
	}
	names := federation.CertificateNames(datacenter, b.Domain)
	if !slices.Equal(slices.Sorted(slices.Values(leaf.DNSNames)), slices.Sorted(slices.Values(names))) {
		return time.Time{}, fault.New(fault.Refused, "it is for other names than %s", names[0])
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			return time.Time{}, fault.Wrap(fault.Refused, err, "no CA of the bundle stands for it now")
		}
	}
	return leaf.NotAfter, nil
}

// bundleCA is the CA in a bundle.
type bundleCA struct{ *federation.Bundle }

// ReadCA implements caSource.
func (b bundleCA) ReadCA(context.Context) (certificates, key []byte, err error) {
	return []byte(b.CABundle()), []byte(b.CAKey), nil
}

// ownCertificate is one that this host has signed itself: the last one, until two thirds of its life are over.
func (c *courier) ownCertificate(b *federation.Bundle, datacenter string, key crypto.Signer, keyText []byte) (serverCertificate, error) {
	path := c.path(fileServerCertificate)
	if chain, err := secretfile.Read(path); err == nil {
		expires, err := c.checkCertificate(chain, b, datacenter, key)
		if err == nil && c.now().Before(renewalOf(chain)) {
			return serverCertificate{chain: chain, key: keyText, expires: expires}, nil
		}
	}
	a, err := readAuthority(context.Background(), bundleCA{b}, c.now())
	if err != nil {
		return serverCertificate{}, err
	}
	end := c.now().Add(ownCertificateLife)
	if a.certificate.NotAfter.Before(end) {
		end = a.certificate.NotAfter
	}
	chain, err := a.issue(key.Public(), datacenter, b.Domain, c.now(), end)
	if err != nil {
		return serverCertificate{}, err
	}
	expires, err := c.checkCertificate([]byte(chain), b, datacenter, key)
	if err != nil {
		return serverCertificate{}, err
	}
	c.log.Info("signed a certificate for this host's Consul server", "expires", expires)
	return serverCertificate{chain: []byte(chain), key: keyText, expires: expires}, secretfile.Write(path, []byte(chain))
}

// renewalOf is when two thirds of a certificate's life are over.
func renewalOf(chain []byte) time.Time {
	certificates, err := parseCertificates(chain)
	if err != nil {
		return time.Time{}
	}
	leaf := certificates[0]
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
}

// subjects are the SHA-256 (hex) of the subjects of certificates, sorted.
func subjects(text []byte) ([]string, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, one := range certificates {
		out = append(out, subjectDigest(one.RawSubject))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func subjectDigest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
