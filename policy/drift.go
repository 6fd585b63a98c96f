package policy

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Drifts are those of some changes to isthmus's parts that concern what an Intention or TrafficPolicy wants in the config entries of a
// datacenter's Consul; their order is kept.
func Drifts(r resource.Reader, o resource.Object, home string, drifts []*isthmusv1.Drift) []*isthmusv1.Drift {
	if len(drifts) == 0 {
		return nil
	}
	m, ok := realmOf(r, home)
	if !ok || m.home != home {
		return nil
	}
	type place struct{ entry, key string }
	own := map[place]bool{}
	name := policyName(o)
	for _, p := range compiled(r, m).parts {
		if p.policy == name {
			own[place{p.kind + "/" + p.name, p.key}] = true
		}
	}
	var out []*isthmusv1.Drift
	for _, d := range drifts {
		if own[place{d.GetEntry(), d.GetPart()}] {
			out = append(out, d)
		}
	}
	return out
}
