package bench_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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

// gatewayProcess is an isthmus gateway.
type gatewayProcess struct {
	cmd  *exec.Cmd
	addr string
}

// startGateway runs a gateway with one route.
func startGateway(b *testing.B, upstream string) *gatewayProcess {
	b.Helper()
	cmd, out := start(b, filepath.Join(b.TempDir(), "gateway.log"), nil,
		"gateway", "--listen", "127.0.0.1:0", "--drain-timeout", "1ms", "--route", gatewayName+"="+upstream)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(b, err)
	return &gatewayProcess{cmd: cmd, addr: strings.TrimSpace(strings.TrimPrefix(line, "Gateway: "))}
}

// cpu is the processor time that the gateway has used. Linux counts it in hundredths of a second.
func (g *gatewayProcess) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	must(b, err)
	// After the name in parentheses, which may hold anything: state is field 3, utime 14, stime 15.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int64
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	must(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

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

// measured is what one way cost: time of all rounds, and the gateway's processor time.
type measured struct {
	took, cpu time.Duration
	rounds    int
}

// compare runs the same over a direct connection and through a gateway.
func compare(b *testing.B, server *gatewayBench, times int, do func(addr string) error) (direct, through measured) {
	b.Helper()
	g := startGateway(b, server.addr)
	run := func(name, addr string) (m measured) {
		b.Run(name, func(b *testing.B) {
			before := g.cpu(b)
			for b.Loop() {
				round(b, times, func() error { return do(addr) })
			}
			m = measured{b.Elapsed(), g.cpu(b) - before, b.N}
		})
		return m
	}
	return run("direct", server.addr), run("gateway", g.addr)
}

// BenchmarkGatewayBulk is ciphered bulk over 16 connections.
func BenchmarkGatewayBulk(b *testing.B) {
	server := serveTLS(b)
	direct, through := compare(b, server, bulkConnections, func(addr string) error {
		return server.send(b, addr, bulkSize/bulkConnections)
	})
	if through.rounds == 0 || direct.rounds == 0 {
		return
	}
	rate := func(m measured) float64 { return float64(m.rounds) * bulkSize / (1 << 20) / m.took.Seconds() }
	record("gateway: TLS bulk over 16 connections", "≥ 0.62 of direct", "%.0f MiB/s, %.2f of direct (%.0f)", rate(through), rate(through)/rate(direct), rate(direct))
	perGiB := through.cpu.Seconds() / (float64(through.rounds) * bulkSize / (1 << 30))
	record("gateway: processor time per GiB", "≤ 0.34 s", "%.2f s", perGiB)
}

// BenchmarkGatewayConnections is new connections, each with a TLS handshake and one byte.
func BenchmarkGatewayConnections(b *testing.B) {
	server := serveTLS(b)
	direct, through := compare(b, server, newConnections, func(addr string) error { return server.send(b, addr, 1) })
	if through.rounds == 0 || direct.rounds == 0 {
		return
	}
	rate := func(m measured) float64 { return float64(m.rounds) * newConnections / m.took.Seconds() }
	record("gateway: new TLS connections", "", "%.0f/s, %.2f of direct (%.0f/s)", rate(through), rate(through)/rate(direct), rate(direct))
	each := through.cpu / time.Duration(through.rounds*newConnections)
	record("gateway: processor time per new connection", "≤ 254 µs", "%d µs", each.Microseconds())
}

// BenchmarkGatewayIdle is what an idle connection costs the gateway.
func BenchmarkGatewayIdle(b *testing.B) {
	server := serveTLS(b)
	for b.Loop() {
		g := startGateway(b, server.addr)
		before := resident(b, g.cmd)
		open := make([]net.Conn, idleConnections)
		for i := range open {
			var d net.Dialer
			conn, err := d.DialContext(b.Context(), "tcp", g.addr)
			must(b, err)
			open[i] = conn
			must(b, tls.Client(conn, server.config).HandshakeContext(b.Context()))
		}
		descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
		must(b, err)
		each := (resident(b, g.cmd) - before) * 1024 / idleConnections
		perConnection := float64(len(descriptors)) / idleConnections
		b.ReportMetric(each, "KiB/connection")
		b.ReportMetric(perConnection, "descriptors/connection")
		record("gateway: idle connection", "≤ 10.8 KiB, 2 descriptors", "%.1f KiB, %.2f descriptors (of %d)", each, perConnection, idleConnections)
		for _, conn := range open {
			_ = conn.Close()
		}
	}
}
