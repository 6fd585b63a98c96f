package agent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/agent"
)

// serverCA is a CA of Consul servers' certificates, in files as consul tls ca create leaves them.
type serverCA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	cert, keyAt string
}

func newServerCA(t *testing.T, now time.Time, life time.Duration, change func(*x509.Certificate)) *serverCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	need(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Consul Agent CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	need(t, err)
	ca := &serverCA{key: key}
	ca.certificate, err = x509.ParseCertificate(der)
	need(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	need(t, err)
	dir := t.TempDir()
	ca.cert, ca.keyAt = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	need(t, os.WriteFile(ca.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	need(t, os.WriteFile(ca.keyAt, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	return ca
}

func (ca *serverCA) config() agent.FederationConfig {
	return agent.FederationConfig{CACertFile: ca.cert, CAKeyFile: ca.keyAt}
}

func (ca *serverCA) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(ca.cert)
	need(t, err)
	return string(text)
}
