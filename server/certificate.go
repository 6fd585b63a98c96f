package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/identity"
)

// certificateCheck is how often certificates are looked at: changed files, an own one that nears its end.
const certificateCheck = time.Minute

// certificate is a server certificate that changes while the server runs.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
	// renew makes the next one; nil, nil when the present one is good.
	renew func(present *tls.Certificate) (*tls.Certificate, error)
	log   hclog.Logger
}

func newCertificate(renew func(*tls.Certificate) (*tls.Certificate, error), log hclog.Logger) (*certificate, error) {
	c := &certificate{renew: renew, log: log}
	first, err := renew(nil)
	if err != nil {
		return nil, err
	}
	c.current.Store(first)
	return c, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// run renews until ctx ends. What fails is tried again: the present one serves on.
func (c *certificate) run(ctx context.Context) error {
	ticker := time.NewTicker(certificateCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		next, err := c.renew(c.current.Load())
		if err != nil {
			c.log.Error("cannot renew a server certificate", "error", err)
			continue
		}
		if next != nil {
			c.current.Store(next)
			c.log.Info("took another server certificate", "expires", next.Leaf.NotAfter)
		}
	}
}

// ownCertificate is issued by the server's own CA and renewed at two thirds of its life.
func ownCertificate(ca *identity.CA, hosts []string, now func() time.Time) func(*tls.Certificate) (*tls.Certificate, error) {
	return func(present *tls.Certificate) (*tls.Certificate, error) {
		if present != nil {
			life := present.Leaf.NotAfter.Sub(present.Leaf.NotBefore)
			if now().Before(present.Leaf.NotBefore.Add(life * 2 / 3)) {
				return nil, nil
			}
		}
		next, err := ca.ServerCertificate(hosts, now())
		return &next, err
	}
}

// fileCertificate is read from files whenever one of them changes.
func fileCertificate(certFile, keyFile string) func(*tls.Certificate) (*tls.Certificate, error) {
	var last [2]time.Time
	return func(*tls.Certificate) (*tls.Certificate, error) {
		var seen [2]time.Time
		for i, path := range []string{certFile, keyFile} {
			info, err := os.Stat(path)
			if err != nil {
				return nil, fault.Wrap(fault.Invalid, err, "the certificate cannot be read")
			}
			seen[i] = info.ModTime()
		}
		if seen == last {
			return nil, nil
		}
		next, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			// The error may quote nothing of the key; it says what does not fit.
			return nil, fault.Wrap(fault.Invalid, err, "the certificate in %s and the key in %s cannot be used", certFile, keyFile)
		}
		if next.Leaf == nil {
			if next.Leaf, err = x509.ParseCertificate(next.Certificate[0]); err != nil {
				return nil, fault.Wrap(fault.Invalid, err, "the certificate in %s does not parse", certFile)
			}
		}
		last = seen
		return &next, nil
	}
}

// rootFingerprint is what agents pin of a certificate: its chain ends with the root.
func rootFingerprint(c *tls.Certificate) (string, error) {
	root, err := x509.ParseCertificate(c.Certificate[len(c.Certificate)-1])
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the last certificate of the gRPC certificate's file does not parse")
	}
	return identity.CertificateFingerprint(root), nil
}

// grpcHosts are the names and addresses that the server's own certificate carries.
func grpcHosts(c Config, listening net.Addr) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	add := func(address string) {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			hosts = append(hosts, host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	add(c.GRPCAddr)
	add(listening.String())
	add(c.GRPCAdvertise)
	hosts = append(hosts, c.GRPCHosts...)
	slices.Sort(hosts)
	return slices.DeleteFunc(slices.Compact(hosts), func(h string) bool { return h == "0.0.0.0" || h == "::" })
}

func serverTLS(c *certificate, clients tls.ClientAuthType) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, ClientAuth: clients}
}
