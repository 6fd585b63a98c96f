package agent

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// wish is everything that isthmus wants in one entry. Without parts: what it wrote there goes.
type wish struct {
	kind, namespace, name string
	// digest is of the entry in the desired state; empty: it is not in there.
	digest string
	parts  []wishedPart
	// err: it cannot be read.
	err error
}

type wishedPart struct {
	key   string
	value any
	adopt bool
	// notAdopted: it is wanted to take over what somebody else wrote, and this host does not allow it.
	notAdopted bool
}

// wishOfEntry decodes an entry of the desired state.
func wishOfEntry(e *isthmusv1.ConfigEntry, allowAdopt bool) wish {
	w := wish{kind: e.GetKind(), namespace: e.GetNamespace(), name: e.GetName(), digest: resource.Digest(e)}
	if w.namespace == defaultNamespace {
		w.namespace = ""
	}
	if !slices.Contains(policyKinds(), w.kind) {
		w.err = because(fault.Invalid, reasonValue, "this agent merges nothing into entries of kind %s", w.kind)
	}
	if !entryName(w.kind, w.namespace, w.name) {
		w.err = because(fault.Invalid, reasonValue, "%.200q is no name of a service: this agent touches no entry of that name", w.name)
	}
	for _, p := range e.GetParts() {
		value, err := decode(p.GetValue())
		if err != nil || !knownPart(w.kind, p.GetKey(), value) {
			w.err = because(fault.Invalid, reasonValue, "this agent does not understand part %s of %s/%s", p.GetKey(), w.kind, w.name)
		}
		w.parts = append(w.parts, wishedPart{
			key: p.GetKey(), value: value, adopt: p.GetAdopt() && allowAdopt, notAdopted: p.GetAdopt() && !allowAdopt,
		})
	}
	return w
}

// entryName tells whether an entry may be one that policies compile to. Consul takes any name, those among them that are a path in its API.
func entryName(kind, namespace, name string) bool {
	return (resource.ValidService(name) || kind == consul.KindIntentions && name == resource.AnyService) && (namespace == "" || resource.ValidName(namespace))
}

func decode(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err //nolint:wrapcheck // who calls says what it is
}

// remembered is what isthmus wrote into an entry last, by the parts' keys, as this agent knows it: whoever deletes or replaces an entry takes
// isthmus's marks away with it.
type remembered map[string]any

// merge is the outcome of one wish.
type merge struct {
	mergeResult
	wish wish
	// states are those of the wished parts, in their order.
	states []partState
	drifts []partDrift
	// written is what is isthmus's in the entry then.
	written remembered
	// takesOut: something is taken out and nothing put in.
	takesOut bool
}

type partState struct {
	key, state, reason, message, fix string
	// found is what is there; nil: nothing.
	found any
}

// partDrift is a part of isthmus's that is not as it wrote it. (nil: it is not there.)
type partDrift struct {
	key           string
	wanted, found any
	corrected     bool
}

// merger is one merge at work.
type merger struct {
	entry   consul.Entry
	wish    wish
	correct bool
	before  remembered
	owned   owned
	next    owned
	out     merge
}

// mergeParts computes the entry with what is wished and everything that is not isthmus's. Pure but for the entry's body, which it owns.
func mergeParts(e consul.Entry, w wish, before remembered, correct bool) (merge, error) {
	text := encode(e.Body)
	meta := e.Meta()
	m := &merger{
		entry: e, wish: w, correct: correct, before: before, owned: readOwned(meta), next: owned{},
		out: merge{wish: w, written: remembered{}},
	}
	if meta[metaSource] == sourceKubernetes {
		m.leave()
		return m.out, nil
	}
	dropped := m.takeOut()
	changed := 0
	for _, p := range w.parts {
		if m.put(p) {
			changed++
		}
	}
	m.out.takesOut = dropped > 0 && changed == 0
	if dropped+changed > 0 && legacy(w.kind, e.Body) {
		return m.out, because(fault.Refused, reasonLegacy,
			"the entry has intentions that were made with Consul's former API, whose ids a write would lose: write them anew, for example with consul intention create -replace")
	}
	return m.out, m.finish(meta, text)
}

