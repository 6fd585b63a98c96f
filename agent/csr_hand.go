package agent

import (
	"context"
	"time"

	"isthmus/fault"
	"isthmus/federation"
)

// HandCertificate makes key and certificate (PEM) of a Consul server in a datacenter without an agent, with the CA key in its bundle: what
// an agent does on its host, but that nobody renews it. It is good for a year. Refused when the bundle has no CA key.
func HandCertificate(ctx context.Context, b *federation.Bundle, now time.Time) (chain, key []byte, expires time.Time, err error) {
	if b.CAKey == "" {
		return nil, nil, time.Time{}, fault.New(fault.Refused, "the federation is keyless: the bundle has no key that signs certificates")
	}
	a, err := readAuthority(ctx, bundleCA{b}, now)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	signer, key, err := newServerKey()
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	expires = now.Add(ownCertificateLife)
	if a.certificate.NotAfter.Before(expires) {
		expires = a.certificate.NotAfter
	}
	text, err := a.issue(signer.Public(), b.Datacenter, b.Domain, now, expires)
	return []byte(text), key, expires, err
}
