package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"isthmus/resource"
)

// Three servers of one secondary are restarted one after the other, and never two at once.
func TestThreeServersJoinOneAtATime(t *testing.T) {
	f := NewWorld(t, 4, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{CA: dc1, Servers: 3, Guard: true})
	f.Declare("dc1", "dc2")
	dc2.Do(http.MethodPut, "/v1/kv/kept", "by dc2", nil)
	before := dc2.pids()
	f.Accept("global", "dc2", "")
	f.Joined("global", dc1, dc2)
	dc1.Alive("s1.dc1", "s1.dc2", "s2.dc2", "s3.dc2")
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	dc2.restartedOneByOne(before)
	dc2.Do(http.MethodGet, "/v1/kv/kept", nil, nil)
}

// Three servers that never ran are started with their bundle, find each other, elect a leader and join. What changes later restarts them
// one after the other.
func TestThreeFreshServersJoin(t *testing.T) {
	f := NewWorld(t, 4, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{Fresh: true, Servers: 3, Guard: true})
	f.Declare("dc1", "dc2")
	f.Apply(federationOf("global", "dc2", "", ""))
	f.Joined("global", dc1, dc2)
	all := []string{"s1.dc1", "s1.dc2", "s2.dc2", "s3.dc2"}
	for _, d := range []*Datacenter{dc1, dc2} {
		d.Register("web-of-" + d.Cluster.Datacenter)
		d.Alive(all...)
	}
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	f.Says("members", []string{"members"}, all...)
	f.Says("services of dc2", []string{"services", "--datacenter", "dc2"}, "web-of-dc2")
	f.delivered("global", "dc2", 3)
	var peers []string
	if dc2.Do(http.MethodGet, "/v1/status/peers", nil, &peers); len(peers) != 3 {
		t.Errorf("the servers of dc2 in Raft are %v", peers)
	}

	t.Log("what only a restart takes over")
	// Servers without a leader have none to lose: they may have been started together.
	if err := os.Remove(f.path("dc2-two-at-once")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	before := dc2.pids()
	f.Apply(federationOf("global", "dc2", "  retryIntervalWAN: 3s\n", ""))
	f.Eventually("all three were restarted", func() error { return dc2.running(before) })
	f.delivered("global", "dc2", 3)
	dc2.restartedOneByOne(before)
	f.Joined("global", dc1, dc2)
	dc1.Alive(all...)
	dc1.Reads(dc2)
	dc2.Reads(dc1)
}

// pids are the processes of its servers.
func (d *Datacenter) pids() (pids []int) {
	for _, s := range d.Servers {
		pids = append(pids, s.PID())
	}
	return pids
}

// running tells which of its servers still are the processes that they were.
func (d *Datacenter) running(before []int) error {
	for i, pid := range d.pids() {
		if pid == before[i] {
			return fmt.Errorf("server %d was not restarted", i+1)
		}
	}
	return nil
}

// restartedOneByOne: each server is another process than before, and no two were down at once.
func (d *Datacenter) restartedOneByOne(before []int) {
	d.f.t.Helper()
	if err := d.running(before); err != nil {
		d.f.t.Error(err)
	}
	if broken, err := filepath.Glob(d.f.path(d.Cluster.Datacenter + "-two-at-once")); err != nil || len(broken) > 0 {
		d.f.t.Errorf("two servers were down at once (%v)", err)
	}
}

// delivered waits until so many hosts of a member have all that they were given, and Consul runs with it.
func (f *Fleet) delivered(federation, datacenter string, hosts int) {
	f.t.Helper()
	f.Eventually("each server host of "+datacenter+" runs with its bundle", func() error {
		applied := 0
		for _, h := range f.Member(federation, datacenter).GetHosts() {
			if h.GetState() == resource.DeliveryApplied && h.GetApplied() == f.Member(federation, datacenter).GetBundle().GetGeneration() {
				applied++
			}
		}
		if applied != hosts {
			return fmt.Errorf("%d of %d do: %v", applied, hosts, f.Member(federation, datacenter).GetHosts())
		}
		return nil
	})
}
