package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// intentions compiles the Intentions of the realm.
func (c *compilation) intentions() {
	c.intentionsOf(resource.Choosing[*isthmusv1.Intention](c.r, resource.KindIntention, slices.Concat(c.realm.members, c.realm.leaving)...))
}

// intentionsOf compiles some Intentions, in order of their names: all in the realm that are about a destination, or none of them.
func (c *compilation) intentionsOf(all []*isthmusv1.Intention) {
	var wants []want
	for _, i := range all {
		if i.GetDeleteTime() != nil {
			continue
		}
		if destination := c.destinationOf(i); len(destination) > 0 {
			wants = append(wants, c.wantsOf(i, destination)...)
		} else if leaving := c.choose(c.realm.leaving, i.GetSpec().GetDestination().GetDatacenters(), i.GetSpec().GetDestination().GetSelector()); len(leaving) > 0 {
			wants = append(wants, slices.DeleteFunc(c.wantsOf(i, leaving), func(w want) bool { return w.source.Action == resource.ActionAllow })...)
		}
	}
	groups := grouped(c.oneSpelling(wants))
	for _, group := range groups {
		c.settle(group)
	}
	c.tooMany(groups)
}

// checkIntention finds what stands against an Intention in the fleet as it is wanted.
func checkIntention(r resource.Reader, i *isthmusv1.Intention) []fault.Violation {
	var problems []*isthmusv1.PolicyProblem
	same := sharersOf(r, i)
	for _, m := range realmsOf(r, i, wantedRealm) {
		c := newCompilation(r, m)
		c.quiet = true
		c.intentionsOf(same(m))
		problems = append(problems, c.problems[policyName(i)]...)
	}
	return refused(problems)
}

// sameDestination are the Intentions whose parts are in the same config entry: Consul tells names of entries apart without regard to case.
func sameDestination(r resource.Reader, of *isthmusv1.Intention) []*isthmusv1.Intention {
	d := of.GetSpec().GetDestination()
	return slices.Collect(resource.AllHaving[*isthmusv1.Intention](r, resource.KindIntention, resource.TermService(d.GetNamespace(), d.GetService())))
}

// sharersOf gives the Intentions that have parts of the same config entry in a realm, of one that chooses many datacenters also some that have not:
// these are looked up once, and those of one that names a few where it names them.
func sharersOf(r resource.Reader, of *isthmusv1.Intention) func(m realm) []*isthmusv1.Intention {
	if len(of.GetSpec().GetDestination().GetDatacenters()) == 0 {
		all := sameDestination(r, of)
		return func(realm) []*isthmusv1.Intention { return all }
	}
	return func(m realm) []*isthmusv1.Intention {
		near := resource.Choosing[*isthmusv1.Intention](r, resource.KindIntention, slices.Concat(m.members, m.leaving)...)
		return slices.DeleteFunc(near, func(other *isthmusv1.Intention) bool { return !shareEntry(of, other) })
	}
}

// shareEntry tells whether two Intentions have parts of the same config entry, wherever they are.
func shareEntry(a, b *isthmusv1.Intention) bool {
	x, y := a.GetSpec().GetDestination(), b.GetSpec().GetDestination()
	return x.GetNamespace() == y.GetNamespace() && strings.ToLower(x.GetService()) == strings.ToLower(y.GetService()) //nolint:staticcheck // as TermService, which is no EqualFold
}

// destinationOf are the members of the realm that an Intention chooses for its destination.
func (c *compilation) destinationOf(i *isthmusv1.Intention) []*isthmusv1.Datacenter {
	d := i.GetSpec().GetDestination()
	return c.choose(c.realm.members, d.GetDatacenters(), d.GetSelector())
}

func (c *compilation) choose(from []*isthmusv1.Datacenter, names []string, selector string) []*isthmusv1.Datacenter {
	if len(from) == 0 {
		return nil
	}
	chooses := resource.ChoosesIn(c.r, names, selector)
	var out []*isthmusv1.Datacenter
	for _, dc := range from {
		if chooses(dc) {
			out = append(out, dc)
		}
	}
	return out
}

// want is a source of service-intentions that one item of an Intention's sources comes to.
type want struct {
	intention *isthmusv1.Intention
	// field is the item: spec.sources[0].
	field  string
	source sourceValue
	// unsafe: Consul would let it count for more than was meant. What allows is left out then.
	unsafe bool
}

