package policy

import (
	"maps"
	"slices"

	"isthmus/resource"
)

// wantedRealm is the realm that a datacenter shall be in: with everybody in it who is to join its federation, and without those who are to
// leave. What is admitted has to hold there, too; realmOf is what counts now. False for a datacenter that is not declared.
func wantedRealm(r resource.Reader, datacenter string) (realm, bool) {
	memberships := resource.Memberships(r)
	home, federation := datacenter, ""
	names := map[string]bool{datacenter: true}
	if own, ok := memberships[datacenter]; ok && !own.Leaving {
		home, federation = own.Federation.GetSpec().GetPrimary(), own.Federation.GetName()
		for name, m := range memberships {
			if m.Federation.GetName() == federation && !m.Leaving {
				names[name] = true
			}
		}
	}
	out := realmWith(r, home, federation, slices.Sorted(maps.Keys(names)))
	return out, out.has(datacenter)
}
