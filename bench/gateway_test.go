package bench_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// What the gateway is measured with: real TLS between two ends in this process, and the gateway as a process of its own, whose
// processor time the kernel counts. Beside it the same over a direct connection.
const (
	gatewayName = "s1.server.dc1.consul"
	// bulkConnections carry bulkSize together, in one round.
	bulkConnections, bulkSize = 16, 512 << 20
	// newConnections are opened in one round, by as many workers as there are bulk connections.
	newConnections = 2000
	// idleConnections take two descriptors each, here as in the gateway: within a limit of 20,000 files.
	idleConnections = 8000
)

// gatewayBench is a TLS server and what its clients need.
type gatewayBench struct {
	addr   string
	config *tls.Config
}

// serveTLS runs a server that reads everything and then says one byte.
func serveTLS(b *testing.B) *gatewayBench {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Skip("processor time is read on Linux only")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{gatewayName}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(b, err)
	leaf, err := x509.ParseCertificate(der)
	must(b, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}}
	var lc net.ListenConfig
	listener, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				secure := tls.Server(conn, server)
				if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{secure}, make([]byte, 64<<10)); err == nil {
					_, _ = secure.Write([]byte{1})
				}
			}()
		}
	}()
	return &gatewayBench{addr: listener.Addr().String(), config: &tls.Config{ServerName: gatewayName, RootCAs: roots}}
}

