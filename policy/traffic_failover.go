package policy

import (
	"cmp"
	"fmt"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// fallback is one place to fail over to.
type fallback struct {
	service string
	place
	// datacenter is nil for an external peer and for the caller's own datacenter.
	in *isthmusv1.Datacenter
}

func (f fallback) key() [3]string { return [3]string{f.service, f.datacenter, f.peer} }

// failover is one list of targets for all callers of a federation: Consul leaves each one's own datacenter out by itself.
func (w waysOf) failover() way {
	out := way{field: "spec.failover"}
	if len(w.p.GetSpec().GetFailover()) == 0 {
		return out
	}
	var all []fallback
	lists := make([][]fallback, len(w.callers))
	for i, step := range w.p.GetSpec().GetFailover() {
		at := fmt.Sprintf("spec.failover[%d]", i)
		targets := w.step(at, step)
		all = append(all, targets...)
		for n, caller := range w.callers {
			lists[n] = append(lists[n], w.asSeenFrom(caller, step, targets)...)
		}
	}
	order, ok := once(lists[0]), true
	if len(w.c.realm.members) > 1 {
		order, ok = inOneOrder(all, lists)
	}
	switch {
	case !ok:
		w.problem(out.field, ReasonOrderDiffers, "leave sameLabel out, or connect them by peerings: then each has its own",
			"sameLabel puts them in another order for each of %s, but Consul has one for all of Federation %s", resource.Some(names(w.callers), mostNamed), w.c.realm.federation)
		return out
	case len(all) == 0 && !w.c.quiet && len(w.c.problems[policyName(w.p)]) == 0:
		w.problem(out.field, ReasonNoTarget, "", "no datacenter is chosen to go to")
		return out
	case len(order) == 0: // only the caller's own
		return out
	}
	var value failoverValue
	for _, f := range order {
		t := targetValue{Datacenter: f.datacenter, Peer: f.peer, Namespace: w.spelled(w.namespace(), f.place)}
		if f.service != w.service() || f.own() {
			t.Service = f.service
		}
		value.Targets = append(value.Targets, t)
	}
	out.parts = w.own(KindResolver, keyFailover, value)
	return out
}

// step are the places of one step that the realm can reach, in the order in which they stand or by name.
func (w waysOf) step(at string, step *isthmusv1.FailoverStep) []fallback {
	service := cmp.Or(step.GetService(), w.service())
	var out []fallback
	add := func(field string, dc *isthmusv1.Datacenter) {
		if p, ok := w.datacenter(field, dc); ok {
			w.exported(field, service, w.namespace(), dc, p)
			out = append(out, fallback{service: service, place: p, in: dc})
		}
	}
	switch {
	case len(step.GetPeers()) > 0:
		for i, peer := range step.GetPeers() {
			if p, ok := w.external(fmt.Sprintf("%s.peers[%d]", at, i), peer); ok {
				out = append(out, fallback{service: service, place: p})
			}
		}
	case step.GetSelector() != "":
		chooses := resource.Chooses(nil, step.GetSelector())
		for _, dc := range w.reachable {
			if chooses(dc) {
				add(at+".selector", dc)
			}
		}
		w.unreachable(at+".selector", step.GetSelector())
	case len(step.GetDatacenters()) > 0:
		for i, name := range step.GetDatacenters() {
			if dc, ok := resource.Lookup[*isthmusv1.Datacenter](w.c.r, resource.KindDatacenter, name); ok {
				add(fmt.Sprintf("%s.datacenters[%d]", at, i), dc)
			}
		}
	default:
		out = append(out, fallback{service: service})
	}
	return out
}

// unreachable notes which of the datacenters that a selector chooses are connected with none of the realm.
func (w waysOf) unreachable(field, selector string) {
	if w.c.quiet {
		return
	}
	var out []string
	for dc := range resource.Select(w.c.r, nil, selector) {
		if !resource.Departing(dc) && !slices.ContainsFunc(w.reachable, func(r *isthmusv1.Datacenter) bool { return r.GetName() == dc.GetName() }) {
			out = append(out, dc.GetName())
		}
	}
	if len(out) > 0 {
		w.problem(field, ReasonNotConnected, "connect them by a Peering or a Federation",
			"%s: no Peering connects them with %s, nor does a Federation, so that no calls go there yet", resource.Some(out, mostNamed), resource.Some(names(w.c.realm.members), mostNamed))
	}
}

// asSeenFrom are a step's places in the order in which one caller is to try them, without its own datacenter: but where some of the calls
// go elsewhere in the first place, by a split or routes, they may come back.
func (w waysOf) asSeenFrom(caller *isthmusv1.Datacenter, step *isthmusv1.FailoverStep, targets []fallback) []fallback {
	elsewhere := len(w.p.GetSpec().GetSplit())+len(w.p.GetSpec().GetRoutes()) > 0
	out := slices.DeleteFunc(slices.Clone(targets), func(f fallback) bool {
		return !elsewhere && f.in.GetName() == caller.GetName() && f.service == w.service()
	})
	want, ok := caller.GetLabels()[step.GetSameLabel()]
	if step.GetSameLabel() == "" || !ok {
		return out
	}
	far := func(f fallback) int {
		if value, ok := f.in.GetLabels()[step.GetSameLabel()]; ok && value == want {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b fallback) int { return cmp.Compare(far(a), far(b)) })
	return out
}

// inOneOrder is all, in an order that is the one of each list for what is in it; false: there is none. Where that leaves a choice, it is
// as it was.
func inOneOrder(all []fallback, lists [][]fallback) ([]fallback, bool) {
	all = once(all)
	has := make([]map[[3]string]bool, len(lists))
	for n := range lists {
		lists[n] = once(lists[n])
		has[n] = map[[3]string]bool{}
		for _, f := range lists[n] {
			has[n][f.key()] = true
		}
	}
	var out []fallback
	for len(all) > 0 {
		// Next is what no list that has it has something else before.
		i := slices.IndexFunc(all, func(f fallback) bool {
			for n, list := range lists {
				if has[n][f.key()] && list[0].key() != f.key() {
					return false
				}
			}
			return true
		})
		if i < 0 {
			return nil, false
		}
		for n := range lists {
			if has[n][all[i].key()] {
				lists[n] = lists[n][1:]
			}
		}
		out = append(out, all[i])
		all = slices.Delete(all, i, i+1)
	}
	return out, true
}

// once leaves out what comes a second time.
func once(list []fallback) []fallback {
	seen := map[[3]string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(f fallback) bool {
		again := seen[f.key()]
		seen[f.key()] = true
		return again
	})
}
