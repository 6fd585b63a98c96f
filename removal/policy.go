package removal

import (
	"math"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// intention takes it out of the destination and of the sources. A source of nowhere else goes: without datacenters it would mean the
// destination's own. What keeps it out stays as it is until keeping says no more: it is connected as yet.
func (l *leaver) intention(i *isthmusv1.Intention, keeping bool) outcome {
	after := resource.Clone(i)
	d := after.GetSpec().GetDestination()
	left, empty := l.emptied(d.GetDatacenters())
	after.Spec.Sources = slices.DeleteFunc(after.Spec.Sources, func(s *isthmusv1.IntentionSource) bool {
		if keeping && keepsOut(s) {
			return false
		}
		if empty {
			return true // nothing is to be let in there
		}
		if s.GetPeer() != "" {
			return l.isPeer(i, s.GetPeer(), i.GetSpec().GetDestination().GetDatacenters(), i.GetSpec().GetDestination().GetSelector())
		}
		left, empty := l.emptied(s.GetDatacenters())
		s.Datacenters = left
		return empty
	})
	if !empty && d != nil {
		d.Datacenters = left
	}
	return outcome{after: after, goes: len(after.GetSpec().GetSources()) == 0 && len(i.GetSpec().GetSources()) > 0}
}

// keepsOut tells whether a source may be there to keep somebody out: it denies, or has permissions.
func keepsOut(s *isthmusv1.IntentionSource) bool { return s.GetAction() != resource.ActionAllow }

// export takes it out of the exporters and of the consumers.
func (l *leaver) export(e *isthmusv1.ServiceExport) outcome {
	after := resource.Clone(e)
	left, empty := l.emptied(e.GetSpec().GetDatacenters())
	if empty {
		return outcome{goes: true}
	}
	after.Spec.Datacenters = left
	c := after.GetSpec().GetConsumers()
	if c == nil {
		return outcome{after: after}
	}
	c.Datacenters = l.without(c.GetDatacenters())
	c.Peers = slices.DeleteFunc(c.Peers, func(peer string) bool {
		return l.isPeer(e, peer, e.GetSpec().GetDatacenters(), e.GetSpec().GetSelector())
	})
	return outcome{after: after, goes: len(c.GetDatacenters())+len(c.GetPeers()) == 0 && c.GetSelector() == ""}
}

// traffic takes it out of the callers and of all places where calls go.
func (l *leaver) traffic(p *isthmusv1.TrafficPolicy) outcome {
	after := resource.Clone(p)
	spec := after.GetSpec()
	left, empty := l.emptied(spec.GetDatacenters())
	if empty {
		return outcome{goes: true}
	}
	spec.Datacenters = left
	targets := func(t *isthmusv1.TrafficTarget) bool {
		return t.GetDatacenter() == l.name || t.GetPeer() != "" && l.isPeer(p, t.GetPeer(), p.GetSpec().GetDatacenters(), p.GetSpec().GetSelector())
	}
	spec.Failover = slices.DeleteFunc(spec.Failover, func(step *isthmusv1.FailoverStep) bool {
		// A step of nowhere else goes: with nothing but a service it would mean the caller's own datacenter.
		named := len(step.GetDatacenters())+len(step.GetPeers()) > 0
		step.Datacenters = l.without(step.GetDatacenters())
		step.Peers = slices.DeleteFunc(step.Peers, func(peer string) bool {
			return l.isPeer(p, peer, p.GetSpec().GetDatacenters(), p.GetSpec().GetSelector())
		})
		return named && len(step.GetDatacenters())+len(step.GetPeers()) == 0
	})
	if spec.GetRedirect() != nil && targets(spec.GetRedirect()) {
		spec.Redirect = nil
	}
	spec.Split = resplit(spec.GetSplit(), targets)
	spec.Routes = slices.DeleteFunc(spec.Routes, func(route *isthmusv1.TrafficRoute) bool { return targets(route.GetTarget()) })
	nothing := len(spec.GetFailover())+len(spec.GetSplit())+len(spec.GetRoutes()) == 0 && spec.GetRedirect() == nil
	return outcome{after: after, goes: nothing}
}

// resplit gives the shares of the targets that go to the others, in proportion: 100 percent in steps of 0.01, as Consul has them. When
// nothing was left to the others, calls go the ordinary way.
func resplit(splits []*isthmusv1.TrafficSplit, goes func(*isthmusv1.TrafficTarget) bool) []*isthmusv1.TrafficSplit {
	var left []*isthmusv1.TrafficSplit
	sum := 0
	for _, s := range splits {
		if goes(s.GetTarget()) {
			continue
		}
		left = append(left, s)
		sum += stepsOf(s)
	}
	switch {
	case len(left) == len(splits):
		return splits
	case sum == 0:
		return nil
	}
	const all = 100 * 100
	largest := slices.MaxFunc(left, func(a, b *isthmusv1.TrafficSplit) int { return stepsOf(a) - stepsOf(b) })
	rest := all
	for _, s := range left {
		share := stepsOf(s) * all / sum
		s.Weight = float64(share) / 100
		rest -= share
	}
	// What rounding left over is the largest one's.
	largest.Weight = math.Round(largest.GetWeight()*100+float64(rest)) / 100
	return left
}

func stepsOf(s *isthmusv1.TrafficSplit) int {
	steps, _ := resource.WeightSteps(s.GetWeight())
	return steps
}
