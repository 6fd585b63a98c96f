package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"isthmus/fault"
	"isthmus/federation"
)

// Flags of the agent that messages name.
const (
	flagCACert         = "--consul-ca-cert"
	flagCAKey          = "--consul-ca-key"
	flagAllowRecipient = "--allow-bundle-recipient"
)

const (
	// serverCertificateLife is how long a server's certificate is good that the primary's agent issues: nobody revokes it.
	serverCertificateLife = 30 * 24 * time.Hour
	// certificateSkew is how far two hosts' clocks may be apart.
	certificateSkew = 5 * time.Minute
	// minRSABits is what Consul's own TLS accepts at least.
	minRSABits = 2048
	// maxPEM is far beyond any CA; it keeps a wrong path out of memory.
	maxPEM = 1 << 20
)

// caSource is where the CA of the Consul servers' certificates is. Consul's API gives neither its certificate nor its key.
type caSource interface {
	// ReadCA gives certificates and key as PEM. Refused with what is to be done about it when it cannot be read.
	ReadCA(ctx context.Context) (certificates, key []byte, err error)
}

// caFiles are the files that the agent's flags name.
type caFiles struct{ cert, key string }

// ReadCA implements caSource.
func (c caFiles) ReadCA(context.Context) (certificates, key []byte, err error) {
	if certificates, err = readPEM(c.cert, "certificate", flagCACert); err != nil {
		return nil, nil, err
	}
	key, err = readPEM(c.key, "key", flagCAKey)
	return certificates, key, err
}

func readPEM(path, what, option string) ([]byte, error) {
	if path == "" {
		return nil, because(fault.Refused, reasonCA, "the agent of the primary needs the %s of the CA of its servers' certificates, which Consul's API does not give: start it with %s", what, option)
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxPEM {
		return nil, because(fault.Refused, reasonCA, "the CA %s %s is larger than any can be: %s names another file", what, path, option)
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, because(fault.Refused, reasonCA, "the CA %s %s is not there: put it there, or name another file with %s", what, path, option)
	case errors.Is(err, fs.ErrPermission):
		return nil, because(fault.Refused, reasonCA, "the CA %s %s cannot be read: let the agent's user read it", what, path)
	case err != nil:
		return nil, because(fault.Refused, reasonCA, "the CA %s %s cannot be read: see the agent's log", what, path)
	}
	return text, nil
}

// authoritySource is the Kubernetes cluster where the agent looks after one, and the files of its flags otherwise.
func (r *reconciler) authoritySource() caSource {
	if source, ok := r.host.(caSource); ok {
		return source
	}
	return caFiles{cert: r.federation.CACertFile, key: r.federation.CAKeyFile}
}

// authority is the CA of the servers' certificates, with its key.
type authority struct {
	certificate *x509.Certificate
	signer      crypto.Signer
	// certificates are all that were in the source (PEM, one each), the one that the key belongs to first; key is PEM.
	certificates []string
	key          []byte
}

// readAuthority reads the CA and checks that it is one, that it is good now, and that the key is its.
func readAuthority(ctx context.Context, source caSource, now time.Time) (*authority, error) {
	certificates, key, err := source.ReadCA(ctx)
	if err != nil {
		return nil, because(fault.CodeOf(err), reasonCA, "%s", messageOf(err))
	}
	signer, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	all, err := parseCertificates(certificates)
	if err != nil {
		return nil, err
	}
	a := &authority{signer: signer, key: bytes.TrimSpace(key)}
	for _, c := range all {
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		if a.certificate == nil && samePublicKey(c.PublicKey, signer.Public()) {
			a.certificate, a.certificates = c, append([]string{text}, a.certificates...)
			continue
		}
		a.certificates = append(a.certificates, text)
	}
	switch c := a.certificate; {
	case c == nil:
		return nil, because(fault.Refused, reasonCA, "the CA's key does not belong to the CA's certificate: name the two files, or keys of secrets, that were made together")
	case !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, because(fault.Refused, reasonCA, "the certificate of %s is not a CA's: name the file that Consul's servers have as ca_file", c.Subject.CommonName)
	case now.After(c.NotAfter):
		return nil, because(fault.Refused, reasonCA, "the CA %s expired on %s: renew it first", c.Subject.CommonName, c.NotAfter.Format(time.DateOnly))
	case now.Add(certificateSkew).Before(c.NotBefore):
		return nil, because(fault.Refused, reasonCA, "the CA %s is good from %s only: a clock is wrong", c.Subject.CommonName, c.NotBefore.Format(time.RFC3339))
	}
	return a, nil
}

func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, because(fault.Refused, reasonCA, "the CA's certificate is not one that can be read: it is to be PEM")
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, because(fault.Refused, reasonCA, "there is no certificate where the CA's should be: it is to be PEM")
	}
	return out, nil
}

// parseKey reads a private key as consul tls ca create writes it (SEC 1), or in PKCS #8 or #1. No error holds any part of it.
func parseKey(text []byte) (crypto.Signer, error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, because(fault.Refused, reasonCA, "there is no private key where the CA's should be: it is to be PEM, and not encrypted")
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface {
		Equal(other crypto.PublicKey) bool
	})
	return ok && key.Equal(b)
}

// requestedKey is the key of a certificate request that is signed with it. Whatever else the request says is not looked at.
func requestedKey(csr []byte) (crypto.PublicKey, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, because(fault.Denied, reasonRequest, "it is not a certificate request that is signed with its own key")
	}
	switch key := request.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return key, nil
	case ed25519.PublicKey:
		return key, nil
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			return key, nil
		}
	}
	return nil, because(fault.Denied, reasonRequest, "it asks for a certificate for a key that is too weak or of an unknown kind: ECDSA, Ed25519 and RSA from %d bits are taken", minRSABits)
}

// issue makes the certificate (PEM, with the CA's own when that is not a root) of a Consul server of one datacenter, for exactly its names and
// 127.0.0.1, until end or the CA's own.
func (a *authority) issue(key crypto.PublicKey, consulDatacenter, domain string, now, end time.Time) (string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "making a serial number")
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: federation.ServerName(consulDatacenter, domain)},
		DNSNames: federation.CertificateNames(consulDatacenter, domain), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-certificateSkew), NotAfter: end,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key, a.signer)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "signing a server's certificate")
	}
	if err := a.verify(der, now); err != nil {
		return "", because(fault.Refused, reasonCA, "a certificate of CA %s for servers of %s would not be believed (%s): does the CA allow these names?", a.certificate.Subject.CommonName, consulDatacenter, err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if !bytes.Equal(a.certificate.RawIssuer, a.certificate.RawSubject) {
		chain = append(chain, a.certificates[0]...)
	}
	return string(chain), nil
}

// verify checks a certificate as servers would: the CA may have constraints that the names break.
func (a *authority) verify(der []byte, now time.Time) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what it means
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err //nolint:wrapcheck // the caller says what it means
}

// certificatesEnd is when certificates end that are issued now.
func (a *authority) certificatesEnd(now time.Time) time.Time {
	end := now.Add(serverCertificateLife)
	if a.certificate.NotAfter.Before(end) {
		end = a.certificate.NotAfter
	}
	return end.UTC().Truncate(time.Second)
}
