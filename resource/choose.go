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
	parsed, _ := ParseSelector(selector) // that of an error chooses nothing
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
		parsed := selectorIn(r, selector)
		for dc := range candidates(r, parsed) {
			if parsed.Matches(dc.GetLabels()) && !yield(dc) {
				return
			}
		}
	}
}

// candidates are datacenters among which are all that a selector chooses, each once, in order of their names: those alone that have a label which
// it asks for, if it asks for one.
func candidates(r Reader, s Selector) iter.Seq[*isthmusv1.Datacenter] {
	terms, asks := s.terms()
	switch {
	case !asks:
		return All[*isthmusv1.Datacenter](r, KindDatacenter)
	case len(terms) == 1:
		return AllHaving[*isthmusv1.Datacenter](r, KindDatacenter, terms[0])
	}
	var out []*isthmusv1.Datacenter
	for _, term := range terms {
		out = slices.AppendSeq(out, AllHaving[*isthmusv1.Datacenter](r, KindDatacenter, term))
	}
	return slices.Values(byNameOnce(out))
}

// ChoosesIn is Chooses, which reads a selector once for all who ask in a fleet that can remember it.
func ChoosesIn(r Reader, names []string, selector string) func(*isthmusv1.Datacenter) bool {
	if len(names) > 0 {
		return Chooses(names, selector)
	}
	parsed := selectorIn(r, selector)
	return func(dc *isthmusv1.Datacenter) bool { return parsed.Matches(dc.GetLabels()) }
}

// selectorIn is a selector, read once for all who ask in a fleet that can remember it; one that does not parse chooses nothing.
func selectorIn(r Reader, text string) Selector {
	find := func() any {
		s, _ := ParseSelector(text) // that of an error is the zero one
		return s
	}
	if known, ok := r.(Rememberer); ok {
		return known.Remember(termSelector+text, find).(Selector) //nolint:forcetypeassert // it is what find gives
	}
	return find().(Selector) //nolint:forcetypeassert // as above
}