// leave looks at an entry that is not to be touched.
func (m *merger) leave() {
	here := partsIn(m.wish.kind, m.entry.Body)
	wanted := map[string]bool{}
	for _, p := range m.wish.parts {
		wanted[p.key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(here)) {
		if p, ours := m.owned.part(key); ours && !wanted[key] && p.content.wrote(key, here[key]) {
			m.out.states = append(m.out.states, partState{
				key: key, state: resource.PolicyManaged, reason: reasonKubernetes, found: here[key],
				message: "isthmus wrote this, and nobody wants it any more; the entry says that Kubernetes manages it, so that it is left alone",
				fix:     "take it out of the entry, or its mark external-source, if it is no custom resource's",
			})
		}
	}
	for _, p := range m.wish.parts {
		found, ok := here[p.key]
		if ok && same(p.key, p.value, found) {
			m.state(p.key, resource.PolicyApplied, "", "", nil)
			continue
		}
		m.state(p.key, resource.PolicyManaged, reasonKubernetes, "Kubernetes manages this entry, and would undo what is written beside it", found)
	}
	m.out.entry = m.entry
}

// takeOut takes out what isthmus wrote and nobody wants any more. What somebody changed since is theirs.
func (m *merger) takeOut() (dropped int) {
	wanted := map[string]bool{}
	for _, p := range m.wish.parts {
		wanted[p.key] = true
	}
	for key, found := range partsIn(m.wish.kind, m.entry.Body) {
		p, ours := m.owned.part(key)
		if !wanted[key] && ours && p.content.wrote(key, found) {
			dropPart(m.wish.kind, m.entry.Body, key, p.before)
			dropped++
		}
	}
	return dropped
}

// put brings one part about, and tells whether it changed the entry for that.
func (m *merger) put(p wishedPart) (changed bool) {
	found, there := partsIn(m.wish.kind, m.entry.Body)[p.key]
	mark, ours := m.owned.part(p.key)
	was, known := m.before[p.key]
	switch {
	case there && same(p.key, p.value, found):
		if ours || p.adopt {
			m.keep(p, mark.before)
		} else if p.notAdopted {
			m.out.states = append(m.out.states, partState{
				key: p.key, state: resource.PolicyConflict, reason: reasonAdopt, message: "somebody else wrote the same, and no flag on this host lets isthmus take it over",
				fix: "start the agent with --allow-adopt until it is done, or take adopt out of the policy: it counts as it is", found: found,
			})
			return false
		}
		m.state(p.key, resource.PolicyApplied, "", "", nil)
		return false
	case ours && there && mark.content.wrote(p.key, found):
		return m.write(p, mark.before)
	case ours || known && !there:
		if !known {
			was = p.value
		}
		if !ours {
			mark.before = emptyForm(m.wish.kind, m.entry.Body, p.key)
		}
		return m.drifted(p, was, found, mark, ours)
	case there:
		if known {
			m.out.drifts = append(m.out.drifts, partDrift{key: p.key, wanted: was, found: found})
		}
		m.conflict(p.key, found, "somebody else wrote something else here: change one of the two")
		return false
	}
	return m.write(p, emptyForm(m.wish.kind, m.entry.Body, p.key))
}

// drifted deals with a part of isthmus's that somebody changed or took out.
func (m *merger) drifted(p wishedPart, was, found any, mark ownedPart, ours bool) (changed bool) {
	if !m.correct {
		m.out.drifts = append(m.out.drifts, partDrift{key: p.key, wanted: was, found: found})
		if ours {
			m.next.mark(p.key, mark)
		}
		m.out.written[p.key] = was
		message := "somebody changed what isthmus wrote, and drift is only reported"
		if found == nil {
			message = "somebody took out what isthmus wrote, and drift is only reported"
		}
		m.state(p.key, resource.PolicyDrifted, reasonDrift, message, found)
		return false
	}
	if changed = m.write(p, mark.before); changed {
		m.out.drifts = append(m.out.drifts, partDrift{key: p.key, wanted: was, found: found, corrected: true})
	}
	return changed
}

// write puts a part in, unless something of somebody else's stands in its way.
func (m *merger) write(p wishedPart, before string) bool {
	if other := inTheWay(m.wish.kind, m.entry.Body, p.key); other != nil {
		m.conflict(p.key, other, "Consul takes no redirect beside a failover: take one of the two out")
		return false
	}
	putPart(m.wish.kind, m.entry.Body, p.key, p.value)
	m.keep(p, before)
	m.state(p.key, resource.PolicyApplied, "", "", nil)
	return true
}

// keep notes that a part is isthmus's from now on.
func (m *merger) keep(p wishedPart, before string) {
	m.next.mark(p.key, ownedPart{content: stampPart(p.key, p.value), before: before})
	m.out.written[p.key] = p.value
}

func (m *merger) conflict(key string, found any, fix string) {
	m.out.states = append(m.out.states, partState{
		key: key, state: resource.PolicyConflict, reason: reasonForeign, message: "somebody else wrote this entry, and says something else", fix: fix, found: found,
	})
}

func (m *merger) state(key, state, reason, message string, found any) {
	m.out.states = append(m.out.states, partState{key: key, state: state, reason: reason, message: message, found: found})
}

// finish writes down what is isthmus's, and decides what becomes of the entry.
func (m *merger) finish(meta map[string]string, before string) error {
	e := m.entry
	writeOwned(meta, m.next, slices.Sorted(maps.Keys(m.out.written)))
	switch {
	case e.Index == 0 && len(m.next) > 0:
		meta[metaCreated] = "true"
	case len(m.next) == 0 && len(m.owned) > 0:
		alone := meta[metaCreated] != "" && len(meta) == 1
		delete(meta, metaCreated)
		if alone && saysNothing(e.Body) || cannotBe(e.Kind, e.Body) {
			m.out.entry, m.out.remove = e, true
			return nil
		}
	}
	if err := checkMeta(meta); err != nil {
		return err
	}
	e.SetMeta(meta)
	m.out.entry, m.out.write = e, encode(e.Body) != before && (e.Index > 0 || len(m.next) > 0)
	return nil
}
