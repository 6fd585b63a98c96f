package sqlstore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// row is what a batch knows of one resource.
type row struct {
	exists      bool
	uid         string
	index       uint64
	datacenters []string
	relations   relations
	// foreign: it has fields that this binary does not know.
	foreign bool
}

// cell is a resource before the batch and as the batch leaves it. The puts are those that its columns come from.
type cell struct {
	before, now  row
	spec, status *put
	// last put of any part, for update_time.
	last *put
	// whole is the put that created or replaced it: every column is written, and its create time is kept.
	whole *put
	// kept is the rest of a row of which only a part was put.
	kept    resource.Object
	touched bool
}

// referrer is one reference to a resource.
type referrer struct {
	from  store.Key
	field string
}

// state is the part of the database that a batch of writes touches: as it was read under the lock, then as the writes
// leave it, one after the other. Later writes see earlier ones; a write that fails is undone.
type state struct {
	codec *codec

	mark
	// began is the mark before the batch.
	began mark

	cells  map[store.Key]*cell
	claims map[resource.Claim]store.Key
	// inbound are who refers to a resource, for those that the batch deletes.
	inbound map[store.Key]map[referrer]bool
	leases  map[string]store.Lease
	// assumed are resources that are taken to be absent without having been looked for.
	assumed []store.Key
	// fences are leases that are taken to be held without having been looked at.
	fences []store.Lease

	output output
	// undo takes back what the present write has changed. alone: there is no other write, so that nothing is stored of a state in which it failed.
	undo  []func()
	alone bool
	// canonical is room for an event's JSON.
	canonical []byte
}

// output is what the batch writes besides the cells.
type output struct {
	changes     []store.Change
	events      []any
	secrets     map[string]*store.Secret
	secretDrops map[string]bool
}

// newState is one for writes.
func newState(c *codec, writes []*write) *state {
	puts, claims, events := 0, 0, 0
	for _, w := range writes {
		puts, events = puts+len(w.puts), events+len(w.events)
		for _, p := range w.puts {
			claims += len(p.claims)
		}
	}
	return &state{
		codec: c, alone: len(writes) == 1,
		cells: make(map[store.Key]*cell, puts), claims: make(map[resource.Claim]store.Key, claims),
		inbound: map[store.Key]map[referrer]bool{}, leases: map[string]store.Lease{},
		output: output{
			changes: make([]store.Change, 0, puts+len(writes)), events: make([]any, 0, eventCells*events),
			secrets: map[string]*store.Secret{}, secretDrops: map[string]bool{},
		},
	}
}

func (s *state) cell(key store.Key) *cell {
	c, ok := s.cells[key]
	if !ok {
		c = &cell{}
		s.cells[key] = c
	}
	return c
}

// apply checks one write and makes its changes; after an error the state is as before, or worth nothing if the write is alone.
func (s *state) apply(w *write) (err error) {
	s.undo = s.undo[:0]
	defer func() {
		if err != nil {
			for _, back := range slices.Backward(s.undo) {
				back()
			}
		}
	}()
	if err := s.checkRequires(w); err != nil {
		return err
	}
	index := s.index
	if w.moves() {
		index++
		set(s, &s.index, index)
	}
	parts := make(map[store.Key]*store.Change, len(w.deletes)+len(w.puts)+1)
	for _, key := range w.deletes {
		if err := s.delete(key, parts); err != nil {
			return err
		}
	}
	for _, p := range w.puts {
		if err := s.put(p, index, parts); err != nil {
			return err
		}
	}
	if err := s.checkReferences(w); err != nil {
		return err
	}
	s.record(w, index, parts)
	return nil
}

// set assigns and remembers how to undo it.
func set[T any](s *state, into *T, value T) {
	if !s.alone {
		before := *into
		s.undo = append(s.undo, func() { *into = before })
	}
	*into = value
}

// setKey is set for an element of a map.
func setKey[K comparable, V any](s *state, m map[K]V, key K, value V) {
	if !s.alone {
		before, had := m[key]
		s.undo = append(s.undo, func() {
			if had {
				m[key] = before
			} else {
				delete(m, key)
			}
		})
	}
	m[key] = value
}

// dropKey removes an element of a map.
func dropKey[K comparable, V any](s *state, m map[K]V, key K) {
	if before, had := m[key]; had {
		if !s.alone {
			s.undo = append(s.undo, func() { m[key] = before })
		}
		delete(m, key)
	}
}

func (s *state) checkRequires(w *write) error {
	if f := w.fence; f != nil {
		held := s.leases[f.Name]
		if held.Fencing != f.Fencing || held.Holder != f.Holder {
			lost := fault.New(fault.Conflict, "the lease %s is no longer held with number %d", f.Name, f.Fencing)
			lost.Violations = []fault.Violation{{Field: "fence", Reason: store.ReasonFenced, Message: lost.Message}}
			return lost
		}
	}
	for _, r := range w.requires {
		now := s.cell(r.Key).now
		switch {
		case r.Absent && now.exists:
			return fault.New(fault.AlreadyExists, "%s %s exists already", r.Key.Kind, r.Key.Name)
		case r.Absent:
		case !now.exists:
			return fault.New(fault.Conflict, "%s %s does not exist any more", r.Key.Kind, r.Key.Name)
		case r.Index != 0 && r.Index != now.index:
			return fault.New(fault.Conflict, "%s %s has changed: its index is %d, not %d; read it again", r.Key.Kind, r.Key.Name, now.index, r.Index)
		}
	}
	return nil
}

