package probe_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/agent/probe"
	"isthmus/test/consultest"
)

const (
	name = "server.dc2.consul"
	alpn = "consul/rpc-multi"
)

// certificate is one of these names under a CA of its own.
func certificate(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour).Truncate(time.Second),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// mutual is the configuration of a server like Consul's, which wants a client certificate.
func mutual(t *testing.T, names ...string) *tls.Config {
	t.Helper()
	c := certificate(t, names...)
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{c}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{alpn},
		MinVersion: tls.VersionTLS12,
	}
}

// listen answers each connection in a goroutine of its own, and closes it after.
func listen(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				answer(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func shake(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) { _ = tls.Server(conn, config).Handshake() } //nolint:noctx // it ends with the connection
}

func TestGatewayIsReached(t *testing.T) {
	t.Parallel()
	for title, edit := range map[string]func(*tls.Config){
		"wants a client certificate": func(*tls.Config) {},
		"wants none":                 func(c *tls.Config) { c.ClientAuth = tls.NoClientCert },
		"TLS 1.2":                    func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"any name below":             func(c *tls.Config) { c.Certificates = []tls.Certificate{certificate(t, "*.dc2.consul")} },
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			config := mutual(t, name, "*."+name)
			edit(config)
			var sni string
			config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				sni = hello.ServerName + " " + strings.Join(hello.SupportedProtos, ",")
				return nil, nil //nolint:nilnil // the configuration stays
			}
			r := probe.Gateway(t.Context(), listen(t, shake(config)), name, alpn)
			if !r.OK || r.Reason != "" || r.Message != "" || r.Latency <= 0 {
				t.Errorf("got %+v", r)
			}
			if sni != name+" "+alpn {
				t.Errorf("the server was asked for %q", sni)
			}
		})
	}
}

// A gateway that carries nothing but calls of services has no certificate for whoever has none of the mesh.
func TestAddressIsReached(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) { _ = c.Close() })
	if r := probe.Gateway(t.Context(), address, "", ""); !r.OK || r.Latency <= 0 {
		t.Errorf("got %+v", r)
	}
	if r := probe.Gateway(t.Context(), "127.0.0.1:1", "", ""); r.OK || r.Reason != probe.ReasonRefused {
		t.Errorf("nobody listens: got %+v", r)
	}
}

func TestGatewayIsNotReached(t *testing.T) {
	t.Parallel()
	unheard, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := unheard.Addr().String()
	if err := unheard.Close(); err != nil {
		t.Fatal(err)
	}
	many := mutual(t, "a.example", "b.example", "c.example", "d.example", "e.example", "f.example")
	unrecognized := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }} //nolint:nilnil // no certificate: unrecognized_name
	for _, c := range []struct{ title, address, reason, says string }{
		{"nothing listens", refused, probe.ReasonRefused, "refuses"},
		{"closed after the hello", listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }), probe.ReasonNoRoute, "has no route to " + name},
		{"closed at once", listen(t, func(net.Conn) {}), probe.ReasonNoRoute, "has no route"},
		{"unrecognized name", listen(t, shake(unrecognized)), probe.ReasonNoRoute, "has no route"},
		{"nobody behind the gateway", listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<14)); _, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 80}) }), probe.ReasonUpstream, "no server answers there"},
		{"other protocol", listen(t, shake(&tls.Config{Certificates: many.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})), probe.ReasonHandshake, "no application protocol"},
		{"plain HTTP", listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }), probe.ReasonNotTLS, "does not speak TLS"},
		{"another datacenter", listen(t, shake(mutual(t, "server.dc3.consul", "localhost"))), probe.ReasonWrongCertificate, "is for localhost, server.dc3.consul, not for " + name},
		{"many names", listen(t, shake(many)), probe.ReasonWrongCertificate, "d.example and 2 more"},
		{"no port", "127.0.0.1", probe.ReasonInvalid, "host:port"},
		{"no such name", "gateway.invalid:8443", probe.ReasonDNS, "cannot be resolved"},
	} {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			r := probe.Gateway(t.Context(), c.address, name, alpn)
			if r.OK || r.Reason != c.reason || !strings.Contains(r.Message, c.says) {
				t.Errorf("got %+v; expected %s with %q", r, c.reason, c.says)
			}
		})
	}
}

