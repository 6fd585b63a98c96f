package resource

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What terms begin with. A selector is a term of what chooses its own datacenters by it; what names them is found by Reader.Touching. Whom a
// resource chooses for another side than its own, such as an export's consumers, is a term of it whether by a selector or by name.
const (
	termSelector      = "selector "
	termOtherSelector = "other selector "
	termOtherName     = "other datacenter "
	termService       = "service "
	termLabel         = "label "
)

// TermService is the term of what is about a service, whose name Consul tells from others without regard to case.
func TermService(namespace, service string) string {
	return termService + namespace + "/" + strings.ToLower(service)
}

// termsOf are the terms of something that is about a service in the datacenters that names or else a selector choose.
func termsOf(namespace, service string, names []string, selector string) []string {
	return append([]string{TermService(namespace, service)}, termsOfOwn(names, selector)...)
}

// termsOfOwn are the terms of something whose own datacenters are chosen by names or else a selector.
func termsOfOwn(names []string, selector string) []string {
	if len(names) == 0 && selector != "" {
		return []string{termSelector + selector}
	}
	return nil
}

// termsOfOther are the terms of something that chooses datacenters for another side, by names or else a selector.
func termsOfOther(names []string, selector string) []string {
	var out []string
	for _, name := range names {
		if name != "" {
			out = append(out, termOtherName+name)
		}
	}
	if len(names) == 0 && selector != "" {
		out = append(out, termOtherSelector+selector)
	}
	return out
}

// termsOfLabels are the terms of something with these labels, in order: the same for the same labels.
func termsOfLabels(labels map[string]string) []string {
	out := make([]string, 0, len(labels))
	for key, value := range labels {
		out = append(out, termOfLabel(key, value))
	}
	slices.Sort(out)
	return out
}

func termOfLabel(key, value string) string { return termLabel + key + "=" + value }

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
	for _, s := range selectorsOf(r, kind, termSelector) {
		if slices.ContainsFunc(datacenters, s.chooses) {
			out = slices.AppendSeq(out, AllHaving[T](r, kind, s.term))
		}
	}
	return byNameOnce(out)
}

// Rechoosing are the resources of a kind that choose one version of a datacenter for their own, and not the other: by a selector, or, where one
// version is nil as there is none, by name.
func Rechoosing[T Object](r Reader, kind string, was, is *isthmusv1.Datacenter) []T {
	return rechoosing(r, kind, termSelector, was, is, func(name string) iter.Seq[T] { return AllTouching[T](r, kind, name) })
}

// RechoosingOther is Rechoosing for another side than their own.
func RechoosingOther[T Object](r Reader, kind string, was, is *isthmusv1.Datacenter) []T {
	return rechoosing(r, kind, termOtherSelector, was, is, func(name string) iter.Seq[T] { return AllHaving[T](r, kind, termOtherName+name) })
}

func rechoosing[T Object](r Reader, kind, prefix string, was, is *isthmusv1.Datacenter, naming func(name string) iter.Seq[T]) []T {
	var out []T
	switch {
	case was == nil && is == nil:
		return nil
	case was == nil:
		out = slices.AppendSeq(out, naming(is.GetName()))
	case is == nil:
		out = slices.AppendSeq(out, naming(was.GetName()))
	}
	for _, s := range selectorsOf(r, kind, prefix) {
		if (was != nil && s.chooses(was)) != (is != nil && s.chooses(is)) {
			out = slices.AppendSeq(out, AllHaving[T](r, kind, s.term))
		}
	}
	return byNameOnce(out)
}

// ChoosingOther are the resources of a kind that choose a datacenter for another side than their own, by name or by selector, each once and in
// order of their names.
func ChoosingOther[T Object](r Reader, kind string, dc *isthmusv1.Datacenter) []T {
	return rechoosing(r, kind, termOtherSelector, nil, dc, func(name string) iter.Seq[T] { return AllHaving[T](r, kind, termOtherName+name) })
}

// Distinguished tells whether some resource of a kind chooses otherwise for the labels of one version of a datacenter than for those of the other:
// for its own or another side, by a selector or by a label that it compares.
func Distinguished(r Reader, kind string, was, is *isthmusv1.Datacenter) bool {
	if maps.Equal(was.GetLabels(), is.GetLabels()) {
		return false
	}
	for _, prefix := range []string{termSelector, termOtherSelector} {
		for _, s := range selectorsOf(r, kind, prefix) {
			if s.chooses(was) != s.chooses(is) {
				return true
			}
		}
	}
	for term := range r.Terms(kind, termLabel) {
		key := strings.TrimPrefix(term, termLabel)
		before, had := was.GetLabels()[key]
		after, has := is.GetLabels()[key]
		if had != has || before != after {
			return true
		}
	}
	return false
}

// ChoosesOther tells whether any resource of a kind chooses by this selector for another side than its own.
func ChoosesOther(r Reader, kind, selector string) bool {
	for range r.Having(kind, termOtherSelector+selector) {
		return true
	}
	return false
}

// byNameOnce puts resources in order of their names, each once.
func byNameOnce[T Object](all []T) []T {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return slices.CompactFunc(all, func(a, b T) bool { return a.GetName() == b.GetName() })
}

// termedSelector is a selector by which resources choose.
type termedSelector struct {
	term     string
	selector Selector
}

func (s termedSelector) chooses(dc *isthmusv1.Datacenter) bool {
	return s.selector.Matches(dc.GetLabels())
}

// selectorsOf are all selectors of resources of a kind whose terms begin so, each once.
func selectorsOf(r Reader, kind, prefix string) []termedSelector {
	find := func() any { return findSelectors(r, kind, prefix) }
	switch known := r.(type) {
	case TermsRememberer:
		return known.RememberTerms(kind, prefix, find).([]termedSelector) //nolint:forcetypeassert // it is what find gives
	case Rememberer:
		return known.Remember(kind+" by "+prefix, find).([]termedSelector) //nolint:forcetypeassert // it is what find gives
	}
	return findSelectors(r, kind, prefix)
}

func findSelectors(r Reader, kind, prefix string) []termedSelector {
	var out []termedSelector
	for term := range r.Terms(kind, prefix) {
		if s, err := ParseSelector(strings.TrimPrefix(term, prefix)); err == nil {
			out = append(out, termedSelector{term, s})
		}
	}
	return out
}
