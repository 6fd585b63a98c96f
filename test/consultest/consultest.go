// Package consultest gives tests real Consul servers, one call each. It is demo/consulrun for *testing.T: the server ends
// with the test. Where there is no Consul, a test is skipped with the reason, but for CI, where it fails.
//
// Does not own: the server itself (demo/consulrun). Start reading at Start.
package consultest

import (
	"net/http"
	"os"
	"testing"
	"time"

	"isthmus/demo/consulrun"
)

// Cluster is one Consul datacenter of one server.
type Cluster struct {
	*consulrun.Server
	t testing.TB
}

// Start runs a Consul datacenter for the length of a test.
func Start(t testing.TB, datacenter string) *Cluster {
	t.Helper()
	return StartWith(t, consulrun.Options{Datacenter: datacenter})
}

// StartWith is Start with options; Dir is a directory of the test's when it is empty.
func StartWith(t testing.TB, options consulrun.Options) *Cluster {
	t.Helper()
	if options.Dir == "" {
		options.Dir = shortDir(t)
	}
	if options.Binary == "" {
		options.Binary = Binary(t)
	}
	s, err := consulrun.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			tell(t, s) // before it stops, which says more than fits
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &Cluster{Server: s, t: t}
}

// tell shows the end of a server's log, which knows no secret.
func tell(t testing.TB, s *consulrun.Server) {
	t.Helper()
	const most = 12_000
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		t.Log(err)
		return
	}
	t.Logf("the end of the log of Consul %s in %s:\n%s", s.Node, s.Datacenter, text[max(0, len(text)-most):])
}

// Binary is the consul to run. Without one the test is skipped, but for CI (CI=true), where it fails.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := consulrun.Binary(t.Context())
	switch {
	case err == nil:
		return binary
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return ""
}

// shortDir is t.TempDir with a path that a unix socket's 108 bytes have room for.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "consul") //nolint:usetesting // t.TempDir has the test's name in it, which is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

const (
	// patience is how long Await waits: ten times what anything takes on a busy machine.
	patience = 60 * time.Second
	// glance is how often it looks.
	glance = 50 * time.Millisecond
)

// Await looks until there is no error; the last one says what is still missing.
func Await(t testing.TB, what string, look func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not after %s: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// Do is Call that fails the test.
func (c *Cluster) Do(method, path string, in, out any) {
	c.t.Helper()
	if err := c.Call(c.t.Context(), method, path, in, out); err != nil {
		c.t.Fatal(err)
	}
}

// MintToken is Token that fails the test.
func (c *Cluster) MintToken(name, rules string) string {
	c.t.Helper()
	secret, err := c.Token(c.t.Context(), name, rules)
	if err != nil {
		c.t.Fatal(err)
	}
	return secret
}

// Register puts a healthy instance of each service into the catalog.
func (c *Cluster) Register(services ...string) {
	c.t.Helper()
	for _, name := range services {
		if err := c.RegisterService(c.t.Context(), name); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Peering is what Consul shows of one peering, as far as tests look.
type Peering struct {
	ID, Name, State, PeerID string
	Meta                    map[string]string
	StreamStatus            struct {
		// LastHeartbeat is when one was received last; nil: never.
		LastHeartbeat *time.Time
	}
}

// Peerings are those of the datacenter, by name.
func (c *Cluster) Peerings() map[string]Peering {
	c.t.Helper()
	var list []Peering
	c.Do(http.MethodGet, "/v1/peerings", nil, &list)
	peerings := make(map[string]Peering, len(list))
	for _, p := range list {
		peerings[p.Name] = p
	}
	return peerings
}

// Healthy is the number of healthy instances of a service, imported from a peer unless peer is empty.
func (c *Cluster) Healthy(service, peer string) int {
	c.t.Helper()
	path := "/v1/health/service/" + service + "?passing=true"
	if peer != "" {
		path += "&peer=" + peer
	}
	var list []any
	c.Do(http.MethodGet, path, nil, &list)
	return len(list)
}