// send opens a connection, sends so many bytes and waits until they have arrived.
func (g *gatewayBench) send(b *testing.B, addr string, size int) error {
	b.Helper()
	var d net.Dialer
	conn, err := d.DialContext(b.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := tls.Client(conn, g.config)
	piece := make([]byte, min(size, 64<<10))
	for left := size; left > 0; left -= len(piece) {
		if _, err := client.Write(piece[:min(left, len(piece))]); err != nil {
			return err
		}
	}
	if err := client.HandshakeContext(b.Context()); err != nil {
		return err
	}
	if err := client.CloseWrite(); err != nil {
		return err
	}
	_, err = io.ReadFull(client, make([]byte, 1))
	return err
}

// round lets workers do something so many times together.
func round(b *testing.B, times int, do func() error) {
	b.Helper()
	work := make(chan struct{}, times)
	for range times {
		work <- struct{}{}
	}
	close(work)
	failed := make(chan error, bulkConnections)
	var wait sync.WaitGroup
	for range bulkConnections {
		wait.Go(func() {
			for range work {
				if err := do(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(failed)
	must(b, <-failed)
}

// measured is what one way cost: time of all rounds, and processor time of the proxy and of both ends, which are in this process.
type measured struct {
	took, cpu, ends time.Duration
	rounds          int
}

// byTurns runs the same over a direct connection and through each proxy, by turns: what else the machine does meets all of them.
func byTurns(b *testing.B, server *gatewayBench, times int, do func(addr string) error) map[string]measured {
	b.Helper()
	ways := append([]*proxy{{name: "direct", addr: server.addr}}, proxies(b, server.addr)...)
	for _, w := range ways { // what is done for the first time costs more
		round(b, times, func() error { return do(w.addr) })
	}
	out := map[string]measured{}
	for b.Loop() {
		for _, w := range ways {
			m := out[w.name]
			cpu, ends, began := w.cpu(b), ownCPU(b), time.Now()
			round(b, times, func() error { return do(w.addr) })
			m.took += time.Since(began)
			m.cpu += w.cpu(b) - cpu
			m.ends += ownCPU(b) - ends
			m.rounds++
			out[w.name] = m
		}
	}
	return out
}

// figures computes one of each way.
func figures(of map[string]measured, one func(m measured) float64) map[string]float64 {
	out := map[string]float64{}
	for name, m := range of {
		out[name] = one(m)
	}
	return out
}

// BenchmarkGatewayBulk is ciphered bulk over 16 connections.
func BenchmarkGatewayBulk(b *testing.B) {
	server := serveTLS(b)
	all := byTurns(b, server, bulkConnections, func(addr string) error { return server.send(b, addr, bulkSize/bulkConnections) })
	rates := figures(all, func(m measured) float64 { return float64(m.rounds) * bulkSize / (1 << 20) / m.took.Seconds() })
	costs := figures(all, func(m measured) float64 { return m.cpu.Seconds() / (float64(m.rounds) * bulkSize / (1 << 30)) })
	sums := figures(all, func(m measured) float64 {
		return (m.cpu + m.ends).Seconds() / (float64(m.rounds) * bulkSize / (1 << 30))
	})
	parts := map[string]float64{}
	for name, rate := range rates {
		parts[name] = rate / rates["direct"]
	}
	record("gateway: TLS bulk over 16 connections, of a direct connection's", "≥ the best proxy's", "%.2f (%.0f MiB/s); %s",
		parts["gateway"], rates["gateway"], beside(parts, "%.2f"))
	aim := "≤ 0.35 of nginx's"
	if nginx := costs["nginx"]; nginx > 0 {
		aim += fmt.Sprintf(" (is %.2f)", costs["gateway"]/nginx)
	}
	record("gateway: processor time per GiB", aim, "%.2f s; %s", costs["gateway"], beside(costs, "%.2f s"))
	record("gateway: … with that of both ends", "", "%.2f s (direct %.2f s); %s", sums["gateway"], sums["direct"], beside(sums, "%.2f s"))
}

// BenchmarkGatewayConnections is new connections, each with a TLS handshake and one byte.
func BenchmarkGatewayConnections(b *testing.B) {
	server := serveTLS(b)
	all := byTurns(b, server, newConnections, func(addr string) error { return server.send(b, addr, 1) })
	rates := figures(all, func(m measured) float64 { return float64(m.rounds) * newConnections / m.took.Seconds() })
	costs := figures(all, func(m measured) float64 { return float64(m.cpu.Microseconds()) / float64(m.rounds*newConnections) })
	record("gateway: new TLS connections", "", "%.0f/s (direct %.0f/s); %s", rates["gateway"], rates["direct"], beside(rates, "%.0f/s"))
	record("gateway: processor time per new connection", "≤ HAProxy's", "%.0f µs; %s", costs["gateway"], beside(costs, "%.0f µs"))
}

// BenchmarkGatewayIdle is what an idle connection costs.
func BenchmarkGatewayIdle(b *testing.B) {
	server := serveTLS(b)
	kib, descriptors := map[string]float64{}, map[string]float64{}
	for b.Loop() {
		// New ones each time: what was used once is not given back at once.
		for _, p := range proxies(b, server.addr) {
			kib[p.name], descriptors[p.name] = idle(b, server, p)
		}
	}
	b.ReportMetric(kib["gateway"], "KiB/connection")
	aim := "≤ 0.6 of nginx's"
	if nginx := kib["nginx"]; nginx > 0 {
		aim += fmt.Sprintf(" (is %.2f)", kib["gateway"]/nginx)
	}
	record("gateway: memory of an idle connection", aim, "%.1f KiB; %s", kib["gateway"], beside(kib, "%.1f KiB"))
	record("gateway: descriptors of an idle connection", "2", "%.2f; %s", descriptors["gateway"], beside(descriptors, "%.2f"))
}

// idle opens connections and leaves them alone: KiB and descriptors for each.
func idle(b *testing.B, server *gatewayBench, p *proxy) (kib, descriptors float64) {
	b.Helper()
	memory, files := p.memory(b)
	open := make([]net.Conn, idleConnections)
	for i := range open {
		var d net.Dialer
		conn, err := d.DialContext(b.Context(), "tcp", p.addr)
		must(b, err)
		open[i] = conn
		must(b, tls.Client(conn, server.config).HandshakeContext(b.Context()))
	}
	more, moreFiles := p.memory(b)
	for _, conn := range open {
		_ = conn.Close()
	}
	return (more - memory) / idleConnections, float64(moreFiles-files) / idleConnections
}
