package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"isthmus/agent"
	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What the documentation shows first: web may call api of dc1 from wherever it runs, and calls of api go elsewhere when it is ill.
const (
	apiFromWeb = `
kind: Intention
name: api-from-web
spec:
  destination: {service: api, datacenters: [dc1]}
  sources: [{service: web, selector: env=prod, action: allow}]
`
	apiFailover = `
kind: TrafficPolicy
name: api-failover
spec:
  service: api
  selector: env=prod
  failover: [{datacenters: [dc2, dc3]}]
`
)

// production are Datacenters with label env: prod, and more in the spec of each.
func production(spec string, names ...string) string {
	var out strings.Builder
	for _, name := range names {
		fmt.Fprintf(&out, "---\nkind: Datacenter\nname: %s\nlabels: {env: prod}\nspec: {runtime: vm%s}\n", name, spec)
	}
	return out.String()
}

// entry is a config entry as Consul has it, without its indexes and its hash; nil when there is none.
func (d *Datacenter) entry(kind, name string) map[string]any {
	d.f.t.Helper()
	var list []map[string]any
	d.Do(http.MethodGet, "/v1/config/"+kind, nil, &list)
	for _, e := range list {
		if e["Name"] == name {
			delete(e, "CreateIndex")
			delete(e, "ModifyIndex")
			delete(e, "Hash") // over the indexes, too
			return e
		}
	}
	return nil
}

// set writes a config entry, as people do.
func (d *Datacenter) set(entry map[string]any) {
	d.f.t.Helper()
	d.Do(http.MethodPut, "/v1/config", entry, nil)
}