// sourceValue is a source as Consul's service-intentions have it, and no more of it than isthmus sets.
type sourceValue struct {
	Name        string
	Namespace   string            `json:",omitempty"`
	Peer        string            `json:",omitempty"`
	Action      string            `json:",omitempty"`
	Permissions []permissionValue `json:",omitempty"`
	Description string            `json:",omitempty"`
}

type permissionValue struct {
	Action string
	HTTP   httpValue
}

type httpValue struct {
	PathExact  string        `json:",omitempty"`
	PathPrefix string        `json:",omitempty"`
	PathRegex  string        `json:",omitempty"`
	Header     []headerValue `json:",omitempty"`
	Methods    []string      `json:",omitempty"`
}

type headerValue struct {
	Name       string
	Present    bool   `json:",omitempty"`
	Exact      string `json:",omitempty"`
	Prefix     string `json:",omitempty"`
	Suffix     string `json:",omitempty"`
	Contains   string `json:",omitempty"`
	Regex      string `json:",omitempty"`
	Invert     bool   `json:",omitempty"`
	IgnoreCase bool   `json:",omitempty"`
}

// sourceOf is an item of an Intention's sources as Consul takes it, as the source of a peer unless peer is empty.
func sourceOf(i *isthmusv1.Intention, s *isthmusv1.IntentionSource, peer string) sourceValue {
	out := sourceValue{Name: s.GetService(), Peer: peer, Action: s.GetAction(), Description: s.GetDescription()}
	// Without one, a source has the destination's. Consul's Community Edition refuses the field, whatever its value.
	if namespace := i.GetSpec().GetDestination().GetNamespace(); s.GetNamespace() != namespace || namespace != defaultNamespace {
		out.Namespace = s.GetNamespace()
	}
	for _, p := range s.GetPermissions() {
		http := httpValue{PathExact: p.GetHttp().GetPathExact(), PathPrefix: p.GetHttp().GetPathPrefix(), PathRegex: p.GetHttp().GetPathRegex()}
		for _, method := range p.GetHttp().GetMethods() {
			http.Methods = append(http.Methods, strings.ToUpper(method)) // as Consul does
		}
		for _, h := range p.GetHttp().GetHeaders() {
			http.Header = append(http.Header, headerValue{
				Name: h.GetName(), Present: h.GetPresent(), Exact: h.GetExact(), Prefix: h.GetPrefix(), Suffix: h.GetSuffix(),
				Contains: h.GetContains(), Regex: h.GetRegex(), Invert: h.GetInvert(), IgnoreCase: h.GetIgnoreCase(),
			})
		}
		out.Permissions = append(out.Permissions, permissionValue{Action: p.GetAction(), HTTP: http})
	}
	return out
}

// decision is what a source decides, without what only describes it.
func (v sourceValue) decision() string {
	if len(v.Permissions) == 0 {
		return strings.Join([]string{v.Namespace, v.Name, v.Peer, v.Action}, "\x00")
	}
	v.Description = ""
	text, err := json.Marshal(v)
	if err != nil {
		return "" // strings, lists and booleans: there is no such error
	}
	return string(text)
}

// denies: nobody is let in by it, whatever a request is like.
func (v sourceValue) denies() bool { return v.Action == resource.ActionDeny }

// key is the part that the want is for.
func (w want) key() string {
	return sourceKey(cmp.Or(w.source.Namespace, defaultNamespace), w.source.Name, w.source.Peer)
}

// entry is where it is.
func (w want) entry() (namespace, name string) {
	d := w.intention.GetSpec().GetDestination()
	return d.GetNamespace(), d.GetService()
}

// grouped puts wants for the same part together, in order of the entries and keys.
func grouped(wants []want) [][]want {
	order := func(a, b want) int {
		na, ea := a.entry()
		nb, eb := b.entry()
		return cmp.Or(cmp.Compare(na, nb), cmp.Compare(ea, eb), cmp.Compare(a.key(), b.key()))
	}
	slices.SortStableFunc(wants, order)
	var out [][]want
	for n, w := range wants {
		if n == 0 || order(wants[n-1], w) != 0 {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], w)
	}
	return out
}

