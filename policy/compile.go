package policy

import (
	"cmp"
	"encoding/json"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Kinds of Consul's config entries that policies compile to, beside exported-services.
const (
	KindIntentions = "service-intentions"
	KindResolver   = "service-resolver"
	KindSplitter   = "service-splitter"
	KindRouter     = "service-router"
	KindDefaults   = "service-defaults"
)

// Entries is everything that isthmus wants in the config entries which one datacenter's Consul holds, for itself or for the federation
// whose primary it is. A secondary holds none of its own: it has the primary's.
func Entries(r resource.Reader, datacenter string) *isthmusv1.ConfigEntries {
	m, ok := realmOf(r, datacenter)
	if m.home != datacenter || !ok && !m.closing() {
		return &isthmusv1.ConfigEntries{}
	}
	return compiled(r, m).config
}

// compiled is what the policies of a realm, as it is now, come to; shared, and never changed. All policies of a realm are compiled together,
// so it is found once in each view, however many of them somebody looks at.
func compiled(r resource.Reader, m realm) *compilation {
	known, ok := r.(resource.Rememberer)
	if !ok {
		return compile(r, m)
	}
	return known.Remember("policies of "+m.home, func() any { return compile(r, m) }).(*compilation)
}

// compilation is what the policies of one realm come to.
type compilation struct {
	r     resource.Reader
	realm realm
	parts []part
	// config is the parts, put together.
	config *isthmusv1.ConfigEntries
	// problems are what is left out, by the policy (Kind/name) that it is of.
	problems map[string][]*isthmusv1.PolicyProblem
	// quiet: what is only worth a warning is not looked for, since that takes a look at the whole fleet.
	quiet bool
}

// part is one thing that one policy wants within one config entry.
type part struct {
	kind, namespace, name string
	// key as in isthmusv1.ConfigPart.
	key string
	// value is what encodes to the JSON that Consul's API takes.
	value any
	// policy is who wants it, as Kind/name.
	policy string
	adopt  bool
}

func newCompilation(r resource.Reader, m realm) *compilation {
	return &compilation{r: r, realm: m}
}

func compile(r resource.Reader, m realm) *compilation {
	c := newCompilation(r, m)
	c.quiet = true
	c.intentions()
	if len(m.members) > 0 {
		c.traffic()
	}
	c.config = c.entries()
	return c
}

// problem notes what of a policy is left out.
func (c *compilation) problem(policy string, p *isthmusv1.PolicyProblem) {
	if c.problems == nil {
		c.problems = map[string][]*isthmusv1.PolicyProblem{}
	}
	c.problems[policy] = append(c.problems[policy], p)
}

// entries are the parts, put together. Several policies may want the same part; those that want another content for it were sorted out
// before.
func (c *compilation) entries() *isthmusv1.ConfigEntries {
	parts := slices.Clone(c.parts)
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Or(a.inEntryOf(b), cmp.Compare(a.key, b.key)) })
	out := &isthmusv1.ConfigEntries{}
	var entry *isthmusv1.ConfigEntry
	var one *isthmusv1.ConfigPart
	for i, p := range parts {
		switch {
		case i == 0 || p.inEntryOf(parts[i-1]) != 0:
			entry, one = &isthmusv1.ConfigEntry{Kind: p.kind, Namespace: p.namespace, Name: p.name}, nil
			out.Entries = append(out.Entries, entry)
		case one != nil && one.GetKey() == p.key:
			one.Policies = append(one.Policies, p.policy)
			one.Adopt = one.Adopt || p.adopt
			continue
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			continue // values are made of strings, numbers, lists and maps: there is no such error
		}
		one = &isthmusv1.ConfigPart{Key: p.key, Value: string(value), Policies: []string{p.policy}, Adopt: p.adopt}
		entry.Parts = append(entry.Parts, one)
	}
	for _, e := range out.GetEntries() {
		for _, p := range e.GetParts() {
			slices.Sort(p.Policies)
			p.Policies = slices.Compact(p.Policies)
		}
	}
	return out
}

// inEntryOf is 0 for parts of one entry, and else the order of their entries.
func (p part) inEntryOf(other part) int {
	return cmp.Or(cmp.Compare(p.kind, other.kind), cmp.Compare(p.namespace, other.namespace), cmp.Compare(p.name, other.name))
}
