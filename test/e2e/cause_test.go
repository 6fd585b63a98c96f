package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"isthmus/resource"
)

// What breaks after a join is shown where an operator looks, with its cause, and is well again when the cause is gone.
func TestCausesAfterTheJoin(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)

	t.Log("a gateway that nobody reaches")
	dc1.Gateways[0].kill()
	f.Says("the matrix", []string{"reachability", "-o", "wide"}, dc1.Gateways[0].WAN, "ConnectionRefused")
	f.Says("the federation", []string{"describe", "federation", "global"}, "GatewayReachable", "ConnectionRefused")
	dc1.Gateways[0].Restart()
	f.Joined("global", dc1, dc2)
	f.Eventually("it is reached again", func() error { return f.reaches("dc2", dc1.Gateways[0].WAN) })

	t.Log("a replication token that somebody revoked, while nobody can make another")
	dc1.Agents[0].stop()
	before := f.replicationToken(dc2)
	dc1.Do(http.MethodDelete, "/v1/acl/token/"+dc1.accessorOf(before), nil, nil)
	f.Says("the federation", []string{"describe", "federation", "global"}, "replication", "ACL not found")
	dc1.Agents[0].Restart()
	f.Eventually("there is another token, and replication goes on", func() error {
		if f.replicationToken(dc2) == before {
			return fmt.Errorf("dc2 has the same token still")
		}
		return dc2.replicates()
	})
	f.Joined("global", dc1, dc2)
}

// A server that has been somebody's before has the old gossip key in its data, which Consul believes more than its configuration.
func TestWrongGossipKeyIsShown(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	serf := filepath.Join(dc2.Dir, "data", "serf")
	if err := os.MkdirAll(serf, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, pool := range []string{"local", "remote"} {
		ring, err := json.Marshal([]string{"pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(serf, pool+".keyring"), ring, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Says("the federation", []string{"describe", "federation", "global"}, "gossip key")
	if phase := f.Member("global", "dc2").GetPhase(); phase == resource.PhaseJoined {
		t.Errorf("dc2 is %s", phase)
	}
}

// A primary's agent that was given another CA than the one of the servers' certificates makes no bundle with it.
func TestWrongCAIsShown(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc2 := f.Site("dc2", Site{})
	f.Site("dc1", Site{Primary: true, ShowCAOf: dc2})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Says("the federation", []string{"describe", "federation", "global"}, "--consul-ca-cert")
	if phase := f.Member("global", "dc2").GetPhase(); phase == resource.PhaseJoined || phase == resource.PhaseJoining {
		t.Errorf("dc2 is %s", phase)
	}
}

func (d *Datacenter) accessorOf(token string) string {
	d.f.t.Helper()
	accessor, err := d.with(token)
	if err != nil {
		d.f.t.Fatal(err)
	}
	return accessor
}

// replicates tells whether ACLs are replicated now.
func (d *Datacenter) replicates() error {
	d.f.t.Helper()
	var r struct {
		Running                bool
		LastSuccess, LastError string
		LastErrorMessage       string
	}
	if err := d.Call(d.f.t.Context(), http.MethodGet, "/v1/acl/replication", nil, &r); err != nil {
		return err
	}
	if !r.Running || r.LastSuccess <= r.LastError {
		return fmt.Errorf("ACL replication: %+v", r)
	}
	return nil
}
