package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// Whatever is admitted lets in exactly whom it names, however the datacenters are connected: so it means the same when a datacenter moves
// from a peering into a federation, or the other way. What it should mean is told from the Intentions alone; what it does mean, from the
// entries that they come to, as Consul decides by them.
func TestIntentionsMeanTheSameInEveryTopology(t *testing.T) {
	t.Parallel()
	var said, federations, peerings int
	rapid.Check(t, func(r *rapid.T) {
		f, peered := topology(r)
		for n := range rapid.IntRange(1, 3).Draw(r, "intentions") {
			admit(f, meant(fmt.Sprintf("i%d", n)).Draw(r, "intention"))
		}
		for _, from := range everywhere() {
			for _, to := range everywhere() {
				home, peer := to, ""
				switch {
				case inside(f, from) && inside(f, to):
					home = "dc1"
				case from == to:
				case peered[from+" "+to]:
					peer = "peer-" + from
					if inside(f, to) {
						home = "dc1"
					}
				default:
					continue // they cannot call each other
				}
				var entries []*isthmusv1.ReportedEntry
				for _, e := range policy.Entries(f, home).GetEntries() {
					entries = append(entries, &isthmusv1.ReportedEntry{Kind: e.GetKind(), Name: e.GetName(), Json: `{"Sources":[` + values(e) + `]}`})
				}
				for _, source := range []string{"web", "app"} {
					got := policy.Evaluate(entries, policy.Query{Source: source, SourcePeer: peer, Destination: "api"}, false)
					want := saidOf(f, source, from, to)
					if got.Allowed != (want == resource.ActionAllow) || (got.Entry != "") != (want != "") {
						r.Fatalf("%s of %s calling api of %s: %+v; the Intentions say %q\n%v", source, from, to, got, want, slices.Collect(f.List(resource.KindIntention)))
					}
					if want != "" {
						said++
						if peer != "" {
							peerings++
						} else if from != to {
							federations++
						}
					}
				}
			}
		}
	})
	if said < 100 || federations < 20 || peerings < 20 {
		t.Errorf("%d decisions, %d in federations, %d over peerings: too few to tell anything", said, federations, peerings)
	}
}

func everywhere() []string { return []string{"dc1", "dc2", "dc3", "dc4"} }

// topology is dc1 to dc4, some of them in a federation of dc1's, others peered: by both names, in both directions.
func topology(r *rapid.T) (f *resourcetest.Fleet, peered map[string]bool) {
	f, peered = resourcetest.New(), map[string]bool{}
	var members []string
	for _, dc := range everywhere() {
		f.Put(datacenter(dc, rapid.SampledFrom([]string{"prod", "test"}).Draw(r, "env of "+dc)))
		if dc != "dc1" && rapid.Bool().Draw(r, dc+" is in the federation") {
			members = append(members, dc)
		}
	}
	if len(members) > 0 {
		f.Put(federated("dc1", members...))
	}
	for n, a := range everywhere() {
		for _, b := range everywhere()[n+1:] {
			if (inside(f, a) && inside(f, b)) || rapid.IntRange(0, 2).Draw(r, a+" and "+b) == 0 {
				continue
			}
			f.Put(named(peering(a, b), "peer-"+b, "peer-"+a))
			peered[a+" "+b], peered[b+" "+a] = true, true
		}
	}
	return f, peered
}

// inside tells whether a datacenter is in the federation.
func inside(f *resourcetest.Fleet, dc string) bool {
	_, ok := resource.MembershipOf(f, dc)
	return ok
}

func values(e *isthmusv1.ConfigEntry) string {
	out := ""
	for n, p := range e.GetParts() {
		if n > 0 {
			out += ","
		}
		out += p.GetValue()
	}
	return out
}

// meant makes Intentions for api and web, from services and everybody of anywhere.
func meant(name string) *rapid.Generator[*isthmusv1.Intention] {
	where := func(r *rapid.T, label string) ([]string, string) {
		if rapid.IntRange(0, 2).Draw(r, label+" by label") == 0 {
			return nil, rapid.SampledFrom([]string{"env=prod", "env=test", "env"}).Draw(r, label)
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(everywhere()), 1, 4, rapid.ID).Draw(r, label), ""
	}
	return rapid.Custom(func(r *rapid.T) *isthmusv1.Intention {
		spec := &isthmusv1.IntentionSpec{Destination: &isthmusv1.IntentionDestination{Service: rapid.SampledFrom([]string{"api", "api", "*"}).Draw(r, "destination")}}
		spec.Destination.Datacenters, spec.Destination.Selector = where(r, "in")
		for range rapid.IntRange(1, 3).Draw(r, "sources") {
			s := &isthmusv1.IntentionSource{
				Service: rapid.SampledFrom([]string{"web", "app", "*"}).Draw(r, "source"), Action: rapid.SampledFrom([]string{"allow", "deny"}).Draw(r, "action"),
			}
			if rapid.IntRange(0, 3).Draw(r, "anywhere") > 0 {
				s.Datacenters, s.Selector = where(r, "from")
			}
			spec.Sources = append(spec.Sources, s)
		}
		return &isthmusv1.Intention{Name: name, Spec: spec}
	})
}

// saidOf is what the Intentions say of a call, allow or deny, or nothing: the exact destination first, then the exact source.
func saidOf(f *resourcetest.Fleet, source, from, to string) string {
	dc := func(name string) *isthmusv1.Datacenter {
		out, _ := resource.Lookup[*isthmusv1.Datacenter](f, resource.KindDatacenter, name)
		return out
	}
	best, action := -1, ""
	for i := range resource.All[*isthmusv1.Intention](f, resource.KindIntention) {
		d := i.GetSpec().GetDestination()
		if !resource.Chooses(d.GetDatacenters(), d.GetSelector())(dc(to)) {
			continue
		}
		for _, s := range i.GetSpec().GetSources() {
			here := from == to || inside(f, from) && inside(f, to)
			if len(s.GetDatacenters()) > 0 || s.GetSelector() != "" {
				here = resource.Chooses(s.GetDatacenters(), s.GetSelector())(dc(from))
			}
			rank := 0
			if d.GetService() != resource.AnyService {
				rank += 2
			}
			if s.GetService() == source {
				rank++
			} else if s.GetService() != resource.AnyService {
				continue
			}
			if here && rank > best {
				best, action = rank, s.GetAction()
			}
		}
	}
	return action
}
