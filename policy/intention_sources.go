package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// wantsOf are the sources that an Intention comes to, whose destination is in some members of the realm.
func (c *compilation) wantsOf(i *isthmusv1.Intention, destination []*isthmusv1.Datacenter) []want {
	f := finder{c: c, i: i, destination: destination}
	if namespace := i.GetSpec().GetDestination().GetNamespace(); c.lacksNamespaces(namespace) {
		f.problem("spec.destination.namespace", c.needsEnterprise(namespace))
		return nil
	}
	for n, s := range i.GetSpec().GetSources() {
		at := "spec.sources[" + strconv.Itoa(n) + "]"
		if c.lacksNamespaces(s.GetNamespace()) {
			f.problem(at+".namespace", c.needsEnterprise(s.GetNamespace()))
			continue
		}
		f.source(at, s)
	}
	f.narrowSources()
	f.narrowDestination()
	return f.wants
}

// finder finds the sources that one Intention comes to.
type finder struct {
	c           *compilation
	i           *isthmusv1.Intention
	destination []*isthmusv1.Datacenter
	wants       []want
	// inside are the members of a federation for which a source without a peer was found, by key and decision.
	inside map[string]map[string]bool
}

func (f *finder) problem(field string, p *isthmusv1.PolicyProblem) {
	p.Field, p.Datacenter = field, f.c.realm.home
	f.c.problem(policyName(f.i), p)
}

// source adds what one item comes to: a plain source for what is in the realm, and one for each peer.
func (f *finder) source(at string, s *isthmusv1.IntentionSource) {
	if s.GetPeer() != "" {
		f.peer(at, s, s.GetPeer())
		return
	}
	if len(s.GetDatacenters()) == 0 && s.GetSelector() == "" {
		members := f.c.realm.members
		if len(members) == 0 && keepsOut(s) {
			members = f.c.realm.leaving
		}
		f.plain(at, s, members)
		return
	}
	members := f.c.choose(f.c.realm.members, s.GetDatacenters(), s.GetSelector())
	if keepsOut(s) {
		members = append(members, f.c.choose(f.c.realm.leaving, s.GetDatacenters(), s.GetSelector())...)
	}
	f.plain(at, s, members)
	chooses := resource.ChoosesIn(f.c.r, s.GetDatacenters(), s.GetSelector())
	reached := map[string]map[string]bool{}
	for _, member := range f.destination {
		peers := map[string]peer{}
		maps.Copy(peers, f.c.realm.ties().peers[member.GetName()])
		if keepsOut(s) {
			maps.Copy(peers, f.c.realm.ties().leaving[member.GetName()])
		}
		for name, p := range peers {
			dc, ok := resource.Lookup[*isthmusv1.Datacenter](f.c.r, resource.KindDatacenter, p.datacenter)
			if !ok || !chooses(dc) {
				continue
			}
			if reached[name] == nil {
				reached[name] = map[string]bool{}
			}
			reached[name][p.datacenter] = true
		}
	}
	connected := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(reached)) {
		f.peer(at, s, name)
		maps.Copy(connected, reached[name])
	}
	f.sharedTrust(at, s, connected, chooses)
	f.notConnected(at, s, connected)
}

// keepsOut tells whether a source may be there to keep somebody out: whoever is on the way out is, as long as it is connected.
func keepsOut(s *isthmusv1.IntentionSource) bool { return s.GetAction() != resource.ActionAllow }

// plain adds a source without a peer.
func (f *finder) plain(at string, s *isthmusv1.IntentionSource, members []*isthmusv1.Datacenter) {
	if len(members) == 0 {
		return
	}
	w := want{intention: f.i, field: at, source: sourceOf(f.i, s, "")}
	f.wants = append(f.wants, w)
	if f.c.realm.federation == "" {
		return
	}
	of := f.inside[w.source.decision()]
	if of == nil {
		if f.inside == nil {
			f.inside = map[string]map[string]bool{}
		}
		of = map[string]bool{}
		f.inside[w.source.decision()] = of
	}
	for _, dc := range members {
		of[dc.GetName()] = true
	}
}

// peer adds a source that calls from a peer. The entry counts for all members of a federation, in each of which the name must be the same
// peer, or none.
func (f *finder) peer(at string, s *isthmusv1.IntentionSource, name string) {
	who := map[string][]string{}
	for _, member := range f.c.realm.members {
		if p, ok := f.c.realm.ties().peers[member.GetName()][name]; ok {
			who[p.identity()] = append(who[p.identity()], member.GetName())
		}
	}
	if len(who) > 1 {
		var each []string
		for _, id := range slices.Sorted(maps.Keys(who)) {
			each = append(each, fmt.Sprintf("%s in %s", id, resource.Some(who[id], mostNamed)))
		}
		f.problem(at, &isthmusv1.PolicyProblem{
			Reason: ReasonPeerAmbiguous,
			Message: fmt.Sprintf("peer %s is %s, and Consul has one set of intentions for all of Federation %s",
				name, strings.Join(each, ", "), f.c.realm.federation),
			Fix: "give the peerings names (acceptorPeerName, dialerPeerName) that mean the same datacenter in all members",
		})
	}
	f.wants = append(f.wants, want{intention: f.i, field: at, source: sourceOf(f.i, s, name), unsafe: len(who) > 1})
}

