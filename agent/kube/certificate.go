package kube

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// serves tells that the certificate that is there will do as well as the wanted one. The two agents of a datacenter have a key and a
// certificate each, and one Secret to put them in: the first one's stays until it has lived two thirds of its life, so that they do
// not take turns.
func serves(cert, key, wanted, ca []byte, now time.Time) bool {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false
	}
	leaf, other := pair.Leaf, leafOf(wanted)
	if leaf == nil || other == nil {
		return false
	}
	if leaf.NotAfter.Sub(now) <= leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		return false
	}
	for _, name := range other.DNSNames {
		if !slices.Contains(leaf.DNSNames, name) {
			return false
		}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return false
	}
	between.AppendCertsFromPEM(cert)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err == nil
}

// leafOf is the first certificate of a chain, nil without one.
func leafOf(chain []byte) *x509.Certificate {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return leaf
}
