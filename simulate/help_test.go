package simulate_test

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/client"
	"isthmus/resource"
	"isthmus/server"
	"isthmus/simulate"
)

// patience bounds what should come soon, on a machine that has other things to do.
const patience = 2 * time.Minute

// hub is a running server, and its admin's client.
type hub struct {
	config client.Config
	client *client.Client
	// ahead is how much faster than the machine's the server's clock is.
	ahead atomic.Int64
}

func (h *hub) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

// newHub runs a server on SQLite until the test ends.
func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{}
	s, err := server.New(t.Context(), server.Config{
		DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", Version: "test", Log: logger(t), Now: h.now,
	})
	if err != nil {
		t.Fatalf("starting a server: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	secret, err := os.ReadFile(s.AdminTokenFile())
	if err != nil {
		t.Fatal(err)
	}
	h.config = client.Config{Address: s.URL(), Token: strings.TrimSpace(string(secret))}
	if h.client, err = client.New(h.config); err != nil {
		t.Fatal(err)
	}
	return h
}

func logger(t testing.TB) hclog.Logger {
	t.Helper()
	level := os.Getenv("ISTHMUS_TEST_LOG")
	if level == "" {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(level), Output: os.Stderr, Name: t.Name()})
}

// simulate starts a fleet and waits until all of it is healthy.
func (h *hub) simulate(t testing.TB, config simulate.Config) *simulate.Fleet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	config.Server, config.Log = h.config, logger(t)
	f, err := simulate.Start(ctx, config)
	if err != nil {
		t.Fatalf("starting a fleet: %v", err)
	}
	t.Cleanup(f.Close)
	h.healthy(t, f)
	return f
}

func (h *hub) healthy(t testing.TB, f *simulate.Fleet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.WaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
}

// kindOf is the kind of resources of a type.
func kindOf[T resource.Object]() resource.Kind {
	var zero T
	return resource.KindOf(zero)
}

// get is what the server knows of a resource.
func get[T resource.Object](t testing.TB, h *hub, name string) T {
	t.Helper()
	o, err := client.Lookup[T](t.Context(), h.client, name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sees waits until what the server knows of a resource is so.
func sees[T resource.Object](t testing.TB, h *hub, name string, is func(T) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last T
	kind := kindOf[T]()
	for o, err := range h.client.WatchName(ctx, kind, name) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found, ok := o.(T)
		if last = found; ok && is(found) {
			return
		}
	}
	t.Fatalf("%s: %v", name, last)
}

// gone waits until a resource is.
func gone(t testing.TB, h *hub, kind resource.Kind, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.client.Wait(ctx, []client.Target{{Kind: kind, Name: name, Gone: true}}, func(client.Target, client.Readiness) {}); err != nil {
		t.Fatal(err)
	}
}
