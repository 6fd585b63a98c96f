package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What breaks after a join is shown where an operator looks, with its cause, and is well again when the cause is gone.
func TestCausesAfterTheJoin(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)

	t.Log("a gateway that nobody reaches")
	f.paired("global", "healthy")
	dc1.Gateways[0].kill()
	f.paired("global", "broken", "dc2 reaches no gateway of dc1", dc1.Gateways[0].WAN, "does not read dc1")
	out, problem, code := f.Run("connections", "--kind", "federation", "-o", "wide")
	if code != 2 || !containsAll(out, dc1.Gateways[0].WAN, "ConnectionRefused", "isthmus describe federation global") {
		t.Errorf("isthmus connections ends with %d:\n%s%s", code, out, problem)
	}
	f.Says("the matrix", []string{"reachability", "-o", "wide"}, dc1.Gateways[0].WAN, "ConnectionRefused")
	f.Says("the federation", []string{"describe", "federation", "global"}, "GatewayReachable", "ConnectionRefused")
	dc1.Gateways[0].Restart()
	f.Joined("global", dc1, dc2)
	f.Eventually("it is reached again", func() error { return f.reaches("dc2", dc1.Gateways[0].WAN) })
	// Consul's own servers, too: until then one that fails to replicate may go round the gateways.
	f.Eventually("dc2's Consul reads dc1 through it again", func() error {
		return dc2.Call(f.t.Context(), http.MethodGet, "/v1/catalog/services?dc=dc1", nil, nil)
	})
	f.Eventually("and replicates", dc2.replicates)
	f.paired("global", "healthy")

	t.Log("a route that is gone: dc2 cannot dial dc1's gateway")
	dc2.space.Lose(dc1.space.WAN[0])
	f.Finds("SecondaryReachesPrimary", "dc2", finds, dc1.Gateways[0].WAN, "let hosts of dc2 connect to")
	f.Finds("ConnectionHealthy", "dc1", finds, "dc2 reaches no gateway of dc1")
	dc2.space.Find(dc1.space.WAN[0])
	f.Passes("SecondaryReachesPrimary", "GatewayReachable", "ConnectionHealthy", "ACLReplication")

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

// paired waits until the two members of a federation are healthy, or broken: dc2 does not read dc1, and dc1 may read dc2 for as long as the
// gossip still knows its servers.
func (f *Fleet) paired(federation, how string, words ...string) {
	f.t.Helper()
	f.Eventually("the pair of "+federation+" is "+how, func() error {
		c := f.connection("federation", federation)
		is := map[string]bool{
			"healthy": c.GetVerdict() == "healthy" && c.GetBroken() == "",
			"broken":  c.GetVerdict() == "one-sided" && c.GetBroken() == "b-to-a" || c.GetVerdict() == "failing" && c.GetBroken() == "both",
		}
		if !is[how] || !containsAll(c.GetMessage(), words...) {
			return fmt.Errorf("it is %s, broken %q, %s: %s", c.GetVerdict(), c.GetBroken(), c.GetReason(), c.GetMessage())
		}
		return nil
	})
}

// A server that was restored from an old backup has the old gossip key in its data, which Consul believes more than its configuration.
func TestWrongGossipKeyIsShown(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	f.Eventually("dc2 has all tokens itself", dc2.replicates)
	if err := dc2.Kill(); err != nil {
		t.Fatal(err)
	}
	rings, err := filepath.Glob(filepath.Join(dc2.Dir, "data", "serf", "*.keyring"))
	if err != nil || len(rings) != 2 {
		t.Fatalf("the keyrings are %v, %v", rings, err)
	}
	before := map[string][]byte{}
	for _, ring := range rings {
		if before[ring], err = os.ReadFile(ring); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ring, []byte(`["pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="]`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, dc2.RestartCommand())
	f.Says("the federation", []string{"describe", "federation", "global"}, "Wrong gossip key")
	for ring, text := range before {
		if err := os.WriteFile(ring, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, dc2.RestartCommand())
	f.Joined("global", dc1, dc2)
	f.Eventually("all is well", func() error {
		if out, _, code := f.Run("status"); code != 0 {
			return errors.New(out)
		}
		return nil
	})
}

// shell runs a command of a host.
func shell(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// A primary's agent that was given another CA than the one of the servers' certificates makes no bundle with it.
func TestWrongCAIsShown(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc2 := f.Site("dc2", Site{})
	f.Site("dc1", Site{Primary: true, ShowCAOf: dc2})
	f.Declare("dc1", "dc2")
	f.Accept("global", "dc2", "")
	f.Says("the federation", []string{"describe", "federation", "global"}, "--consul-ca-cert")
	if _, err := dc2.with(dc2.ManagementToken); err != nil {
		t.Errorf("dc2 was joined with certificates that nobody believes: %v", err)
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