func errForeign(key store.Key) error {
	return fault.New(fault.Refused, "%s %s was written by a newer isthmus and has fields that this one does not know: upgrade this server to change it",
		key.Kind, key.Name)
}

func (s *state) delete(key store.Key, parts map[store.Key]*store.Change) error {
	c := s.cell(key)
	if !c.now.exists {
		return fault.New(fault.NotFound, "%s %s does not exist", key.Kind, key.Name)
	}
	if c.now.foreign {
		return errForeign(key)
	}
	parts[key] = &store.Change{UID: c.now.uid, Operation: store.OperationDelete, Part: store.PartAll, Datacenters: c.now.datacenters}
	s.unrelate(key, c.now.relations)
	set(s, c, cell{before: c.before, touched: true})
	return nil
}

func (s *state) put(p *put, index uint64, parts map[store.Key]*store.Change) error {
	c := s.cell(p.key)
	switch {
	case c.now.foreign:
		return errForeign(p.key)
	case p.part == store.PartAll:
	case !c.now.exists:
		return fault.New(fault.NotFound, "%s %s does not exist", p.key.Kind, p.key.Name)
	case c.now.uid != p.uid:
		return fault.New(fault.Conflict, "%s %s was deleted and made again meanwhile", p.key.Kind, p.key.Name)
	}
	next := *c
	next.touched, next.last = true, p
	next.now.index = index
	touching := c.now.datacenters
	if p.part != store.PartStatus {
		s.unrelate(p.key, c.now.relations)
		next.spec = p
		next.now.datacenters, next.now.relations = p.datacenters, p.relations
		touching = union(touching, p.datacenters)
	}
	if p.part != store.PartSpec {
		next.status = p
	}
	if p.part == store.PartAll {
		next.now.exists, next.now.uid, next.whole = true, p.uid, p
	}
	set(s, c, next)
	if made := parts[p.key]; made == nil {
		parts[p.key] = &store.Change{UID: p.uid, Operation: store.OperationPut, Part: p.part, Datacenters: touching}
	} else {
		if made.Part != p.part || made.Operation == store.OperationDelete {
			made.Part = store.PartAll
		}
		made.UID, made.Operation, made.Datacenters = p.uid, store.OperationPut, union(made.Datacenters, touching)
	}
	if p.part != store.PartStatus {
		return s.relate(p)
	}
	return nil
}

// unrelate takes out what a resource holds and refers to.
func (s *state) unrelate(key store.Key, r relations) {
	for _, claim := range r.claims {
		if s.claims[claim] == key {
			dropKey(s, s.claims, claim)
		}
	}
	for _, ref := range r.references {
		if inbound, asked := s.inbound[store.Key{Kind: ref.Kind, Name: ref.Name}]; asked {
			dropKey(s, inbound, referrer{key, ref.Field})
		}
	}
}

// relate puts in what a resource holds and refers to. Who refers to a target is noted if the batch deletes it: of others
// nobody asks.
func (s *state) relate(p *put) error {
	for _, ref := range p.references {
		if inbound, asked := s.inbound[store.Key{Kind: ref.Kind, Name: ref.Name}]; asked {
			setKey(s, inbound, referrer{p.key, ref.Field}, true)
		}
	}
	for _, claim := range p.claims {
		if holder, taken := s.claims[claim]; taken && holder != p.key {
			return fault.New(fault.AlreadyExists, "%s %s already holds the %s %s", holder.Kind, holder.Name, claim.Scope, claim.Key)
		}
		setKey(s, s.claims, claim, p.key)
	}
	return nil
}

// maxListed bounds the violations of one error: they travel in headers.
const maxListed = 16

// checkReferences looks at the state after the whole write: what is deleted and put together may refer to each other.
func (s *state) checkReferences(w *write) error {
	var missing []fault.Violation
	for _, p := range w.puts {
		if p.part == store.PartStatus {
			continue
		}
		for _, ref := range p.references {
			if !s.cell(store.Key{Kind: ref.Kind, Name: ref.Name}).now.exists && len(missing) < maxListed {
				missing = append(missing, fault.Violation{
					Field: ref.Field, Reason: "NotFound",
					Message: fmt.Sprintf("%s %s refers to %s %s, which does not exist", p.key.Kind, p.key.Name, ref.Kind, ref.Name),
				})
			}
		}
	}
	if len(missing) > 0 {
		return fault.Violated(missing...)
	}
	for _, key := range w.deletes {
		if s.cell(key).now.exists || len(s.inbound[key]) == 0 {
			continue
		}
		return errReferenced(key, slices.Collect(maps.Keys(s.inbound[key])))
	}
	return nil
}

func errReferenced(key store.Key, by []referrer) error {
	slices.SortFunc(by, func(a, b referrer) int {
		return strings.Compare(a.from.Kind+"/"+a.from.Name+"/"+a.field, b.from.Kind+"/"+b.from.Name+"/"+b.field)
	})
	from := by[0].from
	e := fault.New(fault.Referenced, "%s %s is referred to by %s %s", key.Kind, key.Name, from.Kind, from.Name)
	if n := len(by) - 1; n > 0 {
		e.Message += fmt.Sprintf(" and %d more", n)
	}
	for _, r := range by[:min(len(by), maxListed)] {
		e.Violations = append(e.Violations, fault.Violation{
			Field: "name", Reason: "Referenced", Message: fmt.Sprintf("%s %s refers to it (%s)", r.from.Kind, r.from.Name, r.field),
		})
	}
	return e
}

func union(a, b []string) []string {
	if slices.Equal(a, b) {
		return a
	}
	return sortedSet(slices.Concat(a, b))
}
