package resource

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What terms begin with. A selector is a term of what chooses its own datacenters by it; what names them is found by Reader.Touching.
const (
	termSelector = "selector "
	termService  = "service "
)

// TermService is the term of what is about a service, whose name Consul tells from others without regard to case.
func TermService(namespace, service string) string {
	return termService + namespace + "/" + strings.ToLower(service)
}

// termsOf are the terms of something that is about a service in the datacenters that names or else a selector choose.
func termsOf(namespace, service string, names []string, selector string) []string {
	out := []string{TermService(namespace, service)}
	if len(names) == 0 && selector != "" {
		out = append(out, termSelector+selector)
	}
	return out
}

// AllHaving is Reader.Having with the kind's own type.
func AllHaving[T Object](r Reader, kind, term string) iter.Seq[T] {
	return typed[T](r.Having(kind, term))
}

// Choosing are the resources of a kind that choose one of some datacenters for their own, by name or by selector, each once and in order of
// their names.
func Choosing[T Object](r Reader, kind string, datacenters ...*isthmusv1.Datacenter) []T {
	var out []T
	for _, dc := range datacenters {
		out = slices.AppendSeq(out, AllTouching[T](r, kind, dc.GetName()))
	}
	for _, s := range selectorsOf(r, kind) {
		if slices.ContainsFunc(datacenters, func(dc *isthmusv1.Datacenter) bool { return s.selector.Matches(dc.GetLabels()) }) {
			out = slices.AppendSeq(out, AllHaving[T](r, kind, s.term))
		}
	}
	byName := func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) }
	slices.SortFunc(out, byName)
	return slices.CompactFunc(out, func(a, b T) bool { return a.GetName() == b.GetName() })
}

// termedSelector is a selector by which resources choose.
type termedSelector struct {
	term     string
	selector Selector
}

// selectorsOf are all selectors by which resources of a kind choose their own datacenters.
func selectorsOf(r Reader, kind string) []termedSelector {
	if known, ok := r.(Rememberer); ok {
		return known.Remember("selectors of "+kind, func() any { return findSelectors(r, kind) }).([]termedSelector) //nolint:forcetypeassert // it is what find gives
	}
	return findSelectors(r, kind)
}

func findSelectors(r Reader, kind string) []termedSelector {
	var out []termedSelector
	for term := range r.Terms(kind, termSelector) {
		if s, err := ParseSelector(strings.TrimPrefix(term, termSelector)); err == nil {
			out = append(out, termedSelector{term, s})
		}
	}
	return out
}
