package gateway_test

import (
	"bytes"
	"context"
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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/gateway"
)

// patience bounds what a test waits for. Nothing is asserted about how long things take.
const patience = 30 * time.Second

// running is a gateway that serves.
type running struct {
	*gateway.Gateway
	logs *logs
	stop context.CancelFunc
	// done gives Run's result, once.
	done chan error
}

func start(t testing.TB, config gateway.Config, table *gateway.Table) *running {
	t.Helper()
	r := &running{logs: &logs{}, done: make(chan error, 1)}
	config.Listen = "127.0.0.1:0"
	config.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: r.logs})
	if config.DrainTimeout == 0 {
		config.DrainTimeout = time.Millisecond
	}
	g, err := gateway.New(t.Context(), config, table)
	if err != nil {
		t.Fatal(err)
	}
	r.Gateway = g
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- g.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		select {
		case err := <-r.done:
			if err != nil {
				t.Error(err)
			}
		default: // the test has looked at it
		}
		if open := g.Open(); open != 0 {
			t.Errorf("%d connections are left", open)
		}
	})
	return r
}

// metric is the value of one series, 0 when there is none.
func (r *running) metric(t testing.TB, series string) float64 {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// refused waits until that many connections were refused or cut for a reason.
func (r *running) refused(t testing.TB, route string, reason gateway.Reason, n float64) {
	t.Helper()
	series := `isthmus_gateway_errors_total{reason="` + string(reason) + `",route="` + route + `"}`
	eventually(t, func() bool { return r.metric(t, series) == n }, "%v × %s; logs:\n%s", n, series, r.logs)
}

// eventually polls until something is so.
func eventually(t testing.TB, so func() bool, format string, args ...any) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("still not so: "+format, args...)
		case <-tick.C:
		}
	}
}

// logs can be read while they are written.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// dial connects to an address; everything on the connection ends after patience.
func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// upstream serves plain TCP and gives its address. The gateway does not mind what comes after the ClientHello.
func upstream(t testing.TB, serve func(conn *net.TCPConn)) string {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			wait.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	return listener.Addr().String()
}

// nowhere is an address where nobody listens.
func nowhere(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// echo sends everything back. io.Copy between two TCP connections would splice, and hold a pipe all the time.
func echo(conn *net.TCPConn) {
	_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
	_ = conn.CloseWrite()
}

// tlsEcho is a TLS server that sends everything back.
func tlsEcho(t testing.TB, name string) (address string, roots *x509.CertPool) {
	t.Helper()
	certificate, roots := certificate(t, name)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"consul/rpc-multi"}, MinVersion: tls.VersionTLS12}
	return upstream(t, func(conn *net.TCPConn) {
		server := tls.Server(conn, config)
		_, _ = io.Copy(server, server)
		_ = server.Close()
	}), roots
}

func certificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// roundTrip sends a text and expects it back.
func roundTrip(t testing.TB, conn io.ReadWriter, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("%q, %v", got, err)
	}
}

// ended expects that nothing more comes.
func ended(t testing.TB, conn net.Conn) {
	t.Helper()
	if n, err := io.Copy(io.Discard, conn); n != 0 || isTimeout(err) {
		t.Fatalf("%d bytes more, %v", n, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // net's own errors come as they are.
	return ok && timeout.Timeout()
}
