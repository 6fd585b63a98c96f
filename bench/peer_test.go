package bench_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"isthmus/demo/consulrun"
	"isthmus/test/pgtest"
)

// pair is a certificate for this machine that signs itself, and so is its own authority, and its key.
type pair struct{ certFile, keyFile string }

// newPair makes one.
func newPair(b *testing.B) pair {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "isthmus benchmark"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(b, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(b, err)
	p := pair{filepath.Join(b.TempDir(), "cert.pem"), filepath.Join(b.TempDir(), "key.pem")}
	must(b, os.WriteFile(p.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	must(b, os.WriteFile(p.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return p
}

// trusting is a client's configuration that takes only certificates of the authority in a file.
func trusting(caFile string) (*tls.Config, error) {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// etcd is a running etcd of one member that speaks TLS to its clients.
type etcd struct {
	// addr is host:port of its clients' port.
	addr, caFile, version string
	cmd                   *exec.Cmd
}

// startEtcd runs the newest etcd, which tools/tool has built, with its defaults.
func startEtcd(b *testing.B) *etcd {
	b.Helper()
	path, err := exec.CommandContext(b.Context(), "../tools/tool", "etcd-newest").Output()
	must(b, err)
	binary, keys := strings.TrimSpace(string(path)), newPair(b)
	client, peer := freeAddr(b), freeAddr(b)
	cmd := exec.CommandContext(context.Background(), binary, // the cleanup ends it
		"--data-dir", filepath.Join(b.TempDir(), "etcd"), "--log-level", "fatal",
		"--listen-client-urls", "https://"+client, "--advertise-client-urls", "https://"+client, "--cert-file", keys.certFile, "--key-file", keys.keyFile,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "default=http://"+peer)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it ends by the signal
	})
	listening(b, client)
	said, err := exec.CommandContext(b.Context(), binary, "--version").Output()
	must(b, err)
	first, _, _ := bytes.Cut(said, []byte("\n"))
	return &etcd{addr: client, caFile: keys.certFile, version: "etcd " + strings.TrimPrefix(string(first), "etcd Version: "), cmd: cmd}
}

// startConsul runs one Consul server with TLS and ACLs, as isthmus's agents meet it.
func startConsul(b *testing.B) *consulrun.Server {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	consul, err := consulrun.Start(ctx, consulrun.Options{Dir: filepath.Join(b.TempDir(), "consul"), Datacenter: "dc1"})
	must(b, err)
	b.Cleanup(func() { must(b, consul.Stop()) })
	return consul
}

// listening waits until an address can be dialled.
func listening(b *testing.B, addr string) {
	b.Helper()
	deadline := time.Now().Add(stepTimeout)
	for {
		var d net.Dialer
		conn, err := d.DialContext(b.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// postmaster is the process of a PostgreSQL that pgtest started; its children are the backends.
func postmaster(b *testing.B, url string) int {
	b.Helper()
	_, socket, _ := strings.Cut(url, "host=")
	socket, _, _ = strings.Cut(socket, "&")
	socket = strings.ReplaceAll(socket, "%2F", "/")
	text, err := os.ReadFile(filepath.Join(socket, "data", "postmaster.pid"))
	must(b, err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	must(b, err)
	return pid
}

// newPostgres starts a PostgreSQL, and gives an empty database of it and the server's process. It commits durably, as by default.
func newPostgres(b *testing.B) (url string, pid int) {
	b.Helper()
	url = pgtest.Start(b).Database(b)
	return url, postmaster(b, url)
}

// postgresVersion is what a server calls itself.
func postgresVersion(b *testing.B, url string) (version string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	must(b, err)
	must(b, conn.QueryRow(b.Context(), "SHOW server_version").Scan(&version))
	must(b, conn.Close(b.Context()))
	version, _, _ = strings.Cut(version, " ")
	return "PostgreSQL " + version
}

// processorTime is what a process and its children have used, children that ended included.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, p := range family(b, pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue // ended since: its parent has its time
		}
		// After the name in parentheses, which may hold anything: state is field 3; cutime and cstime, of children that ended, are 16 and 17.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[13:15] {
			n, err := strconv.ParseInt(f, 10, 64)
			must(b, err)
			sum += time.Duration(n) * 10 * time.Millisecond
		}
		sum += ownTime(p)
	}
	return sum
}

// ownTime is what some processes have used themselves, by their own clocks (clock_getcpuclockid(3)): /proc counts in hundredths of a second, more
// than many a change takes, or by threads, which take their time along when they end. One that has ended counts nothing.
func ownTime(pids ...int) (sum time.Duration) {
	const scheduled = 2 // CPUCLOCK_SCHED
	for _, pid := range pids {
		var used unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|scheduled), &used) == nil {
			sum += time.Duration(used.Nano())
		}
	}
	return sum
}

// family is a process and its children.
func family(b *testing.B, pid int) []int {
	b.Helper()
	out := []int{pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	must(b, err)
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			out = append(out, child)
		}
	}
	return out
}