// text is an entry in one form: two that are the same have the same.
func text(entry map[string]any) string {
	out, err := json.Marshal(entry)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// isEntry waits until an entry is just this one; nil: there is none.
func (d *Datacenter) isEntry(what, kind, name string, want map[string]any) {
	d.f.t.Helper()
	d.f.Eventually(what, func() error {
		if got := d.entry(kind, name); text(got) != text(want) {
			return fmt.Errorf("%s/%s in %s is\n%s, not\n%s", kind, name, d.Cluster.Datacenter, text(got), text(want))
		}
		return nil
	})
}

// sourcesOf are an entry's sources as NAME=ACTION or NAME@PEER=ACTION, sorted.
func sourcesOf(entry map[string]any) []string {
	var out []string
	sources, _ := entry["Sources"].([]any)
	for _, s := range sources {
		source, _ := s.(map[string]any)
		word := fmt.Sprint(source["Name"])
		if peer, _ := source["Peer"].(string); peer != "" {
			word += "@" + peer
		}
		out = append(out, fmt.Sprintf("%s=%v", word, source["Action"]))
	}
	slices.Sort(out)
	return out
}

// Decides waits until the intentions of a service have just these sources.
func (d *Datacenter) Decides(service string, want ...string) {
	d.f.t.Helper()
	d.f.Eventually(fmt.Sprintf("%s decides on %s by %v", d.Cluster.Datacenter, service, want), func() error {
		if got := sourcesOf(d.entry("service-intentions", service)); !slices.Equal(got, want) {
			return fmt.Errorf("it has %v", got)
		}
		return nil
	})
}

// chain is what Consul answers about where calls of a service go.
type chain struct {
	StartNode string
	Nodes     map[string]struct {
		Type     string
		Resolver *struct {
			Target   string
			Failover *struct{ Targets []string }
		}
		Splits []struct {
			Weight   float64
			NextNode string
		}
	}
	Targets map[string]struct{ Service, Datacenter, Peer string }
}

// chain asks this datacenter's Consul.
func (d *Datacenter) chain(service string) (chain, error) {
	var answer struct{ Chain chain }
	err := d.Call(d.f.t.Context(), http.MethodGet, "/v1/discovery-chain/"+service, nil, &answer)
	return answer.Chain, err
}

// place is where a target is: peer dc2, or api in dc2.
func (c chain) place(target string) string {
	t := c.Targets[target]
	if t.Peer != "" {
		return t.Service + " of peer " + t.Peer
	}
	return t.Service + " in " + t.Datacenter
}

// ways are where calls go, and where they go next when that is ill, in order.
func (c chain) ways(node string) []string {
	n := c.Nodes[node]
	if n.Resolver == nil {
		return nil
	}
	out := []string{c.place(n.Resolver.Target)}
	if n.Resolver.Failover != nil {
		for _, t := range n.Resolver.Failover.Targets {
			out = append(out, c.place(t))
		}
	}
	return out
}

// Goes waits until Consul sends calls of a service this way.
func (d *Datacenter) Goes(service string, want ...string) {
	d.f.t.Helper()
	d.f.Eventually(fmt.Sprintf("calls of %s in %s go to %v", service, d.Cluster.Datacenter, want), func() error {
		c, err := d.chain(service)
		if err != nil {
			return err
		}
		if got := c.ways(c.StartNode); !slices.Equal(got, want) {
			return fmt.Errorf("they go to %v", got)
		}
		return nil
	})
}

// policy is the status of a policy.
func (f *Fleet) policy(kind, name string) *isthmusv1.PolicyStatus {
	f.t.Helper()
	status, _ := resource.Status(f.object(kind, name)).(*isthmusv1.PolicyStatus)
	return status
}

// object reads a resource.
func (f *Fleet) object(kind, name string) resource.Object {
	f.t.Helper()
	k, _ := resource.KindNamed(kind)
	o, err := f.Client.Get(f.t.Context(), k, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return o
}

// Splits waits until Consul sends shares of calls of a service to these places: 90 api in dc1.
func (d *Datacenter) Splits(service string, want ...string) {
	d.f.t.Helper()
	d.f.Eventually(fmt.Sprintf("calls of %s in %s are split: %v", service, d.Cluster.Datacenter, want), func() error {
		c, err := d.chain(service)
		if err != nil {
			return err
		}
		var got []string
		for _, s := range c.Nodes[c.StartNode].Splits {
			got = append(got, fmt.Sprintf("%g %v", s.Weight, c.ways(s.NextNode)))
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// Ready waits until the condition Ready of something has a reason, in its present generation.
func (f *Fleet) Ready(kind, name, reason string) {
	f.t.Helper()
	f.Eventually(fmt.Sprintf("%s %s is %s", kind, name, reason), func() error {
		o := f.object(kind, name)
		conditioned, _ := resource.Status(o).(interface {
			GetConditions() []*isthmusv1.Condition
		})
		ready := resource.FindCondition(conditioned.GetConditions(), resource.ConditionReady)
		if ready.GetReason() != reason || ready.GetObservedGeneration() != o.GetGeneration() {
			return fmt.Errorf("it is %s: %s", ready.GetReason(), ready.GetMessage())
		}
		return nil
	})
}

// Told waits until the audit log has an event of an action about something, whose message has all of these words.
func (f *Fleet) Told(action, kind, name string, words ...string) *isthmusv1.EventSpec {
	f.t.Helper()
	var found *isthmusv1.EventSpec
	f.Eventually(fmt.Sprintf("the audit log tells of %s of %s %s: %v", action, kind, name, words), func() error {
		events, err := f.Client.Events(f.t.Context(), client.EventOptions{Kind: kind, Target: name, Last: 100})
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.GetSpec().GetAction() == action && containsAll(e.GetSpec().GetMessage(), words...) {
				found = e.GetSpec()
				return nil
			}
		}
		return fmt.Errorf("it has %v", events)
	})
	return found
}

// MayWritePolicies gives a datacenter's agents the further rights that policies need, as the documentation says: further policies on the same
// token.
func (d *Datacenter) MayWritePolicies() {
	d.f.t.Helper()
	var own struct {
		AccessorID  string
		Description string
		Policies    []map[string]any
	}
	accessor, err := d.with(d.token)
	if err != nil {
		d.f.t.Fatal(err)
	}
	d.Do(http.MethodGet, "/v1/acl/token/"+accessor, nil, &own)
	for _, purpose := range []string{agent.PurposeIntentions, agent.PurposeTraffic} {
		name := "isthmus-" + purpose
		d.Do(http.MethodPut, "/v1/acl/policy", map[string]any{"Name": name, "Rules": d.f.rules(purpose)}, nil)
		own.Policies = append(own.Policies, map[string]any{"Name": name})
	}
	d.Do(http.MethodPut, "/v1/acl/token/"+accessor, own, nil)
}

// with is an entry with other fields.
func with(entry map[string]any, fields map[string]any) map[string]any {
	out := maps.Clone(entry)
	maps.Copy(out, fields)
	return out
}
