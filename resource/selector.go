package resource

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"isthmus/fault"
)

// Selector chooses resources by their labels, in Kubernetes' syntax: env=prod,region in (eu,us),!old.
// The zero Selector chooses nothing.
type Selector struct {
	parsed labels.Selector
}

// ParseSelector reads a selector. An empty one is refused: choosing everything by leaving something out is how fleets
// get peered by accident. The error is a *fault.Error of code Invalid; its message says what the syntax is.
func ParseSelector(text string) (Selector, error) {
	if strings.TrimSpace(text) == "" {
		return Selector{}, fault.New(fault.Invalid, "a selector must not be empty; for example env=prod,region in (eu,us),!old")
	}
	parsed, err := labels.Parse(text)
	if err != nil {
		return Selector{}, fault.New(fault.Invalid, "%s does not parse as a label selector: %v; for example env=prod,region in (eu,us),!old",
			quote(text), err)
	}
	return Selector{parsed: parsed}, nil
}

// Matches tells whether it chooses something with these labels.
func (s Selector) Matches(set map[string]string) bool {
	return s.parsed != nil && s.parsed.Matches(labels.Set(set))
}

// terms are those of which each has one that it chooses (termsOfLabels); false when it asks for no label by its value.
func (s Selector) terms() (terms []string, asks bool) {
	if s.parsed == nil {
		return nil, true
	}
	requirements, _ := s.parsed.Requirements() // there is a parsed one that chooses nothing, and it matches nothing
	for _, q := range requirements {
		if slices.Contains([]selection.Operator{selection.Equals, selection.DoubleEquals, selection.In}, q.Operator()) {
			for value := range q.Values() {
				terms = append(terms, termOfLabel(q.Key(), value))
			}
			return terms, true
		}
	}
	return nil, false
}

// String is the selector in its canonical order.
func (s Selector) String() string {
	if s.parsed == nil {
		return ""
	}
	return s.parsed.String()
}
