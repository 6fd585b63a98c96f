package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const ownRules = `service_prefix "" { policy = "read" }`

// A datacenter that runs and has data joins: what it would lose is told thing by thing, and nothing happens before somebody has accepted
// just that, and its own agent is allowed to.
func TestJoinOfARunningDatacenter(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{CA: dc1, NoJoin: true})
	f.Declare("dc1", "dc2")
	own := dc2.MintToken("app-of-dc2", ownRules)
	dc2.Do(http.MethodPut, "/v1/kv/kept", "by dc2", nil)
	dc2.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "service-defaults", "Name": "app", "Protocol": "http"}, nil)

	t.Log("the plan is exactly what will go")
	f.Apply(federationOf("global", "dc2", "", ""))
	f.Phase("global", "dc2", resource.PhaseBlocked)
	f.Eventually("the plan knows what was made last", func() error {
		for _, l := range f.Planned("global", "dc2").GetLosses() {
			if l.GetName() == "service-defaults/app" {
				return nil
			}
		}
		return fmt.Errorf("service-defaults/app is not in it")
	})
	plan := f.Planned("global", "dc2")
	dc2.wouldLose(plan, "policy", dc2.policies())
	dc2.wouldLose(plan, "token", dc2.accessors())
	dc2.wouldLose(plan, "config-entry", []string{"service-defaults/app"})
	f.Says("the plan", []string{"federation", "plan", "global"}, "app-of-dc2", "service-defaults/app", plan.GetDigest())
	if out, _, _ := f.RunWith(federationOf("global", "dc2", "", ""), "apply", "--dry-run", "-f", "-"); !containsAll(out, "app-of-dc2", plan.GetDigest()) {
		t.Errorf("apply --dry-run does not say what dc2 would lose:\n%s", out)
	}
	f.Finds("LossAccepted", "dc2", finds, plan.GetDigest(), "isthmus federation plan global")

	t.Log("accepted, and not allowed on its own host")
	f.Apply(federationOf("global", "dc2", "", plan.GetDigest()))
	f.Phase("global", "dc2", resource.PhaseBlocked, "JoinNotAllowed")
	f.Passes("LossAccepted")
	dc2.stillItsOwn(own)

	t.Log("allowed, and the plan has changed since it was accepted")
	dc2.MintToken("made-meanwhile", ownRules)
	f.Eventually("the plan is another one", func() error {
		if f.Planned("global", "dc2").GetDigest() == plan.GetDigest() {
			return fmt.Errorf("the digest is still %s", plan.GetDigest())
		}
		return nil
	})
	dc2.Agents[0].With("--allow-join=dc1")
	f.Phase("global", "dc2", resource.PhaseBlocked, "LossNotAccepted")
	dc2.stillItsOwn(own)

	t.Log("accepted and allowed")
	f.Apply(federationOf("global", "dc2", "", f.Planned("global", "dc2").GetDigest()))
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	var kept []struct{ Value []byte }
	dc2.Do(http.MethodGet, "/v1/kv/kept", nil, &kept)
	if len(kept) != 1 || !strings.Contains(string(kept[0].Value), "by dc2") {
		t.Errorf("the KV data are %v", kept)
	}
	f.Eventually("its own tokens are gone", func() error {
		if _, err := dc2.with(own); err == nil {
			return fmt.Errorf("the token works")
		}
		return nil
	})
}

// The same between datacenters whose servers have certificates of different CAs: first all trust both, then it joins.
func TestJoinWithAnotherCA(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{})
	f.Declare("dc1", "dc2")
	dc2.Do(http.MethodPut, "/v1/kv/kept", "by dc2", nil)
	f.Accept("global", "dc2", "")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	dc1.Alive("s1.dc1", "s1.dc2")
	dc2.Do(http.MethodGet, "/v1/kv/kept", nil, nil)
}

// wouldLose compares what a plan has of one kind.
func (d *Datacenter) wouldLose(plan *isthmusv1.MemberPlan, kind string, want []string) {
	d.f.t.Helper()
	var got []string
	for _, item := range plan.GetLosses() {
		if item.GetKind() == kind {
			got = append(got, item.GetName())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.f.t.Errorf("the plan says that each %s of %q goes; there are %q", kind, got, want)
	}
}

// policies are those that it has itself: not those that every Consul has.
func (d *Datacenter) policies() []string {
	d.f.t.Helper()
	var list []struct{ Name string }
	d.Do(http.MethodGet, "/v1/acl/policies", nil, &list)
	var names []string
	for _, p := range list {
		if p.Name != "global-management" && p.Name != "builtin/global-read-only" {
			names = append(names, p.Name)
		}
	}
	return names
}

// accessors are those of its tokens, but for the anonymous one, which every Consul has.
func (d *Datacenter) accessors() []string {
	d.f.t.Helper()
	var list []struct{ AccessorID string }
	d.Do(http.MethodGet, "/v1/acl/tokens", nil, &list)
	var ids []string
	for _, token := range list {
		if token.AccessorID != "00000000-0000-0000-0000-000000000002" {
			ids = append(ids, token.AccessorID)
		}
	}
	return ids
}

// stillItsOwn: nothing was done to it.
func (d *Datacenter) stillItsOwn(token string) {
	d.f.t.Helper()
	if _, err := d.with(token); err != nil {
		d.f.t.Errorf("its own token works no more: %v", err)
	}
	var self struct {
		Config struct{ PrimaryDatacenter string }
	}
	d.Do(http.MethodGet, "/v1/agent/self", nil, &self)
	if got := self.Config.PrimaryDatacenter; got != "" && got != d.Cluster.Datacenter {
		d.f.t.Errorf("its primary is %s", got)
	}
}

// with asks for what a token is.
func (d *Datacenter) with(token string) (accessor string, err error) {
	d.f.t.Helper()
	var self struct{ AccessorID string }
	err = d.CallAs(d.f.t.Context(), token, http.MethodGet, "/v1/acl/token/self", nil, &self)
	return self.AccessorID, err
}
