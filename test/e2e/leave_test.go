package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isthmus/federation"
)

// Who leaves becomes a datacenter of its own; its tokens are dead, and the WAN pool knows it no more.
func TestLeave(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	replication := f.replicationToken(dc2)
	if _, err := dc1.with(replication); err != nil {
		t.Fatalf("the replication token does not work: %v", err)
	}
	before := dc1.federationTokens()
	if len(before) != 4 {
		t.Errorf("dc1 has %q for dc2, want four tokens", before)
	}

	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: []}\n")
	f.Eventually("dc2 has left", func() error {
		if m := f.Member("global", "dc2"); m != nil {
			return fmt.Errorf("it is %s, %s: %s; hosts %v", m.GetPhase(), m.GetReason(), m.GetMessage(), m.GetHosts())
		}
		return nil
	})
	f.Eventually("its tokens are gone", func() error {
		if left := dc1.federationTokens(); len(left) > 0 {
			return fmt.Errorf("dc1 still has %q", left)
		}
		return nil
	})
	if _, err := dc1.with(replication); err == nil {
		t.Error("its replication token works still")
	}
	dc1.Alive("s1.dc1")
	// It takes no part in any WAN gossip: Consul would find the former pool in its snapshot.
	dc2.Alive()
	if _, err := os.Stat(filepath.Join(dc2.ConfigDir, federation.FileDropIn)); err == nil {
		var self struct {
			Config struct{ PrimaryDatacenter string }
		}
		dc2.Do(http.MethodGet, "/v1/agent/self", nil, &self)
		if self.Config.PrimaryDatacenter == "dc1" {
			t.Error("dc2 says that its primary is dc1 still")
		}
	}
	f.Eventually("dc2 stands alone", func() error { return dc2.read("dc2") })
}

// replicationToken is the one that a secondary's server has in its configuration.
func (f *Fleet) replicationToken(d *Datacenter) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.ConfigDir, federation.FileDropIn))
	if err != nil {
		f.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), `"replication": "`)
	token, _, _ := strings.Cut(rest, `"`)
	if !found || token == "" {
		f.t.Fatal("there is no replication token in the drop-in")
	}
	return token
}

// federationTokens are the descriptions of the tokens that were made for secondaries.
func (d *Datacenter) federationTokens() []string {
	d.f.t.Helper()
	var list []struct{ Description string }
	d.Do(http.MethodGet, "/v1/acl/tokens", nil, &list)
	var found []string
	for _, token := range list {
		if strings.HasPrefix(token.Description, "isthmus federation ") {
			found = append(found, token.Description)
		}
	}
	return found
}
