package consulrun_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/test/consultest"
)

func TestBinaryIsThePinnedOne(t *testing.T) {
	cache := t.TempDir()
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "tools", "consul", name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", t.TempDir())
	t.Setenv(consulrun.EnvBinary, "")
	if _, err := consulrun.Binary(t.Context()); fault.CodeOf(err) != fault.NotFound || !strings.Contains(err.Error(), "make consul") {
		t.Fatalf("without any consul: %v", err)
	}
	want := filepath.Join(cache, "isthmus", hex.EncodeToString(sum.Sum(nil))[:16], "consul")
	if err := os.MkdirAll(filepath.Dir(want), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := consulrun.Binary(t.Context())
	if err != nil || got != want {
		t.Fatalf("got %s, %v; want %s", got, err, want)
	}
	t.Setenv(consulrun.EnvBinary, filepath.Join(cache, "nowhere"))
	if _, err := consulrun.Binary(t.Context()); fault.CodeOf(err) != fault.NotFound || !strings.Contains(err.Error(), consulrun.EnvBinary) {
		t.Fatalf("with a variable that names nothing: %v", err)
	}
}

func start(t *testing.T, datacenter string) *consulrun.Server {
	t.Helper()
	s, err := consulrun.Start(t.Context(), consulrun.Options{
		Binary: consultest.Binary(t), Dir: t.TempDir(), Datacenter: datacenter, UnixSocket: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func services(t *testing.T, s *consulrun.Server) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := s.Call(t.Context(), http.MethodGet, "/v1/catalog/services", nil, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func trustDomain(t *testing.T, s *consulrun.Server) string {
	t.Helper()
	var roots struct{ TrustDomain string }
	if err := s.Call(t.Context(), http.MethodGet, "/v1/connect/ca/roots", nil, &roots); err != nil {
		t.Fatal(err)
	}
	return roots.TrustDomain
}

func TestServerKeepsItsDataOverARestartAndLosesItInAWipe(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := start(t, "dc1")
	token, err := s.Token(ctx, "reader", `service_prefix "" { policy = "read" }`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RegisterService(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	paused, cancel := context.WithCancel(ctx)
	answered := make(chan error, 1)
	go func() { answered <- s.Call(paused, http.MethodGet, "/v1/status/leader", nil, nil) }()
	cancel()
	if err := <-answered; err == nil {
		t.Fatal("a paused server answered")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if _, ok := services(t, s)["web"]; !ok {
		t.Fatal("a restart lost the catalog")
	}
	before := trustDomain(t, s)
	if err := s.Wipe(ctx); err != nil {
		t.Fatal(err)
	}
	if _, ok := services(t, s)["web"]; ok {
		t.Fatal("a wipe kept the catalog")
	}
	if trustDomain(t, s) == before {
		t.Fatal("a wipe kept the trust domain")
	}
	var self struct{ SecretID string }
	if err := s.Call(ctx, http.MethodGet, "/v1/acl/token/self", nil, &self); err != nil || self.SecretID != s.ManagementToken {
		t.Fatalf("management token after a wipe: %v", err)
	}
	if env := s.Env(token); env[0] != "CONSUL_HTTP_ADDR=unix://"+s.Socket {
		t.Fatalf("environment: %v", env[0])
	}
}

func TestStoppedServersLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := start(t, "dc2")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatalf("stopping twice: %v", err)
	}
	address := strings.TrimPrefix(s.HTTPAddr, "https://")
	if c, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
		_ = c.Close()
		t.Fatal("somebody still listens")
	}
	if err := s.Pause(); fault.CodeOf(err) != fault.Refused {
		t.Fatalf("pausing a stopped server: %v", err)
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.Dir, "consul.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the configuration holds secrets and has mode %v, %v", info.Mode(), err)
	}
}

func TestStartSaysWhatConsulSaid(t *testing.T) {
	t.Parallel()
	_, err := consulrun.Start(t.Context(), consulrun.Options{
		Binary: consultest.Binary(t),
		Dir:    t.TempDir(), Datacenter: "dc3", Config: map[string]any{"no_such_setting": true},
	})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Fatalf("got %v", err)
	}
}
