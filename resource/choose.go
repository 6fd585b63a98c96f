package resource

import (
	"iter"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Chooses tells of a datacenter whether names and selector choose it. They stand side by side in specs, exactly one set;
// with neither, nothing is chosen. A selector that does not parse was refused when it was written; one that an older
// version let in chooses nothing.
func Chooses(names []string, selector string) func(*isthmusv1.Datacenter) bool {
	if len(names) > 0 {
		return func(dc *isthmusv1.Datacenter) bool { return slices.Contains(names, dc.GetName()) }
	}
	parsed, err := ParseSelector(selector)
	if err != nil {
		return func(*isthmusv1.Datacenter) bool { return false }
	}
	return func(dc *isthmusv1.Datacenter) bool { return parsed.Matches(dc.GetLabels()) }
}

// Select are the datacenters that names or selector choose, each once, in order of their names. Names of none are left out.
func Select(r Reader, names []string, selector string) iter.Seq[*isthmusv1.Datacenter] {
	return func(yield func(*isthmusv1.Datacenter) bool) {
		if len(names) > 0 {
			for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
				dc, ok := Lookup[*isthmusv1.Datacenter](r, KindDatacenter, name)
				if ok && !yield(dc) {
					return
				}
			}
			return
		}
		chooses := ChoosesIn(r, names, selector)
		for dc := range All[*isthmusv1.Datacenter](r, KindDatacenter) {
			if chooses(dc) && !yield(dc) {
				return
			}
		}
	}
}

// ChoosesIn is Chooses, which reads a selector once for all who ask in a fleet that can remember it.
func ChoosesIn(r Reader, names []string, selector string) func(*isthmusv1.Datacenter) bool {
	known, ok := r.(Rememberer)
	if !ok || len(names) > 0 {
		return Chooses(names, selector)
	}
	return known.Remember("selector "+selector, func() any { return Chooses(nil, selector) }).(func(*isthmusv1.Datacenter) bool) //nolint:forcetypeassert // it is what Chooses gives
}