// oneSpelling leaves out what is for a destination that others spell with other capitals: Consul would have one entry replace the other,
// and match callers with the spelling of the last. The first Intention by name has it.
func (c *compilation) oneSpelling(wants []want) []want {
	if len(wants) < 2 {
		return wants
	}
	first := map[string]want{}
	var out []want
	told := map[string]bool{}
	for _, w := range wants {
		namespace, name := w.entry()
		at := namespace + "/" + strings.ToLower(name)
		known, ok := first[at]
		if !ok {
			first[at] = w
			known = w
		}
		if _, spelled := known.entry(); spelled == name {
			out = append(out, w)
			continue
		}
		for _, pair := range [][2]want{{w, known}, {known, w}} {
			own, other := policyName(pair[0].intention), policyName(pair[1].intention)
			_, theirs := pair[1].entry()
			if told[own+" "+other] {
				continue
			}
			told[own+" "+other] = true
			c.problem(own, &isthmusv1.PolicyProblem{
				Reason: ReasonContradicts, Field: "spec.destination.service", Datacenter: c.realm.home,
				Message: fmt.Sprintf("%s is about %s, and Consul has one config entry for names that differ in capitals only", other, theirs),
				Fix:     "write the name as the service is registered, in both",
			})
		}
	}
	return out
}

// settle makes one part of the wants for it. Where they contradict each other, it denies: nobody gets in whom one of them keeps out.
func (c *compilation) settle(group []want) {
	if len(group) == 1 {
		if w := group[0]; !w.unsafe || w.source.denies() {
			c.part(w, w.source)
		}
		return
	}
	safe := slices.DeleteFunc(slices.Clone(group), func(w want) bool { return w.unsafe && !w.source.denies() })
	if len(safe) == 0 {
		return
	}
	value := safe[0].source
	contradicted := slices.ContainsFunc(safe, func(w want) bool { return w.source.decision() != value.decision() })
	if contradicted {
		c.contradiction(safe)
		value = denial(safe)
	}
	for _, w := range safe {
		if value.Description == "" && !contradicted {
			value.Description = w.source.Description
		}
	}
	for _, w := range safe {
		c.part(w, value)
	}
}

// part adds what a want comes to.
func (c *compilation) part(w want, value sourceValue) {
	namespace, name := w.entry()
	c.parts = append(c.parts, part{
		kind: KindIntentions, namespace: namespace, name: name, key: w.key(), value: value,
		policy: policyName(w.intention), adopt: w.intention.GetSpec().GetAdopt(),
	})
}

// denial is what wants that contradict each other come to.
func denial(group []want) sourceValue {
	for _, w := range group {
		if w.source.denies() {
			return w.source
		}
	}
	out := group[0].source
	out.Action, out.Permissions, out.Description = resource.ActionDeny, nil, ""
	return out
}

// maxSources is how many sources of isthmus's one entry may have: an agent marks each with 16 bytes in the entry's Meta, which Consul limits to
// 64 values of 512 bytes, and a few of these are left to others.
const maxSources = 1800

// tooMany notes with each Intention of an entry that it would have more sources than can be marked.
func (c *compilation) tooMany(groups [][]want) {
	if len(groups) <= maxSources {
		return
	}
	type place struct{ namespace, name string }
	sources, intentions := map[place]int{}, map[place]map[string]bool{}
	for _, group := range groups {
		namespace, name := group[0].entry()
		at := place{namespace, name}
		sources[at]++
		if intentions[at] == nil {
			intentions[at] = map[string]bool{}
		}
		for _, w := range group {
			intentions[at][policyName(w.intention)] = true
		}
	}
	for at, n := range sources {
		if n <= maxSources {
			continue
		}
		for name := range intentions[at] {
			c.problem(name, &isthmusv1.PolicyProblem{
				Reason: ReasonTooMany, Field: "spec.sources", Datacenter: c.realm.home,
				Message: fmt.Sprintf("%s/%s in %s would have %d sources, and Consul's Meta has room to mark %d as isthmus's", KindIntentions, at.name, c.realm.home, n, maxSources),
				Fix:     "name fewer datacenters, or * in place of single services",
			})
		}
	}
}

// contradiction notes with each Intention of a group who says otherwise.
func (c *compilation) contradiction(group []want) {
	for n, w := range group {
		for m, other := range group {
			if n == m || w.source.decision() == other.source.decision() {
				continue
			}
			c.problem(policyName(w.intention), &isthmusv1.PolicyProblem{
				Reason: ReasonContradicts, Field: w.field, Datacenter: c.realm.home,
				Message: fmt.Sprintf("%s says otherwise of %s in its %s, and of two that contradict each other a denial counts",
					policyName(other.intention), w.called(), other.field),
				Fix: "let both say the same, or one of them nothing of it",
			})
			break
		}
	}
}

// called is who calls whom, in words.
func (w want) called() string {
	d := w.intention.GetSpec().GetDestination()
	return Query{Source: w.source.Name, SourcePeer: w.source.Peer, Destination: d.GetService()}.String()
}
