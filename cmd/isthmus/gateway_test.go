package main_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	isthmus "isthmus/cmd/isthmus"
)

func TestGatewayRefusesBadSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no routes":        {want: "set --route or --bootstrap-route"},
		"no form":          {args: []string{"--route", "server.dc1.consul"}, want: `"server.dc1.consul" is not of the form name=host:port`},
		"no bootstrap":     {args: []string{"--bootstrap-route", "gw:8443"}, want: "is not of the form datacenter=host:port"},
		"no address":       {args: []string{"--bootstrap-route", "dc1=gw"}, want: `"gw" is not host:port`},
		"no datacenter":    {args: []string{"--bootstrap-route", "dc 1=gw:8443"}, want: "is no DNS name"},
		"listens nowhere":  {args: []string{"--route", "a.b=c:1", "--listen", "8443"}, want: `"8443" is not host:port`},
		"no LAN address":   {args: []string{"--listen", "0.0.0.0:0", "--wan-address", "192.0.2.1:8443"}, want: `lanAddress: "" is not a host:port that others can dial`},
		"no WAN address":   {args: []string{"--listen", "127.0.0.1:0", "--wan-address", "gw.example.com"}, want: `wanAddress: "gw.example.com" is not a host:port`},
		"no such leave":    {args: []string{"--route", "a.b=c:1", "--leave", "soon"}, want: "expected one of unless-last, always, never"},
		"negative timeout": {args: []string{"--route", "a.b=c:1", "--idle-timeout", "-1s"}, want: "idleTimeout: -1s is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, "", append([]string{"gateway"}, test.args...)...)
			if got.code != 1 || !strings.Contains(got.err, test.want) {
				t.Errorf("code %d, %q does not say %q", got.code, got.err, test.want)
			}
		})
	}
}

// A gateway that nobody ever let in ends as an agent does; without a control plane it needs no directory.
func TestGatewayThatIsNotLetIn(t *testing.T) {
	t.Parallel()
	args := []string{"gateway", "--listen", "127.0.0.1:0", "--bootstrap-route", "dc1=127.0.0.1:1"}
	for name, test := range map[string]struct {
		args        []string
		environment map[string]string
		want        string
	}{
		"bad token":          {args: []string{"--data-dir", t.TempDir(), "--join-token-file", writeFile(t, "token", "nonsense")}, want: "join token"},
		"bad token variable": {args: []string{"--data-dir", t.TempDir()}, environment: map[string]string{"ISTHMUS_JOIN_TOKEN": "nonsense"}, want: "join token"},
		"no token":           {args: []string{"--data-dir", t.TempDir()}, want: "this gateway is not enrolled, and has no join token"},
		"token is gone":      {args: []string{"--data-dir", t.TempDir(), "--join-token-file", "/no/such/file"}, want: "this gateway is not enrolled, and has no join token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, test.environment, "", slices.Concat(args, test.args)...)
			if got.code != 13 || !strings.Contains(got.err, test.want) {
				t.Errorf("code %d, %q does not say %q", got.code, got.err, test.want)
			}
		})
	}
	got := run(t, map[string]string{"ISTHMUS_JOIN_TOKEN": "nonsense"}, "", args...)
	if got.code != 1 || !strings.Contains(got.err, "set --data-dir") {
		t.Errorf("no home: code %d, %q", got.code, got.err)
	}
}

// Routes can be lists of lists in a flag, a variable and a file: all of them lead to the same end.
func TestGatewayRoutesFromEverywhere(t *testing.T) {
	t.Parallel()
	const banner = "hello from upstream"
	var lc net.ListenConfig
	upstream, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	go func() {
		for {
			conn, err := upstream.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(banner))
			_ = conn.Close()
		}
	}()
	dead, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	both := dead.Addr().String() + "," + upstream.Addr().String()
	_ = dead.Close()
	for name, test := range map[string]struct {
		args        []string
		environment map[string]string
		file        string
	}{
		"flag":        {args: []string{"--bootstrap-route", "dc1=" + both}},
		"environment": {environment: map[string]string{"ISTHMUS_BOOTSTRAP_ROUTE": "dc1=" + both}},
		"file, list":  {file: "bootstrapRoute: [dc1=" + strings.ReplaceAll(both, ",", ", ") + "]\n"},
		"file, value": {file: "bootstrapRoute: dc1=" + both + "\n"},
		"route":       {file: "route: ['*.server.dc1.consul=" + both + "', 'a.b=c:1']\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"gateway", "--listen", "127.0.0.1:0"}, test.args...)
			if test.file != "" {
				args = append(args, "--config", writeFile(t, "gateway.yaml", test.file))
			}
			addr := runGateway(t, test.environment, args)
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// The smallest ClientHello that names s1.server.dc1.consul.
			const name = "s1.server.dc1.consul"
			extension := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
			body := append(append([]byte{3, 3}, make([]byte, 32)...), 0, 0, 2, 0x13, 1, 1, 0, 0, byte(len(extension)))
			body = append(body, extension...)
			hello := append([]byte{22, 3, 1, 0, byte(len(body) + 4), 1, 0, 0, byte(len(body))}, body...)
			if _, err := conn.Write(hello); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(banner))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != banner {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// runGateway runs a gateway until the test ends, and gives its address.
func runGateway(t *testing.T, environment map[string]string, args []string) string {
	t.Helper()
	read, write := io.Pipe()
	logs := &lockedBuffer{}
	program := isthmus.Program{
		In: strings.NewReader(""), Out: write, Err: logs, Now: time.Now,
		Env: func(name string) (string, bool) {
			value, ok := environment[name]
			return value, ok
		},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	code := make(chan int, 1)
	go func() {
		code <- program.Run(ctx, args)
		_ = write.Close()
	}()
	t.Cleanup(func() {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, read) }()
		if got := <-code; got != 0 {
			t.Errorf("the gateway ended with %d:\n%s", got, logs)
		}
	})
	buffer := make([]byte, 256)
	n, err := read.Read(buffer)
	addr, ok := strings.CutPrefix(string(buffer[:n]), "Gateway: ")
	if err != nil || !ok {
		t.Fatalf("%q, %v; logs:\n%s", buffer[:n], err, logs)
	}
	return strings.TrimSpace(addr)
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
