package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"

	"isthmus/fault"
	"isthmus/resource"
)

// Lives of certificates.
const (
	caLife = 10 * 365 * 24 * time.Hour
	// AgentCertificateLife is short, so that refusing to renew is enough to be rid of an agent.
	AgentCertificateLife  = 24 * time.Hour
	serverCertificateLife = 30 * 24 * time.Hour
	// clockSkew is how far another machine's clock may be behind.
	clockSkew = 5 * time.Minute
)

// uriScheme of agents' names in certificates: isthmus://agent/<datacenter>/<name>.
const uriScheme = "isthmus"

// maxCSR bounds what is parsed for a stranger: a request for an Ed25519 key has some 150 bytes.
const maxCSR = 16 << 10

// serialBits is how long random serial numbers are: CA/Browser Forum asks for at least 64.
const serialBits = 127

// CA is the server's own certificate authority. It vouches for agents towards the server and for the server towards
// agents; nothing that is sealed depends on it.
type CA struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// NewCA makes one.
func NewCA(now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the CA's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "isthmus CA"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	certificate, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{certificate: certificate, key: key}, nil
}

// ParseCA reads a CA from PEM: certificate, and key in PKCS #8.
func ParseCA(certificate, key []byte) (*CA, error) {
	parsed, err := parseCertificate(string(certificate))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, fault.New(fault.Invalid, "the CA's key is not PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the CA's key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fault.New(fault.Invalid, "the CA's key cannot sign")
	}
	return &CA{certificate: parsed, key: signer}, nil
}

// CertificatePEM is the CA's certificate.
func (c *CA) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.certificate.Raw})
}

// KeyPEM is the CA's private key: a secret, to be sealed before it is stored.
func (c *CA) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the CA's key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}

// Fingerprint is what agents pin: SHA256:… of the certificate.
func (c *CA) Fingerprint() string { return CertificateFingerprint(c.certificate) }

// CertificateFingerprint is SHA256:… of a certificate, in base64 without padding.
func CertificateFingerprint(certificate *x509.Certificate) string {
	return fingerprint(certificate.Raw)
}

// Pool trusts this CA alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.certificate)
	return pool
}

// AgentName is who a client certificate names.
type AgentName struct {
	Name       string
	Datacenter string
	// Kind is agent or gateway.
	Kind string
}

// Issued is a new certificate.
type Issued struct {
	PEM     string
	Serial  string
	Expires time.Time
}

// Issue answers a CSR of an agent: 24 hours for its identity key. That the key is the agent's is for the caller to know.
func (c *CA) Issue(csr []byte, who AgentName, now time.Time) (Issued, error) {
	key, err := CSRKey(csr)
	if err != nil {
		return Issued{}, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: who.Name},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(AgentCertificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: uriScheme, Host: who.Kind, Path: "/" + who.Datacenter + "/" + who.Name}},
	}
	certificate, err := sign(template, c.certificate, key, c.key)
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		PEM:    string(pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: certificate.Raw})),
		Serial: certificate.SerialNumber.Text(16), Expires: certificate.NotAfter,
	}, nil
}

// CSRKey is the Ed25519 key of a certificate request that is signed with it.
func CSRKey(csr []byte) (ed25519.PublicKey, error) {
	bad := func() (ed25519.PublicKey, error) {
		return nil, refuse(fault.Invalid, ReasonCSRMismatch, "csr", "the certificate request is not one of an Ed25519 key, signed by it")
	}
	if len(csr) > maxCSR {
		return bad()
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || request.CheckSignature() != nil {
		return bad()
	}
	key, ok := request.PublicKey.(ed25519.PublicKey)
	if !ok {
		return bad()
	}
	return key, nil
}

// ServerCertificate makes a certificate for the server's own names and addresses, with the CA in its chain, so that agents
// which know but the fingerprint can check it.
func (c *CA) ServerCertificate(hosts []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the server's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "isthmus server"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(serverCertificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if host != "" {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	certificate, err := sign(template, c.certificate, key.Public(), c.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{
		Certificate: [][]byte{certificate.Raw, c.certificate.Raw}, PrivateKey: key, Leaf: certificate,
	}, nil
}

