package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit bounds one try. Two gateways between continents answer within a second.
const limit = 5 * time.Second

// Reasons why something was not reached, fit for a report.
const (
	ReasonRefused          = "ConnectionRefused"
	ReasonTimeout          = "Timeout"
	ReasonUnreachable      = "Unreachable"
	ReasonDNS              = "DNS"
	ReasonNoRoute          = "NoRoute"
	ReasonNotTLS           = "NotTLS"
	ReasonWrongCertificate = "WrongCertificate"
	// ReasonUpstream: a gateway answers, and the server behind it does not.
	ReasonUpstream = "NoServerBehindGateway"
	// ReasonHandshake: the other end ended the handshake for another reason, which the message tells.
	ReasonHandshake = "HandshakeRefused"
	// ReasonInvalid: it cannot be tried at all, since the address is none.
	ReasonInvalid = "InvalidAddress"
)

// Result is what came of one try.
type Result struct {
	OK bool
	// Latency is how long it took, from before the connection until the certificate (of a URL: the answer) was there.
	Latency time.Duration
	// Reason is one of the words above, Message a sentence; both empty when OK.
	Reason, Message string
}

func failed(reason, format string, args ...any) Result {
	return Result{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Gateway tries to reach a server through address (host:port), which is a gateway that routes by SNI, or the server itself. The
// certificate that comes must have serverName. Without a serverName, being connected is enough.
func Gateway(ctx context.Context, address, serverName, alpn string) Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, _, err := net.SplitHostPort(address); err != nil {
		return failed(ReasonInvalid, "%q is not host:port", address)
	}
	start := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return dialFailure(address, err)
	}
	defer conn.Close()
	if serverName == "" {
		return Result{OK: true, Latency: time.Since(start)}
	}
	var took time.Duration
	seen, err := shake(ctx, conn, serverName, alpn, func() { took = time.Since(start) })
	switch {
	case seen.leaf == nil:
		return handshakeFailure(address, serverName, err)
	case seen.leaf.VerifyHostname(serverName) != nil:
		return failed(ReasonWrongCertificate, "%s leads to a server whose certificate is for %s, not for %s", address, namesText(seen.leaf), serverName)
	}
	return Result{OK: true, Latency: took}
}

// sight is what a server showed before it could know who asks.
type sight struct {
	leaf *x509.Certificate
	// authorities are the subjects (DER) of the CAs whose certificates it takes.
	authorities [][]byte
}

// errSeen ends a handshake of which everything was seen.
var errSeen = errors.New("seen")

// shake begins a TLS handshake and ends it when all that a server shows to anybody was seen. arrived is called when its certificate is
// there. err is never nil.
func shake(ctx context.Context, conn net.Conn, serverName, alpn string, arrived func()) (seen sight, err error) {
	config := &tls.Config{
		ServerName: serverName, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // names are checked by the callers; nothing is sent
		VerifyConnection: func(s tls.ConnectionState) error {
			seen.leaf = s.PeerCertificates[0]
			arrived()
			return nil
		},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.authorities = r.AcceptableCAs
			return nil, errSeen
		},
	}
	if alpn != "" {
		config.NextProtos = []string{alpn}
	}
	session := tls.Client(conn, config)
	if err = session.HandshakeContext(ctx); err == nil {
		err = errSeen // it wants no client certificate: say goodbye, so that it has nothing to complain of
		_ = session.Close()
	}
	return seen, err
}

func dialFailure(address string, err error) Result {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return failed(ReasonDNS, "the name in %s cannot be resolved: %s", address, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed(ReasonRefused, "nothing listens at %s: it refuses connections", address)
	case isTimeout(err):
		return failed(ReasonTimeout, "%s does not answer: a firewall drops it, or nobody has that address", address)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failed(ReasonUnreachable, "there is no way from here to %s", address)
	}
	return failed(ReasonUnreachable, "cannot connect to %s: %s", address, plain(err))
}

// handshakeFailure is why no certificate came.
func handshakeFailure(address, serverName string, err error) Result {
	var record tls.RecordHeaderError
	alert := alertOf(err)
	switch {
	case errors.As(err, &record):
		return failed(ReasonNotTLS, "what answers at %s does not speak TLS: it is no mesh gateway", address)
	case isTimeout(err):
		return failed(ReasonTimeout, "%s takes the connection, but no certificate of %s comes", address, serverName)
	case alert == "tls: internal error":
		return failed(ReasonUpstream, "%s knows the way to %s, and no server answers there: is its Consul up?", address, serverName)
	case isClosed(err), alert == "tls: unrecognized name":
		return failed(ReasonNoRoute, "%s has no route to %s: it closes the connection before a certificate comes", address, serverName)
	}
	return failed(ReasonHandshake, "%s does not go through with the handshake for %s: %s", address, serverName, plain(err))
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &timeout) && timeout.Timeout()
}

// alertOf is the alert with which the other end ended a handshake, in the words of crypto/tls, which has no other form of it.
func alertOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error()
	}
	return ""
}

// isClosed tells that the other end went away without a word.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// plain is an error's text without the addresses and ports of this end, which are others each time.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

// maxNames and maxName bound what a stranger's certificate can put into a message.
const (
	maxNames = 4
	maxName  = 80
)

// Names are the DNS names and addresses that a certificate is for, sorted.
func Names(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func namesText(c *x509.Certificate) string {
	names := Names(c)
	if len(names) == 0 {
		return "no name"
	}
	more := ""
	if len(names) > maxNames {
		more = fmt.Sprintf(" and %d more", len(names)-maxNames)
		names = names[:maxNames]
	}
	for i, n := range names {
		names[i] = strings.ToValidUTF8(n[:min(len(n), maxName)], "")
	}
	return strings.Join(names, ", ") + more
}
