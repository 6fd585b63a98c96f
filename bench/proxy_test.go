package bench_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// proxy is a program that passes TLS connections on by name: the gateway, or what it is compared with.
type proxy struct {
	name string
	addr string
	cmd  *exec.Cmd
}

// proxies starts the gateway, and beside it those of its peers that this machine has, each with one route.
func proxies(b *testing.B, upstream string) []*proxy {
	b.Helper()
	out := []*proxy{startGateway(b, upstream)}
	for _, peer := range []struct {
		name  string
		start func(b *testing.B, path, upstream string) *proxy
	}{{"nginx", startNginx}, {"haproxy", startHAProxy}} {
		path, err := lookSystem(peer.name)
		if err != nil {
			b.Logf("not compared with %s: %v", peer.name, err)
			continue
		}
		out = append(out, peer.start(b, path, upstream))
	}
	return out
}

// lookSystem finds a program that Debian keeps out of a user's PATH.
func lookSystem(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name)
	_, err := os.Stat(path)
	return path, err
}

// startGateway runs an isthmus gateway.
func startGateway(b *testing.B, upstream string) *proxy {
	b.Helper()
	cmd, out := start(b, filepath.Join(b.TempDir(), "gateway.log"), nil,
		"gateway", "--listen", "127.0.0.1:0", "--drain-timeout", "1ms", "--route", gatewayName+"="+upstream)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(b, err)
	return &proxy{name: "gateway", addr: strings.TrimSpace(strings.TrimPrefix(line, "Gateway: ")), cmd: cmd}
}

// startNginx runs nginx with ssl_preread, a worker for each processor, as its manual shows it.
func startNginx(b *testing.B, path, upstream string) *proxy {
	b.Helper()
	dir, addr := b.TempDir(), freeAddr(b)
	module := ""
	if found, err := filepath.Glob("/usr/lib/nginx/modules/ngx_stream_module.so"); err == nil && len(found) > 0 {
		module = "load_module " + found[0] + ";\n"
	}
	config := fmt.Sprintf(`%sdaemon off;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log;
worker_processes auto;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
stream {
  map $ssl_preread_server_name $upstream { %[3]s %[4]s; }
  server { listen %[5]s reuseport; ssl_preread on; proxy_pass $upstream; tcp_nodelay on; }
}
`, module, dir, gatewayName, upstream, addr)
	file := filepath.Join(dir, "nginx.conf")
	must(b, os.WriteFile(file, []byte(config), 0o600))
	return runProxy(b, "nginx", addr, exec.CommandContext(b.Context(), path, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log")))
}

// startHAProxy runs HAProxy in mode tcp, which looks at the ClientHello, with its threads as it chooses them.
func startHAProxy(b *testing.B, path, upstream string) *proxy {
	b.Helper()
	dir, addr := b.TempDir(), freeAddr(b)
	config := fmt.Sprintf(`global
  maxconn 9000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend in
  bind %s
  tcp-request inspect-delay 5s
  tcp-request content accept if { req.ssl_hello_type 1 }
  use_backend out if { req.ssl_sni -i %s }
backend out
  server s %s
`, addr, gatewayName, upstream)
	file := filepath.Join(dir, "haproxy.cfg")
	must(b, os.WriteFile(file, []byte(config), 0o600))
	return runProxy(b, "haproxy", addr, exec.CommandContext(b.Context(), path, "-db", "-f", file))
}

// runProxy starts a peer in the foreground and waits until it listens.
func runProxy(b *testing.B, name, addr string, cmd *exec.Cmd) *proxy {
	b.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	deadline := time.Now().Add(10 * time.Second)
	for {
		var d net.Dialer
		conn, err := d.DialContext(b.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return &proxy{name: name, addr: addr, cmd: cmd}
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not listen: %v", name, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// freeAddr is a port that nobody had a moment ago.
func freeAddr(b *testing.B) string {
	b.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	defer l.Close()
	return l.Addr().String()
}

// pids are the program's process and its children, which do the work of some.
func (p *proxy) pids(b *testing.B) []int {
	b.Helper()
	out := []int{p.cmd.Process.Pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
	must(b, err)
	for field := range strings.FieldsSeq(string(text)) {
		var pid int
		if _, err := fmt.Sscan(field, &pid); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// ownCPU is the processor time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// cpu is the processor time that the program has used, none for a direct connection. Linux counts it in hundredths of a second.
func (p *proxy) cpu(b *testing.B) time.Duration {
	b.Helper()
	if p.cmd == nil {
		return 0
	}
	return ownTime(p.pids(b)...)
}

// memory is what the program holds by itself, in KiB, and how many descriptors. Pages that its processes share count once.
func (p *proxy) memory(b *testing.B) (kib float64, descriptors int) {
	b.Helper()
	for _, pid := range p.pids(b) {
		var k float64
		if _, err := fmt.Sscan(field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss"), &k); err != nil {
			b.Fatal(err)
		}
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		must(b, err)
		kib, descriptors = kib+k, descriptors+len(open)
	}
	return kib, descriptors
}

// beside says what the others need or reach, for the table.
func beside(of map[string]float64, format string) string {
	var out []string
	for _, peer := range []string{"nginx", "haproxy"} {
		if f, ok := of[peer]; ok {
			out = append(out, peer+" "+fmt.Sprintf(format, f))
		}
	}
	if len(out) == 0 {
		return "no other proxy is installed"
	}
	return strings.Join(slices.Clip(out), ", ")
}
