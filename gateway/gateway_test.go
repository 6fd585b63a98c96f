package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
)

const name = "s1.server.dc1.consul"

// slow sends what the handshake writes in pieces of a few bytes, each in a segment of its own.
type slow struct {
	*net.TCPConn
	piece int
}

func (s slow) Write(b []byte) (int, error) {
	for sent := 0; sent < len(b); {
		n, err := s.TCPConn.Write(b[sent:min(len(b), sent+s.piece)])
		if err != nil {
			return sent, err
		}
		sent += n
	}
	return len(b), nil
}

// fragmented puts the ClientHello into small records.
type fragmented struct {
	*net.TCPConn
	done *bool
}

func (f fragmented) Write(b []byte) (int, error) {
	if *f.done {
		return f.TCPConn.Write(b)
	}
	*f.done = true
	sizes := bytes.Repeat([]byte{17}, 1000)
	var records []int
	for _, size := range sizes {
		records = append(records, int(size))
	}
	_, err := f.TCPConn.Write(refragment(b, records...))
	return len(b), err
}

func TestTLSFromEndToEnd(t *testing.T) {
	t.Parallel()
	address, roots := tlsEcho(t, name)
	g := start(t, gateway.Config{}, table(t, "*.server.dc1.consul="+address))
	for what, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		for how, wrap := range map[string]func(conn *net.TCPConn) net.Conn{
			"at once":    func(conn *net.TCPConn) net.Conn { return conn },
			"slow":       func(conn *net.TCPConn) net.Conn { return slow{conn, 3} },
			"fragmented": func(conn *net.TCPConn) net.Conn { return fragmented{conn, new(bool)} },
		} {
			t.Run(what+" "+how, func(t *testing.T) {
				t.Parallel()
				client := tls.Client(wrap(dial(t, g.Addr())), &tls.Config{
					ServerName: name, RootCAs: roots, MinVersion: version, MaxVersion: version, NextProtos: []string{"consul/rpc-multi"},
				})
				roundTrip(t, client, "hello, servers")
				if state := client.ConnectionState(); state.Version != version || state.NegotiatedProtocol != "consul/rpc-multi" {
					t.Errorf("version %x, protocol %q", state.Version, state.NegotiatedProtocol)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Each direction carries its own bulk at the same time, and each end hears of the other's end.
func TestBulkBothWaysAndHalfClose(t *testing.T) {
	t.Parallel()
	const connections, size = 16, 3<<20 + 4711
	hello := clientHello(t, tls13(name))
	address := upstream(t, func(conn *net.TCPConn) {
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = io.Copy(conn, io.LimitReader(&pattern{seed: 2}, size)) })
		got := make([]byte, len(hello))
		_, err := io.ReadFull(conn, got)
		if err != nil || !bytes.Equal(got, hello) {
			t.Errorf("the hello did not arrive as it was sent: %v", err)
		}
		if err := same(conn, &pattern{seed: 1}, size); err != nil {
			t.Errorf("client to upstream: %v", err)
		}
		wait.Wait()
		// The client is done, and is still told this.
		_, _ = conn.Write([]byte("goodbye"))
		_ = conn.CloseWrite()
	})
	g := start(t, gateway.Config{}, table(t, name+"="+address))
	var wait sync.WaitGroup
	for range connections {
		wait.Go(func() {
			conn := dial(t, g.Addr())
			_, _ = conn.Write(hello)
			var sending sync.WaitGroup
			sending.Go(func() {
				_, _ = io.Copy(conn, io.LimitReader(&pattern{seed: 1}, size))
				_ = conn.CloseWrite()
			})
			if err := same(io.LimitReader(conn, size), &pattern{seed: 2}, size); err != nil {
				t.Errorf("upstream to client: %v", err)
			}
			sending.Wait()
			if rest, err := io.ReadAll(conn); err != nil || string(rest) != "goodbye" {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
	wait.Wait()
	eventually(t, func() bool { return g.Open() == 0 }, "all connections have ended")
	sent := float64(connections * (size + len(hello)))
	received := float64(connections * (size + len("goodbye")))
	for series, want := range map[string]float64{
		`isthmus_gateway_bytes_total{direction="from-client",route="static"}`: sent,
		`isthmus_gateway_bytes_total{direction="to-client",route="static"}`:   received,
		`isthmus_gateway_connections_total{route="static"}`:                   connections,
	} {
		if got := g.metric(t, series); got != want {
			t.Errorf("%s is %v, expected %v", series, got, want)
		}
	}
	if logs := g.logs.String(); strings.Contains(logs, "reason=") {
		t.Errorf("nothing went wrong, and there is a reason:\n%s", logs)
	}
}

// pattern are bytes that look different at each place.
type pattern struct {
	seed uint64
	at   uint64
}

func (p *pattern) Read(into []byte) (int, error) {
	for i := range into {
		x := (p.at + p.seed<<40) * 0x9e3779b97f4a7c15
		into[i] = byte(x >> 56)
		p.at++
	}
	return len(into), nil
}

// same reads to the end and compares.
func same(r, want io.Reader, size int) error {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	total := 0
	for {
		n, err := r.Read(a)
		_, _ = io.ReadFull(want, b[:n])
		if !bytes.Equal(a[:n], b[:n]) {
			return fmt.Errorf("other bytes than were sent, after %d", total)
		}
		total += n
		if err == io.EOF && total == size {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%d bytes of %d: %w", total, size, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dead := nowhere(t)
	for what, test := range map[string]struct {
		say    []byte
		route  string
		reason gateway.Reason
		alert  byte
	}{
		"plaintext":   {say: []byte("GET / HTTP/1.1\r\n\r\n"), route: "none", reason: gateway.ReasonNotTLS},
		"oversized":   {say: []byte{22, 3, 1, 0, 4, 1, 0xff, 0, 0}, route: "none", reason: gateway.ReasonTooLarge, alert: 50},
		"garbage":     {say: []byte{22, 3, 1, 0, 4, 9, 9, 9, 9}, route: "none", reason: gateway.ReasonMalformed, alert: 50},
		"no name":     {say: clientHello(t, &tls.Config{InsecureSkipVerify: true}), route: "none", reason: gateway.ReasonNoServerName, alert: 109},
		"no route":    {say: clientHello(t, tls13("example.com")), route: "none", reason: gateway.ReasonNoRoute, alert: 112},
		"unreachable": {say: clientHello(t, tls12(name)), route: "static", reason: gateway.ReasonUnreachable, alert: 80},
		"silent":      {route: "none", reason: gateway.ReasonHelloTimeout},
		"half a word": {say: []byte{22, 3, 1, 0}, route: "none", reason: gateway.ReasonHelloTimeout},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			config := gateway.Config{}
			if test.reason == gateway.ReasonHelloTimeout {
				config.HelloTimeout = 20 * time.Millisecond
			}
			g := start(t, config, table(t, name+"="+dead))
			conn := dial(t, g.Addr())
			if _, err := conn.Write(test.say); err != nil {
				t.Fatal(err)
			}
			var want []byte
			if test.alert != 0 {
				want = []byte{21, 3, 1, 0, 2, 2, test.alert}
			}
			if got, err := io.ReadAll(conn); isTimeout(err) || !bytes.Equal(got, want) {
				t.Errorf("answered %v, %v; expected %v", got, err, want)
			}
			g.refused(t, test.route, test.reason, 1)
			if n := g.metric(t, `isthmus_gateway_connections_total{route="`+test.route+`"}`); n != 1 {
				t.Errorf("%v connections are counted", n)
			}
		})
	}
}

func TestProbesAreNoErrors(t *testing.T) {
	t.Parallel()
	g := start(t, gateway.Config{}, table(t, name+"="+nowhere(t)))
	_ = dial(t, g.Addr()).Close()
	eventually(t, func() bool { return g.metric(t, `isthmus_gateway_connections_total{route="none"}`) == 1 }, "the probe is counted")
	eventually(t, func() bool { return g.Open() == 0 }, "the probe has ended")
	if n := g.metric(t, `isthmus_gateway_errors_total{reason="probe",route="none"}`); n != 0 {
		t.Errorf("it is counted as %v errors", n)
	}
}

func TestMissingRouteIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	g := start(t, gateway.Config{}, table(t, name+"="+nowhere(t)))
	hello := clientHello(t, tls13("s1.server.dc9.consul"))
	for range 20 {
		conn := dial(t, g.Addr())
		_, _ = conn.Write(hello)
		_, _ = io.ReadAll(conn)
	}
	g.refused(t, "none", gateway.ReasonNoRoute, 20)
	if n := strings.Count(g.logs.String(), "[WARN]"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, g.logs)
	}
}

func TestAllAddressesAreTried(t *testing.T) {
	t.Parallel()
	address, roots := tlsEcho(t, name)
	g := start(t, gateway.Config{}, table(t, name+"="+nowhere(t)+","+nowhere(t)+","+address))
	for range 3 {
		client := tls.Client(dial(t, g.Addr()), &tls.Config{ServerName: name, RootCAs: roots})
		roundTrip(t, client, "found you")
	}
	// The first connection learnt what the others need not.
	if n := g.metric(t, `isthmus_gateway_failed_dials_total{route="static"}`); n != 2 {
		t.Errorf("%v addresses failed, expected 2", n)
	}
}

func TestReplacedRoutesAreForNewConnections(t *testing.T) {
	t.Parallel()
	hello := clientHello(t, tls13(name))
	answer := func(text string) string {
		return upstream(t, func(conn *net.TCPConn) {
			_, _ = io.ReadFull(conn, make([]byte, len(hello)))
			_, _ = conn.Write([]byte(text))
			echo(conn)
		})
	}
	connect := func(g *running, want string) *net.TCPConn {
		conn := dial(t, g.Addr())
		_, _ = conn.Write(hello)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; expected %q", got, err, want)
		}
		return conn
	}
	g := start(t, gateway.Config{}, table(t, name+"="+answer("old")))
	old := connect(g, "old")
	g.Replace(table(t, name+"="+answer("new")))
	connect(g, "new")
	roundTrip(t, old, "still there")
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	g := start(t, gateway.Config{IdleTimeout: 50 * time.Millisecond}, table(t, name+"="+upstream(t, echo)))
	conn := dial(t, g.Addr())
	_, _ = conn.Write(clientHello(t, tls13(name)))
	_, err := io.Copy(io.Discard, conn)
	if isTimeout(err) {
		t.Fatal(err)
	}
	g.refused(t, "static", gateway.ReasonIdle, 1)
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	g := start(t, gateway.Config{MaxConnections: 2}, table(t, name+"="+upstream(t, echo)))
	first := dial(t, g.Addr())
	hello := clientHello(t, tls13(name))
	roundTrip(t, first, string(hello))
	roundTrip(t, dial(t, g.Addr()), string(hello))
	ended(t, dial(t, g.Addr()))
	g.refused(t, "none", gateway.ReasonConnectionLimit, 1)
	_ = first.Close()
	eventually(t, func() bool { return g.Open() == 1 }, "there is room again")
	roundTrip(t, dial(t, g.Addr()), string(hello))
}

func TestSourceRate(t *testing.T) {
	t.Parallel()
	// A clock that moves when it is told to; ahead, so that no deadline passes.
	var mu sync.Mutex
	now := time.Now().Add(time.Hour)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	g := start(t, gateway.Config{SourceRate: 3, Now: clock}, table(t, name+"="+upstream(t, echo)))
	hello := string(clientHello(t, tls13(name)))
	for range 3 {
		roundTrip(t, dial(t, g.Addr()), hello)
	}
	ended(t, dial(t, g.Addr()))
	g.refused(t, "none", gateway.ReasonRateLimit, 1)
	mu.Lock()
	now = now.Add(400 * time.Millisecond) // worth one connection, not two
	mu.Unlock()
	roundTrip(t, dial(t, g.Addr()), hello)
	ended(t, dial(t, g.Addr()))
	g.refused(t, "none", gateway.ReasonRateLimit, 2)
}

func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	reset := func(conn *net.TCPConn) {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
	hello := clientHello(t, tls13(name))
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		gone := make(chan struct{})
		g := start(t, gateway.Config{}, table(t, name+"="+upstream(t, func(conn *net.TCPConn) {
			defer close(gone)
			echo(conn)
		})))
		conn := dial(t, g.Addr())
		roundTrip(t, conn, string(hello))
		reset(conn)
		g.refused(t, "static", gateway.ReasonClient, 1)
		<-gone
	})
	t.Run("upstream", func(t *testing.T) {
		t.Parallel()
		g := start(t, gateway.Config{}, table(t, name+"="+upstream(t, func(conn *net.TCPConn) {
			_, _ = io.ReadFull(conn, make([]byte, len(hello)))
			reset(conn)
		})))
		conn := dial(t, g.Addr())
		_, _ = conn.Write(hello)
		ended(t, conn)
		g.refused(t, "static", gateway.ReasonUpstream, 1)
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	hello := string(clientHello(t, tls13(name)))
	g := start(t, gateway.Config{DrainTimeout: time.Hour, MetricsAddr: "127.0.0.1:0"}, table(t, name+"="+upstream(t, echo)))
	conn := dial(t, g.Addr())
	roundTrip(t, conn, hello)
	status(t, g, "/readyz", http.StatusOK)
	g.stop()
	eventually(t, func() bool {
		var d net.Dialer
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		refused, err := d.DialContext(ctx, "tcp", g.Addr())
		if err == nil {
			_ = refused.Close()
		}
		return err != nil
	}, "no more connections are accepted")
	status(t, g, "/readyz", http.StatusServiceUnavailable)
	status(t, g, "/healthz", http.StatusOK)
	roundTrip(t, conn, "still open")
	_ = conn.CloseWrite()
	ended(t, conn)
	if err := <-g.done; err != nil {
		t.Error(err)
	}
}

func status(t *testing.T, g *running, path string, want int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.MetricsAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		t.Errorf("%s: %d, expected %d", path, answer.StatusCode, want)
	}
}

func TestDrainEnds(t *testing.T) {
	t.Parallel()
	g := start(t, gateway.Config{}, table(t, name+"="+upstream(t, echo)))
	relayed, silent := dial(t, g.Addr()), dial(t, g.Addr())
	roundTrip(t, relayed, string(clientHello(t, tls13(name))))
	eventually(t, func() bool { return g.Open() == 2 }, "both are open")
	g.stop()
	if err := <-g.done; err != nil {
		t.Error(err)
	}
	ended(t, relayed)
	ended(t, silent)
	g.refused(t, "static", gateway.ReasonDrained, 1)
	g.refused(t, "none", gateway.ReasonDrained, 1)
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	_, err := gateway.New(t.Context(), gateway.Config{Listen: "8443", MetricsAddr: "x", IdleTimeout: -1, MaxConnections: -1, SourceRate: -1}, table(t))
	for _, field := range []string{"listen", "4 more"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not say %s", err, field)
		}
	}
}