// identity is who a peer is, in words.
func (p peer) identity() string {
	if p.datacenter != "" {
		return p.datacenter
	}
	return "the external peer of Peering " + p.peering.GetName()
}

// narrowSources finds the sources in some members of a federation only, whatever number of items name them.
func (f *finder) narrowSources() {
	if f.widened() || f.c.realm.federation == "" {
		return
	}
	for n, w := range f.wants {
		if w.source.Peer != "" {
			continue
		}
		named := slices.Sorted(maps.Keys(f.inside[w.source.decision()]))
		others := without(names(f.c.realm.members), named)
		if len(others) == 0 {
			continue
		}
		f.wants[n].unsafe = true
		f.problem(w.field, &isthmusv1.PolicyProblem{
			Reason: ReasonScopeTooNarrow,
			Message: fmt.Sprintf("names %s in %s, but Consul does not look at the datacenter of a source within Federation %s: %s in %s would be meant as well",
				w.source.Name, resource.Some(named, mostNamed), f.c.realm.federation, w.source.Name, resource.Some(others, mostNamed)),
			Fix: "choose all of the federation's datacenters, or say scope: federation",
		})
	}
}

// narrowDestination finds that the destination is not all of the federation, for which the entry counts.
func (f *finder) narrowDestination() {
	if f.widened() || f.c.realm.federation == "" {
		return
	}
	others := without(names(f.c.realm.members), names(f.destination))
	if len(others) == 0 {
		return
	}
	for n := range f.wants {
		f.wants[n].unsafe = true
	}
	service := f.i.GetSpec().GetDestination().GetService()
	f.problem("spec.destination", &isthmusv1.PolicyProblem{
		Reason: ReasonScopeTooNarrow,
		Message: fmt.Sprintf("names %s in %s, but Consul has one set of intentions for all of Federation %s: %s in %s would be meant as well",
			service, resource.Some(names(f.destination), mostNamed), f.c.realm.federation, service, resource.Some(others, mostNamed)),
		Fix: "choose all of the federation's datacenters, or say scope: federation",
	})
}

// widened: it may count for all of a federation.
func (f *finder) widened() bool { return f.i.GetSpec().GetScope() == resource.ScopeFederation }

// sharedTrust finds the peers that are in a federation with datacenters which are not chosen. Consul tells callers of a peer by the trust
// domain in their certificates, and a federation has one for all of its members.
func (f *finder) sharedTrust(at string, s *isthmusv1.IntentionSource, peers map[string]bool, chooses func(*isthmusv1.Datacenter) bool) {
	if f.c.quiet || s.GetAction() == resource.ActionDeny || f.widened() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		m, ok := realmOf(f.c.r, name)
		others := slices.DeleteFunc(slices.Clone(m.members), chooses)
		if !ok || len(others) == 0 {
			continue
		}
		f.problem(at, &isthmusv1.PolicyProblem{
			Reason: ReasonTrustShared,
			Message: fmt.Sprintf("%s is in Federation %s, whose members have one trust domain: %s in %s would be let in as well, if it found a way",
				name, m.federation, s.GetService(), resource.Some(names(others), mostNamed)),
			Fix: "choose all of that federation's datacenters, or say scope: federation",
		})
	}
}

// notConnected finds the datacenters that an item chooses, and whose services cannot call.
func (f *finder) notConnected(at string, s *isthmusv1.IntentionSource, connected map[string]bool) {
	if f.c.quiet {
		return
	}
	var out []string
	for dc := range resource.Select(f.c.r, s.GetDatacenters(), s.GetSelector()) {
		if !connected[dc.GetName()] && !f.c.realm.has(dc.GetName()) && !resource.Departing(dc) {
			out = append(out, dc.GetName())
		}
	}
	if len(out) == 0 {
		return
	}
	f.problem(at, &isthmusv1.PolicyProblem{
		Reason:  ReasonNotConnected,
		Message: fmt.Sprintf("%s: no Peering connects it with %s, nor does a Federation, so that nothing is said of it yet", resource.Some(out, mostNamed), resource.Some(names(f.destination), mostNamed)),
		Fix:     "connect them by a Peering or a Federation",
	})
}

// lacksNamespaces tells of a namespace other than default whether the realm's Consul is known to have none. An agent says which Consul it
// is: Consul Enterprise has +ent in its version.
func (c *compilation) lacksNamespaces(namespace string) bool {
	if namespace == defaultNamespace || namespace == "" {
		return false
	}
	home, ok := resource.Lookup[*isthmusv1.Datacenter](c.r, resource.KindDatacenter, c.realm.home)
	version := home.GetStatus().GetConsulVersion()
	return ok && version != "" && !strings.Contains(version, "+ent")
}

func (c *compilation) needsEnterprise(namespace string) *isthmusv1.PolicyProblem {
	return &isthmusv1.PolicyProblem{
		Reason:  ReasonNeedsEnterprise,
		Message: fmt.Sprintf("%s runs Consul's Community Edition, which has no namespace %s", c.realm.home, namespace),
		Fix:     "leave the namespace out",
	}
}

func names(datacenters []*isthmusv1.Datacenter) []string {
	out := make([]string, 0, len(datacenters))
	for _, dc := range datacenters {
		out = append(out, dc.GetName())
	}
	return out
}

// mostNamed is how many names a sentence lists at most.
const mostNamed = 5
