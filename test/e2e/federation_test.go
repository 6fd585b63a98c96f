package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
)

// Three datacenters with the same addresses inside, of which two do not even run: a manifest, and they are one federation.
func TestFreshFederation(t *testing.T) {
	f := NewWorld(t, 3, "dc1", "dc2", "dc3")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2, dc3 := f.Site("dc2", Site{Fresh: true}), f.Site("dc3", Site{Fresh: true})
	f.Declare("dc1", "dc2", "dc3")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], mode: mesh-gateway}\n")
	f.Joined("global", dc1, dc2, dc3)

	all := []*Datacenter{dc1, dc2, dc3}
	for _, d := range all {
		d.Register("web-of-" + d.Cluster.Datacenter)
	}
	for _, from := range all {
		for _, of := range all {
			from.Reads(of)
		}
		from.Alive("s1.dc1", "s1.dc2", "s1.dc3")
	}

	f.Says("members", []string{"members"}, "s1.dc1", "s1.dc2", "s1.dc3", "alive")
	f.Says("the matrix", []string{"reachability"}, "dc1", "dc2", "dc3")
	f.Says("services of dc2", []string{"services", "--datacenter", "dc2"}, "web-of-dc2")
	f.Eventually("all reach all", func() error {
		cells, err := f.Client.Reachability(t.Context(), "global")
		if err != nil {
			return err
		}
		reached := 0
		for _, c := range cells.GetCells() {
			if c.GetReached() == "yes" {
				reached++
			}
		}
		if reached != 6 {
			return fmt.Errorf("%d of 6 are reached: %v", reached, cells.GetCells())
		}
		return nil
	})
	if out, problem, code := f.Run("status"); code != 0 {
		t.Errorf("isthmus status ends with %d\n%s%s", code, out, problem)
	}
}

// Reads waits until another datacenter's catalog is read from this one, through the gateways.
func (d *Datacenter) Reads(of *Datacenter) {
	d.f.t.Helper()
	from, to := d.Cluster.Datacenter, of.Cluster.Datacenter
	d.f.Eventually(from+" reads the catalog of "+to, func() error { return d.read(to) })
}

func (d *Datacenter) read(of string) error {
	d.f.t.Helper()
	services := map[string]any{}
	if err := d.Call(d.f.t.Context(), http.MethodGet, "/v1/catalog/services?dc="+of, nil, &services); err != nil {
		return err
	}
	if _, there := services["consul"]; !there {
		return fmt.Errorf("there is no consul in %v", services)
	}
	return nil
}

// Alive waits until a datacenter's WAN pool has these members, all of them alive, and no others.
func (d *Datacenter) Alive(members ...string) {
	d.f.t.Helper()
	d.f.Eventually(fmt.Sprintf("%s sees %v alive", d.Cluster.Datacenter, members), func() error { return d.alive(members) })
}

func (d *Datacenter) alive(members []string) error {
	d.f.t.Helper()
	var pool []struct {
		Name   string
		Status int
	}
	if err := d.Call(d.f.t.Context(), http.MethodGet, "/v1/agent/members?wan=1", nil, &pool); err != nil {
		return err
	}
	const alive = 1
	seen := map[string]int{}
	for _, m := range pool {
		seen[m.Name] = m.Status
	}
	for _, m := range members {
		if seen[m] != alive {
			return fmt.Errorf("%s is not alive in %v", m, seen)
		}
	}
	if len(seen) != len(members) {
		return fmt.Errorf("the pool is %v", seen)
	}
	return nil
}

// Says waits until a command's output has all of these words in it.
func (f *Fleet) Says(what string, args []string, words ...string) {
	f.t.Helper()
	f.Eventually(what+" shows it all", func() error {
		out, problem, code := f.Run(args...)
		if code != 0 || !containsAll(out, words...) {
			return fmt.Errorf("exit code %d\n%s%s", code, out, problem)
		}
		return nil
	})
}
