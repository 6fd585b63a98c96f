package consulrun

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"isthmus/fault"
)

// certificateLife is longer than any demo or test runs.
const certificateLife = 365 * 24 * time.Hour

// authority signs servers' certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// renewCertificates makes the server's certificate, and a new CA for it unless it has that of another server.
func (s *Server) renewCertificates() error {
	var (
		ca  *authority
		err error
	)
	switch {
	case s.options.Join != nil:
		ca, err = s.adopt(s.options.Join)
	case s.options.CA != nil:
		ca, err = s.adopt(s.options.CA)
	default:
		ca, err = s.newAuthority()
	}
	if err != nil {
		return err
	}
	return s.issue(ca, Certificate{})
}

// Certificate is what a server's certificate is like.
type Certificate struct {
	// Names that it is for. Default: any server of the datacenter, each by its node's name, and localhost.
	Names []string
	// Life is how long it is good from now on. Default: for longer than any demo or test runs.
	Life time.Duration
}

// Recertify makes the server another certificate of its CA. Consul takes it with the reload command, or the next start.
func (s *Server) Recertify(c Certificate) error {
	ca, err := s.adopt(s)
	if err != nil {
		return err
	}
	return s.issue(ca, c)
}

// newAuthority makes a CA and writes it to disk.
func (s *Server) newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making a CA key")
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "Consul CA of " + s.Datacenter},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making a CA")
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the CA that was made")
	}
	if err := writePair(s.CAFile, der, s.CAKeyFile, key); err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

// adopt reads another server's CA and copies it.
func (s *Server) adopt(other *Server) (*authority, error) {
	certificate, err := os.ReadFile(other.CAFile)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the CA of %s", other.Datacenter)
	}
	keyText, err := os.ReadFile(other.CAKeyFile)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the CA key of %s", other.Datacenter)
	}
	certBlock, _ := pem.Decode(certificate)
	keyBlock, _ := pem.Decode(keyText)
	if certBlock == nil || keyBlock == nil {
		return nil, fault.New(fault.Internal, "the CA of %s is not in PEM", other.Datacenter)
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "parsing the CA of %s", other.Datacenter)
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "parsing the CA key of %s", other.Datacenter)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Internal, "the CA key of %s is none of ours", other.Datacenter)
	}
	if err := writePair(s.CAFile, parsed.Raw, s.CAKeyFile, signer); err != nil {
		return nil, err
	}
	return &authority{certificate: parsed, key: signer}, nil
}

// issue makes the server's certificate. Servers of other datacenters ask for it by the node's name.
func (s *Server) issue(ca *authority, c Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a server key")
	}
	now := time.Now()
	anyServer := "server." + s.Datacenter + ".consul"
	if len(c.Names) == 0 {
		c.Names = []string{anyServer, "*." + anyServer, "localhost"}
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: anyServer},
		DNSNames:     c.Names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(cmp.Or(c.Life, certificateLife)),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a server certificate")
	}
	return writePair(s.certFile(), der, s.keyFile(), key)
}

// writePair writes a certificate and its key as PEM.
func writePair(certFile string, certificate []byte, keyFile string, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding a key")
	}
	if err := writeSecret(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})); err != nil {
		return err
	}
	return writeSecret(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
