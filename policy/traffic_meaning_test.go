package policy_test

import (
	"cmp"
	"math"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// meaning says where calls from one datacenter go by the words of the policies alone, without config entries: what the compiler and Consul
// together have to come to.
type meaning struct {
	f        *resourcetest.Fleet
	policies []*isthmusv1.TrafficPolicy
	// members of the federation, or the caller alone.
	members []string
	caller  string
	// loaded are the services whose entries Consul looks at for this call. It does not for who is only named as a fallback at a peer: what
	// is said of it here says nothing of it there.
	loaded map[string]bool
}

// spot is a service in a datacenter of the federation, or at a peer.
type spot struct{ service, datacenter, peer string }

func (s spot) String() string {
	if s.peer != "" {
		return s.service + "@(" + s.peer + ")"
	}
	return s.service + "@" + s.datacenter
}

// of is what policies say of a service, as found by which.
func (m meaning) of(service string, which func(*isthmusv1.TrafficPolicySpec) bool) *isthmusv1.TrafficPolicySpec {
	for _, p := range m.policies {
		if p.GetSpec().GetService() == service && which(p.GetSpec()) {
			return p.GetSpec()
		}
	}
	return nil
}

// where is a datacenter or an external peer as the caller reaches it; from is where a call is to go when none is named.
func (m meaning) where(service, datacenter, peer string, from spot) (spot, bool) {
	switch {
	case peer != "":
		return spot{service: service, peer: peer}, true
	case datacenter == "" && from.peer != "":
		return spot{service: service, datacenter: m.caller}, true
	case datacenter == "":
		return spot{service: service, datacenter: from.datacenter}, true
	case slices.Contains(m.members, datacenter):
		return spot{service: service, datacenter: datacenter}, true
	}
	for _, member := range m.members {
		if !m.peered(member, datacenter) {
			return spot{}, false
		}
	}
	return spot{service: service, peer: datacenter}, true
}

func (m meaning) peered(a, b string) bool {
	_, one := m.f.Get(resource.KindPeering, a+"-"+b)
	_, two := m.f.Get(resource.KindPeering, b+"-"+a)
	return one || two
}

// call is where calls of a service go: first its routes count, then its shares, then redirect and failover.
func (m meaning) call(service string) node {
	m.loaded = map[string]bool{}
	m.load(map[string]int{}, service, 3)
	spec := m.of(service, func(s *isthmusv1.TrafficPolicySpec) bool { return len(m.routesOf(s)) > 0 })
	if spec == nil {
		return m.share(service)
	}
	var out node
	for _, route := range m.routesOf(spec) {
		out.next = append(out.next, m.target(service, route.GetTarget(), true))
	}
	out.next = append(out.next, m.share(service))
	return out
}

// load notes which services the entries of one lead to: its routes lead to splits, these to splits, and all of them to what is redirected
// and failed over to, which leads to no splits any more. How is 3 with routes, 2 with splits, 1 without.
func (m meaning) load(seen map[string]int, service string, how int) {
	if seen[service] >= how {
		return
	}
	seen[service], m.loaded[service] = how, true
	for _, p := range m.policies {
		spec := p.GetSpec()
		if spec.GetService() != service {
			continue
		}
		if how >= 3 {
			for _, r := range m.routesOf(spec) {
				m.loadTarget(seen, service, r.GetTarget())
			}
		}
		if how >= 2 && m.splits(spec) {
			for _, s := range spec.GetSplit() {
				m.loadTarget(seen, service, s.GetTarget())
			}
		}
		if m.redirects(spec) {
			m.load(seen, cmp.Or(spec.GetRedirect().GetService(), service), 1)
		}
		for _, to := range m.fallbacks(spec, spot{service: service, datacenter: m.caller}) {
			if to.peer == "" {
				m.load(seen, to.service, 1)
			}
		}
	}
}

// loadTarget is load for a target of routes and splits, which is only redirected to where a place is named.
func (m meaning) loadTarget(seen map[string]int, service string, t *isthmusv1.TrafficTarget) {
	how := 2
	if t.GetDatacenter()+t.GetPeer() != "" {
		how = 1
	}
	m.load(seen, cmp.Or(t.GetService(), service), how)
}

// routesOf are those whose target can be reached.
func (m meaning) routesOf(spec *isthmusv1.TrafficPolicySpec) []*isthmusv1.TrafficRoute {
	return slices.DeleteFunc(slices.Clone(spec.GetRoutes()), func(r *isthmusv1.TrafficRoute) bool {
		_, ok := m.spot(spec.GetService(), r.GetTarget())
		return !ok
	})
}

func (m meaning) spot(service string, t *isthmusv1.TrafficTarget) (spot, bool) {
	return m.where(cmp.Or(t.GetService(), service), t.GetDatacenter(), t.GetPeer(), spot{datacenter: m.caller})
}

// target is where one target's calls go. Without a place, it is the service's own shares.
func (m meaning) target(service string, t *isthmusv1.TrafficTarget, shares bool) node {
	at, _ := m.spot(service, t)
	if shares && t.GetDatacenter() == "" && t.GetPeer() == "" {
		return m.share(at.service)
	}
	return m.end(at)
}

// share is where the calls of a service go by its split.
func (m meaning) share(service string) node {
	spec := m.of(service, m.splits)
	if spec == nil {
		return m.end(spot{service: service, datacenter: m.caller})
	}
	var out node
	for _, s := range spec.GetSplit() {
		out.weights = append(out.weights, s.GetWeight())
		out.next = append(out.next, m.target(service, s.GetTarget(), cmp.Or(s.GetTarget().GetService(), service) != service))
	}
	return flat(out)
}

// splits tells whether a spec has shares that all can be reached.
func (m meaning) splits(spec *isthmusv1.TrafficPolicySpec) bool {
	return len(spec.GetSplit()) > 0 && !slices.ContainsFunc(spec.GetSplit(), func(s *isthmusv1.TrafficSplit) bool {
		_, ok := m.spot(spec.GetService(), s.GetTarget())
		return !ok
	})
}

// flat has the shares of a share's share.
func flat(n node) node {
	var out node
	for i, next := range n.next {
		if next.weights == nil {
			out.weights, out.next = append(out.weights, n.weights[i]), append(out.next, next)
			continue
		}
		for k, w := range next.weights {
			out.weights, out.next = append(out.weights, n.weights[i]*w/100), append(out.next, next.next[k])
		}
	}
	return out
}

// end follows redirects, and adds what it fails over to.
func (m meaning) end(at spot) node {
	at = m.redirected(at)
	out := node{target: at.String()}
	spec := m.of(at.service, func(s *isthmusv1.TrafficPolicySpec) bool {
		return len(m.fallbacks(s, spot{service: at.service, datacenter: m.caller})) > 0
	})
	if spec == nil {
		return out
	}
	if len(spec.GetSplit())+len(spec.GetRoutes()) == 0 && slices.ContainsFunc(spec.GetFailover(), func(s *isthmusv1.FailoverStep) bool { return s.GetSameLabel() != "" }) {
		// The policy sends no call elsewhere in the first place, so that its order leaves the caller's own datacenter out.
		out.anywhere = spot{service: spec.GetService(), datacenter: m.caller}.String()
	}
	for _, to := range m.fallbacks(spec, at) {
		if to != at {
			if to.peer == "" || m.loaded[to.service] {
				to = m.redirected(to)
			}
			out.fallbacks = append(out.fallbacks, to.String())
		}
	}
	return out
}

func (m meaning) redirected(at spot) spot {
	for {
		spec := m.of(at.service, m.redirects)
		if spec == nil {
			return at
		}
		to, ok := m.where(m.redirect(spec, at))
		if !ok || to == at {
			return at
		}
		at = to
	}
}

// redirect is where a redirect goes from a spot, as where takes it.
func (m meaning) redirect(spec *isthmusv1.TrafficPolicySpec, at spot) (service, datacenter, peer string, from spot) {
	t := spec.GetRedirect()
	datacenter = t.GetDatacenter()
	if len(m.members) == 1 && datacenter == m.caller {
		datacenter = "" // the only one that there is
	}
	return cmp.Or(t.GetService(), spec.GetService()), datacenter, t.GetPeer(), at
}

// redirects tells whether a spec sends its service's calls anywhere else.
func (m meaning) redirects(spec *isthmusv1.TrafficPolicySpec) bool {
	service, datacenter, peer, _ := m.redirect(spec, spot{})
	_, ok := m.where(service, datacenter, peer, spot{})
	return spec.GetRedirect() != nil && ok && (service != spec.GetService() || datacenter != "" || peer != "")
}

// says tells whether the policies say where calls from here go: one that orders by region says nothing of callers that it does not choose,
// though it counts for them.
func (m meaning) says() bool {
	return !slices.ContainsFunc(m.policies, func(p *isthmusv1.TrafficPolicy) bool {
		return !slices.Contains(p.GetSpec().GetDatacenters(), m.caller) &&
			slices.ContainsFunc(p.GetSpec().GetFailover(), func(s *isthmusv1.FailoverStep) bool { return s.GetSameLabel() != "" })
	})
}

// fallbacks are all places that a failover names, those of the caller's own region first where it says so, each once.
func (m meaning) fallbacks(spec *isthmusv1.TrafficPolicySpec, at spot) []spot {
	own, _ := resource.Lookup[*isthmusv1.Datacenter](m.f, resource.KindDatacenter, m.caller)
	var out []spot
	for _, step := range spec.GetFailover() {
		service := cmp.Or(step.GetService(), spec.GetService())
		var places []spot
		far := map[spot]int{}
		for _, name := range step.GetPeers() {
			places = append(places, spot{service: service, peer: name})
		}
		datacenters := slices.Clone(step.GetDatacenters())
		if step.GetSelector() != "" {
			for dc := range resource.Select(m.f, nil, step.GetSelector()) {
				datacenters = append(datacenters, dc.GetName())
			}
		}
		for _, name := range datacenters {
			dc, _ := resource.Lookup[*isthmusv1.Datacenter](m.f, resource.KindDatacenter, name)
			alone := name
			if len(m.members) == 1 && name == m.caller {
				alone = "" // where nobody else is, it is not named
			}
			to, ok := m.where(service, alone, "", at)
			stays := len(spec.GetSplit())+len(spec.GetRoutes()) == 0
			if !ok || len(m.members) == 1 && name == m.caller && service == spec.GetService() && stays {
				continue
			}
			if step.GetSameLabel() != "" && dc.GetLabels()["region"] != own.GetLabels()["region"] {
				far[to] = 1
			}
			places = append(places, to)
		}
		if len(datacenters)+len(step.GetPeers()) == 0 && step.GetSelector() == "" {
			to, _ := m.where(service, "", "", at)
			places = append(places, to)
		}
		slices.SortStableFunc(places, func(a, b spot) int { return cmp.Compare(far[a], far[b]) })
		out = append(out, places...)
	}
	seen := map[spot]bool{}
	return slices.DeleteFunc(out, func(s spot) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

// unique leaves out what is tried again: it was not there the first time.
func unique(list []string, but string) []string {
	var out []string
	for _, one := range list {
		if one != but && !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// alike compares what Consul does with what is meant, weights up to what Consul rounds.
func alike(a, b node) bool {
	const rounding = 0.03
	if a.target != b.target || !slices.Equal(unique(a.fallbacks, b.anywhere), unique(b.fallbacks, b.anywhere)) || len(a.next) != len(b.next) || len(a.weights) != len(b.weights) {
		return false
	}
	for i := range a.weights {
		if math.Abs(a.weights[i]-b.weights[i]) > rounding {
			return false
		}
	}
	for i := range a.next {
		if !alike(a.next[i], b.next[i]) {
			return false
		}
	}
	return true
}
