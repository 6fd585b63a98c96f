package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isthmus/fault"
	"isthmus/peering"
	"isthmus/server"
	"isthmus/test/pgtest"
)

type serverConfig = server.Config

// A server that comes back has all that it had: resources, its CA and tokens; agents go on with their certificates.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, w := startIn(t, dir), newWorld()
	address := n.GRPCAddr()
	fleet := fleetKey(t)
	n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	n.becomes("dc1-dc2", peering.VerdictHealthy)
	fingerprint := n.server().GetCaFingerprint()
	n.stop()

	again := startIn(t, dir, func(c *server.Config) { c.GRPCAddr = address })
	if got := again.server().GetCaFingerprint(); got != fingerprint {
		t.Errorf("the CA is another one: %s, was %s", got, fingerprint)
	}
	again.becomes("dc1-dc2", peering.VerdictHealthy)
	again.want(http.StatusOK, again.call(http.MethodPost, "/v1/peerings/dc1-dc2:rotate", "{}"))
	again.uses("dc1-dc2", 2)
	if w.tokens != 2 {
		t.Errorf("%d tokens were minted for two generations", w.tokens)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, name := range []string{"admin.token", "server.key", "isthmus.db"} {
		info, err := os.Stat(filepath.Join(n.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

// Without the key that opens its secrets a store is of no use, and a new key would lock all agents out.
func TestWrongServerKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir)
	n.stop()
	key := filepath.Join(dir, "server.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	config := server.Config{DataDir: dir, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0"}
	if _, err := server.New(t.Context(), config); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "server key") {
		t.Errorf("without the key: %v", err)
	}
	other := start(t)
	config.ServerKeyFile = filepath.Join(other.dir, "server.key")
	if _, err := server.New(t.Context(), config); fault.CodeOf(err) != fault.Refused {
		t.Errorf("with another key: %v", err)
	}
	config.ServerKeyFile = key + ".away"
	s, err := server.New(t.Context(), config)
	if err != nil {
		t.Fatalf("with the right key: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Two servers over one PostgreSQL are one: what one is told the other knows, and either can go.
func TestTwoServersOverPostgreSQL(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	key := filepath.Join(t.TempDir(), "server.key")
	replica := func() *node {
		return start(t, func(c *server.Config) { c.Store, c.ServerKeyFile = url, key })
	}
	one := replica()
	two := replica()
	two.token = one.token
	if one.server().GetCaFingerprint() != two.server().GetCaFingerprint() {
		t.Fatal("the two servers have different CAs")
	}
	w, fleet := newWorld(), fleetKey(t)
	a1, a2 := one.enrol(w, fleet, "dc1").run(), two.enrol(w, fleet, "dc2").run()
	index := one.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n").header.Get("X-Isthmus-Index")
	two.want(http.StatusOK, two.call(http.MethodGet, "/v1/peerings/dc1-dc2?min-index="+index, ""))
	two.becomes("dc1-dc2", peering.VerdictHealthy)
	// A token that one made a moment ago is good at the other at once.
	viewer := one.apiToken("viewer")
	two.want(http.StatusOK, two.callAs(viewer, http.MethodGet, "/v1/peerings", ""))
	// The one that runs the controllers goes; the other one takes over.
	a1.stop()
	one.stop()
	a1.connect(two.GRPCAddr())
	a1.run()
	two.want(http.StatusOK, two.call(http.MethodPost, "/v1/peerings/dc1-dc2:rotate", "{}"))
	two.uses("dc1-dc2", 2)
	a2.stop()
}

func TestPostgreSQLWithoutItsKey(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	n := start(t, func(c *server.Config) { c.Store = url })
	n.stop()
	_, err := server.New(t.Context(), server.Config{DataDir: t.TempDir(), Store: url, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0"})
	if fault.CodeOf(err) != fault.Refused {
		t.Errorf("without the key: %v", err)
	}
}