func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != pemCertificate {
		return nil, fault.New(fault.Invalid, "there is no certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing a certificate: %w", err)
	}
	return certificate, nil
}

// AgentFromCertificate reads who a certificate names, without checking it.
func AgentFromCertificate(certificate *x509.Certificate) (AgentName, error) {
	bad := refuse(fault.Unauthenticated, ReasonBadCertificate, "certificate", "the certificate names no agent")
	if len(certificate.URIs) != 1 {
		return AgentName{}, bad
	}
	uri := certificate.URIs[0]
	parts := strings.Split(strings.TrimPrefix(uri.Path, "/"), "/")
	known := uri.Host == KindAgent || uri.Host == KindGateway
	if uri.Scheme != uriScheme || !known || len(parts) != 2 || !resource.ValidName(parts[0]) || !resource.ValidName(parts[1]) {
		return AgentName{}, bad
	}
	return AgentName{Kind: uri.Host, Datacenter: parts[0], Name: parts[1]}, nil
}

// Client is what a client certificate says, whose chain is good: all that may still change is whether it is good now.
type Client struct {
	AgentName
	Key                 ed25519.PublicKey
	NotBefore, NotAfter time.Time
}

// VerifyClient checks a client certificate apart from time; see Client.At. It costs a verified signature, and its outcome does not change.
func VerifyClient(leaf *x509.Certificate, pool *x509.CertPool) (*Client, error) {
	bad := func() error {
		return refuse(fault.Unauthenticated, ReasonBadCertificate, "certificate", "the certificate was not issued by this server")
	}
	// The chain is checked at a moment inside of the certificate's life: what is wrong apart from time must show first.
	if err := verifyChain(leaf, pool, leaf.NotBefore, x509.ExtKeyUsageClientAuth); err != nil {
		return nil, bad()
	}
	who, err := AgentFromCertificate(leaf)
	if err != nil {
		return nil, err
	}
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, bad()
	}
	return &Client{AgentName: who, Key: bytes.Clone(key), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}, nil
}

// At tells whether a certificate has ended: it may still be renewed within the window. After that, and before it begins, the error says why
// it is not good.
func (c *Client) At(now time.Time, window time.Duration) (expired bool, err error) {
	switch {
	case now.Before(c.NotBefore):
		return false, refuse(fault.Unauthenticated, ReasonBadCertificate, "certificate",
			"the certificate of %s begins at %s: a clock is wrong", c.Name, c.NotBefore.Format(time.RFC3339))
	case !now.Before(c.NotAfter.Add(window)):
		return true, refuse(fault.Unauthenticated, ReasonCertificateTooOld, "certificate",
			"the certificate of %s ended at %s, too long ago to be renewed: enrol again with another join token, in an empty data directory",
			c.Name, c.NotAfter.Format(time.RFC3339))
	}
	return now.After(c.NotAfter), nil
}

func verifyChain(leaf *x509.Certificate, pool *x509.CertPool, at time.Time, usage x509.ExtKeyUsage) error {
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// PinnedTLS is a client's TLS configuration for a server of which but the CA's fingerprint is known: the server shows its
// CA, which must have that fingerprint, and its own certificate must chain to it and be for serverName.
func PinnedTLS(caFingerprint, serverName string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: serverName,
		// Chain and name are checked below, against the pin in place of the system's roots.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection checks more than the default would
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, caFingerprint, serverName, now())
		},
	}
}

func verifyPinned(chain []*x509.Certificate, caFingerprint, serverName string, now time.Time) error {
	unknown := func(format string, args ...any) error {
		return refuse(fault.Denied, ReasonUnknownServer, "server", format, args...)
	}
	if len(chain) == 0 {
		return unknown("the server shows no certificate")
	}
	root := chain[len(chain)-1]
	if got := CertificateFingerprint(root); got != caFingerprint {
		return unknown("the server's CA has the fingerprint %s, but %s was pinned: this is another server, or somebody in between", got, caFingerprint)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	options := x509.VerifyOptions{
		Roots: pool, Intermediates: intermediates, DNSName: serverName, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, err := chain[0].Verify(options); err != nil {
		return unknown("the server's certificate is not good for %s: %v", serverName, err)
	}
	return nil
}
