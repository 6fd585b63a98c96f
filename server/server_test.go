package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"isthmus/server"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// node is a running server with its admin's token.
type node struct {
	*server.Server
	t     testing.TB
	token string
	dir   string
	// stop ends the server in an orderly way and waits for it.
	stop func()

	once sync.Once
	conn *grpc.ClientConn
}

// shared is one gRPC connection for many calls.
func (n *node) shared() *grpc.ClientConn {
	n.t.Helper()
	n.once.Do(func() { n.conn = n.grpc() })
	return n.conn
}

// start runs a server on SQLite in a new directory.
func start(t testing.TB, change ...func(*server.Config)) *node {
	t.Helper()
	return startIn(t, t.TempDir(), change...)
}

func startIn(t testing.TB, dir string, change ...func(*server.Config)) *node {
	t.Helper()
	config := server.Config{DataDir: dir, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", Version: "test", Log: logger(t)}
	for _, c := range change {
		c(&config)
	}
	s, err := server.New(t.Context(), config)
	if err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	n := &node{Server: s, t: t, dir: dir}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	}
	t.Cleanup(n.stop)
	secret, err := os.ReadFile(s.AdminTokenFile())
	if err == nil {
		n.token = strings.TrimSpace(string(secret))
	}
	return n
}

func logger(t testing.TB) hclog.Logger {
	t.Helper()
	if os.Getenv("ISTHMUS_TEST_LOG") == "" {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(os.Getenv("ISTHMUS_TEST_LOG")), Output: os.Stderr, Name: t.Name()})
}

// answer is a REST answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// fields decodes the body.
func (a answer) fields(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("the body is no JSON object: %v\n%s", err, a.body)
	}
	return out
}

// call makes a REST request as the admin.
func (n *node) call(method, path, body string, header ...string) answer {
	n.t.Helper()
	return n.callAs(n.token, method, path, body, header...)
}

func (n *node) callAs(token, method, path, body string, header ...string) answer {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		n.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(data)}
}

// apply applies manifests and expects success.
func (n *node) apply(manifests string) answer {
	n.t.Helper()
	a := n.call(http.MethodPost, "/v1/apply", manifests, "Content-Type", "application/yaml")
	if a.status != http.StatusOK {
		n.t.Fatalf("apply: %d %s", a.status, a.body)
	}
	return a
}

// want fails unless an answer has a status.
func (n *node) want(status int, a answer) answer {
	n.t.Helper()
	if a.status != status {
		n.t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func datacenters(names ...string) string {
	var out strings.Builder
	for _, name := range names {
		out.WriteString("---\nkind: Datacenter\nname: " + name + "\nlabels: {env: demo}\nspec: {runtime: vm}\n")
	}
	return out.String()
}