func TestGatewayIsSilent(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	r := probe.Gateway(t.Context(), listen(t, func(net.Conn) { <-done }), name, alpn)
	if r.OK || r.Reason != probe.ReasonTimeout || !strings.Contains(r.Message, "takes the connection") {
		t.Errorf("got %+v", r)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	secure, open := httptest.NewTLSServer(answer), httptest.NewServer(answer)
	t.Cleanup(secure.Close)
	t.Cleanup(open.Close)
	for _, c := range []struct{ title, url, reason string }{
		{"any answer will do", secure.URL, ""},
		{"plain HTTP behind it", strings.Replace(open.URL, "http:", "https:", 1), probe.ReasonNotTLS},
		{"closes", "https://" + listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }), probe.ReasonHandshake},
		{"not https", open.URL, probe.ReasonInvalid},
		{"with a password", "https://me:secret@127.0.0.1:1/", probe.ReasonInvalid},
		{"nonsense", "https://[", probe.ReasonInvalid},
		{"no such name", "https://api.invalid:6443", probe.ReasonDNS},
	} {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			r := probe.URL(t.Context(), c.url)
			if r.OK != (c.reason == "") || r.Reason != c.reason || strings.Contains(r.Message, "secret") {
				t.Errorf("got %+v; expected %q", r, c.reason)
			}
		})
	}
}

func TestServerThatKnowsTLSByItsFirstByte(t *testing.T) {
	t.Parallel()
	config := mutual(t, name, "localhost")
	address := listen(t, func(conn net.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(conn, first); err == nil && first[0] == 3 {
			shake(config)(conn)
		}
	})
	names, expires, cas, err := probe.Server(t.Context(), address, name)
	leaf := config.Certificates[0].Leaf
	if err != nil || !slices.Equal(names, []string{"localhost", name}) || !expires.Equal(leaf.NotAfter) {
		t.Errorf("got %v, %v, %v", names, expires, err)
	}
	if len(cas) != 1 || !bytes.Equal(cas[0], leaf.RawSubject) {
		t.Errorf("got %d CAs; expected the subject of its own", len(cas))
	}
}

func TestServerIsAway(t *testing.T) {
	t.Parallel()
	if _, _, _, err := probe.Server(t.Context(), listen(t, func(net.Conn) {}), name); err == nil || !strings.Contains(err.Error(), "before a certificate") {
		t.Errorf("got %v", err)
	}
}

func TestRealConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "east")
	var self struct {
		DebugConfig struct{ ServerPort int }
	}
	c.Do(http.MethodGet, "/v1/agent/self", nil, &self)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(self.DebugConfig.ServerPort))
	quiet, until, err := probe.Certificate(t.Context(), address, "server.east.consul")
	if err != nil || !slices.Contains(quiet, "server.east.consul") || time.Until(until) < time.Hour {
		t.Errorf("got %v, %v, %v", quiet, until, err)
	}
	if log, err := os.ReadFile(c.LogFile); err != nil || bytes.Contains(log, []byte("agent.server.rpc")) {
		t.Errorf("Consul complains (%v): %s", err, log)
	}
	if r := probe.Gateway(t.Context(), address, "server.east.consul", alpn); !r.OK {
		t.Errorf("got %+v", r)
	}
	if r := probe.Gateway(t.Context(), address, "server.west.consul", alpn); r.Reason != probe.ReasonWrongCertificate || !strings.Contains(r.Message, "server.east.consul") {
		t.Errorf("got %+v", r)
	}
	names, expires, cas, err := probe.Server(t.Context(), address, "server.east.consul")
	if err != nil || !slices.Contains(names, "server.east.consul") || !slices.Contains(names, "localhost") || time.Until(expires) < time.Hour {
		t.Errorf("got %v, %v, %v", names, expires, err)
	}
	// That is what the quiet look is for; and the line above looks for the right word.
	if log, err := os.ReadFile(c.LogFile); err != nil || !bytes.Contains(log, []byte("agent.server.rpc: TLS handshake failed")) {
		t.Errorf("expected that Consul complains of the others (%v)", err)
	}
	text, err := os.ReadFile(filepath.Clean(c.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	ca := parse(t, text)
	if len(cas) != 1 || !bytes.Equal(cas[0], ca.RawSubject) {
		t.Errorf("got %d CAs; expected the subject of the one in its ca_file", len(cas))
	}
}
