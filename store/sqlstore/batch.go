package sqlstore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	"isthmus/resource"
	"isthmus/store"
)

// reads are the first round trip: the lock, then everything that the writes' preconditions are about.
func (s *Store) reads(st *state, writes []*write) []Statement {
	keys := map[store.Key]bool{}
	claims := map[resource.Claim]bool{}
	leases := map[string]bool{}
	for _, w := range writes {
		if w.fence != nil {
			leases[w.fence.Name] = true
		}
		for _, r := range w.requires {
			keys[r.Key] = true
		}
		for _, key := range w.deletes {
			keys[key] = true
			st.inbound[key] = map[referrer]bool{}
		}
		for _, p := range w.puts {
			keys[p.key] = true
			for _, c := range p.claims {
				claims[c] = true
			}
			for _, ref := range p.references {
				keys[store.Key{Kind: ref.Kind, Name: ref.Name}] = true
			}
		}
	}
	statements := []Statement{{SQL: s.sql.lock, Row: func(scan func(...any) error) error {
		var index, compacted, events int64
		if err := scan(&st.epoch, &index, &compacted, &events, &st.chainHead); err != nil {
			return err
		}
		st.index, st.events = uint64(index), uint64(events)
		st.began = st.mark
		return nil
	}}}
	for name := range leases {
		statements = append(statements, Statement{SQL: s.sql.shareLease, Args: []any{name}, Row: func(scan func(...any) error) error {
			var holder string
			var fencing int64
			err := scan(&holder, &fencing)
			st.leases[name] = store.Lease{Name: name, Holder: holder, Fencing: uint64(fencing)}
			return err
		}})
	}
	statements = append(statements, s.sql.rows.statements(st.keyRows(keys), st.readRow)...)
	statements = append(statements, s.sql.claimHolders.statements(claimRows(claims), st.readClaim)...)
	return append(statements, s.sql.referrers.statements(pairs(sortedKeys(st.inbound)), st.readReferrer)...)
}

func (s *state) keyRows(keys map[store.Key]bool) []any {
	rows := make([]any, 0, 3*len(keys))
	for _, key := range sortedKeys(keys) {
		shape := ""
		if k, ok := s.codec.kinds[key.Kind]; ok {
			shape = k.shape
		}
		rows = append(rows, key.Kind, key.Name, shape)
	}
	return rows
}

func (s *state) readRow(scan func(...any) error) error {
	var key store.Key
	var index int64
	var datacenters, relations, spec, status []byte
	now := row{exists: true}
	if err := scan(&key.Kind, &key.Name, &now.uid, &index, &datacenters, &relations, &spec, &status); err != nil {
		return err
	}
	now.index = uint64(index)
	var err error
	if now.datacenters, err = parseNames(datacenters); err != nil {
		return err
	}
	if now.relations, err = parseRelations(relations); err != nil {
		return err
	}
	now.foreign = !s.codec.writable(key.Kind, spec, status)
	c := s.cell(key)
	c.before, c.now = now, now
	return nil
}

func (s *state) readClaim(scan func(...any) error) error {
	var claim resource.Claim
	var holder store.Key
	if err := scan(&claim.Scope, &claim.Key, &holder.Kind, &holder.Name); err != nil {
		return err
	}
	s.claims[claim] = holder
	return nil
}

func (s *state) readReferrer(scan func(...any) error) error {
	var from, to store.Key
	var field string
	if err := scan(&from.Kind, &from.Name, &field, &to.Kind, &to.Name); err != nil {
		return err
	}
	s.inbound[to][referrer{from, field}] = true
	return nil
}

// record adds what an accepted write leaves behind: changes, events, secrets.
func (s *state) record(w *write, index uint64, parts map[store.Key]*store.Change) {
	for _, e := range w.events {
		s.append(e, index)
	}
	if len(w.events) > 0 {
		parts[store.Key{Kind: store.KindEvent, Name: store.EventName(s.events)}] = &store.Change{Operation: store.OperationPut, Part: store.PartAll}
	}
	for _, key := range sortedKeys(parts) {
		c := parts[key]
		c.Index, c.Key = index, key
		s.output.changes = append(s.output.changes, *c)
	}
	for _, digest := range w.drops {
		s.output.secretDrops[digest] = true
		delete(s.output.secrets, digest)
	}
	for i := range w.secrets {
		secret := &w.secrets[i]
		if s.output.secrets[secret.Digest] == nil {
			s.output.secrets[secret.Digest] = secret
		}
	}
}

// eventCells is how many columns an event has.
const eventCells = 10

// append numbers an event and adds it to the chain. Its canonical JSON is put together here of what was encoded before the
// lock was taken: see store.EventHash.
func (s *state) append(e *event, index uint64) {
	s.events++
	previous := s.chainHead
	text := append(s.canonical[:0], `{"createTime":`...)
	text = append(append(text, e.created...), `,"index":"`...)
	text = append(strconv.AppendUint(text, index, 10), `","name":"`...)
	text = append(store.AppendEventName(text, s.events), `","spec":`...)
	text = append(append(text, e.text...), `,"status":{`...)
	if previous != "" {
		text = append(append(append(text, `"previousHash":"`...), previous...), '"')
	}
	s.canonical = append(text, `}}`...)
	sum := sha256.Sum256(s.canonical)
	var head [2 * sha256.Size]byte
	hex.Encode(head[:], sum[:])
	s.chainHead = string(head[:])
	s.output.events = append(s.output.events,
		int64(s.events), int64(index), formatTime(e.time), e.actor, e.action, e.kind, e.target, e.text, previous, s.chainHead)
}

// dirty tells whether there is anything to write.
func (s *state) dirty() bool {
	return len(s.output.changes)+len(s.output.secrets)+len(s.output.secretDrops) > 0
}

// changes are the second round trip, or the only one: the revision, which must be where the batch began, and everything that the accepted
// writes leave behind.
func (s *Store) changes(st *state) []Statement {
	began := &st.began
	out := []Statement{{SQL: s.sql.bump, Args: []any{
		began.epoch, int64(began.index), int64(began.events), began.chainHead, int64(st.index), int64(st.events), st.chainHead,
	}}}
	for _, fence := range st.fences {
		out = append(out, Statement{SQL: s.sql.fence, Args: []any{fence.Name, fence.Holder, int64(fence.Fencing)}})
	}
	out = append(out, s.resourceStatements(st)...)
	out = append(out, s.relationStatements(st)...)
	out = append(out, s.sql.putEvents.statements(st.output.events, nil)...)
	if changes := st.output.changes; len(changes) > 0 {
		out = append(out, Statement{SQL: s.sql.putCommit, Args: []any{int64(st.index), int64(len(changes)), feedText(changes)}})
	}
	var drops, secrets []any
	for _, digest := range slices.Sorted(maps.Keys(st.output.secretDrops)) {
		drops = append(drops, digest)
	}
	for _, digest := range slices.Sorted(maps.Keys(st.output.secrets)) {
		secret := st.output.secrets[digest]
		var expires any
		if !secret.ExpireTime.IsZero() {
			expires = formatTime(secret.ExpireTime)
		}
		secrets = append(secrets, digest, secret.Kind, secret.Body, expires)
	}
	out = append(out, s.sql.dropSecrets.statements(drops, nil)...)
	out = append(out, s.sql.putSecrets.statements(secrets, nil)...)
	if s.sql.notify != "" {
		out = append(out, Statement{SQL: s.sql.notify, Args: []any{strconv.FormatUint(st.index, 10)}})
	}
	return out
}

// resourceCells is how many columns a resource has.
const resourceCells = 14

// touched are the resources that the batch changes, in order.
func (s *state) touched() []store.Key {
	keys := make([]store.Key, 0, len(s.cells))
	for key, c := range s.cells {
		if c.touched {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// resourceStatements write the rows: each part only where it changed.
func (s *Store) resourceStatements(st *state) []Statement {
	var deletes, whole, specs, statuses []any
	keys := st.touched()
	all := make([]any, 0, resourceCells*len(keys))
	for _, key := range keys {
		c := st.cells[key]
		index := int64(c.now.index)
		switch {
		case !c.now.exists:
			if c.before.exists {
				deletes = append(deletes, key.Kind, key.Name)
			}
		case c.whole != nil:
			into := &all
			if c.before.exists {
				into = &whole
			}
			*into = append(*into, key.Kind, key.Name, c.now.uid, c.spec.labels, c.spec.generation, index, c.whole.create, c.last.update, c.spec.delete,
				c.spec.spec, c.status.status, c.spec.shape, namesJSON(c.spec.datacenters), c.spec.text())
		default:
			if c.spec != nil {
				specs = append(specs, key.Kind, key.Name, c.spec.labels, c.spec.generation, index, c.last.update, c.spec.delete,
					c.spec.spec, c.spec.shape, namesJSON(c.spec.datacenters), c.spec.text())
			}
			if c.status != nil {
				statuses = append(statuses, key.Kind, key.Name, index, c.last.update, c.status.status, c.status.shape)
			}
		}
	}
	return slices.Concat(
		s.sql.deleteRows.statements(deletes, nil), s.sql.putAll.statements(all, nil), s.sql.putOver.statements(whole, nil),
		s.sql.putSpec.statements(specs, st.readKept), s.sql.putStatus.statements(statuses, st.readKept),
	)
}

// readKept takes what a row has beside the part that was put.
func (s *state) readKept(scan func(...any) error) error {
	var r record
	if err := scan(r.destinations()...); err != nil {
		return err
	}
	o, known, err := s.codec.decode(&r)
	if known && err == nil {
		s.cell(store.Key{Kind: r.kind, Name: r.name}).kept = o
	}
	return err
}

// held is a claim, and who holds it.
type held struct {
	claim resource.Claim
	by    store.Key
}

// edge is a reference, and what it leads to.
type edge struct {
	to   store.Key
	from referrer
}

func (a held) compare(b held) int {
	return cmp.Or(cmp.Compare(a.claim.Scope, b.claim.Scope), cmp.Compare(a.claim.Key, b.claim.Key))
}

func (a edge) compare(b edge) int {
	return cmp.Or(compareKeys(a.to, b.to), compareKeys(a.from.from, b.from.from), cmp.Compare(a.from.field, b.from.field))
}

// relationStatements bring claims and references from what they were to what the batch leaves, each in the order of its
// index: what is next to each other is found together.
func (s *Store) relationStatements(st *state) []Statement {
	claims, references := 0, 0
	for _, c := range st.cells {
		if c.touched {
			claims, references = claims+len(c.now.relations.claims), references+len(c.now.relations.references)
		}
	}
	var dropped []held
	var cut []edge
	taken, tied := make([]held, 0, claims), make([]edge, 0, references)
	for key, c := range st.cells {
		if !c.touched {
			continue
		}
		before, now := c.before.relations, c.now.relations
		dropped = appendHeld(dropped, key, without(before.claims, now.claims))
		taken = appendHeld(taken, key, without(now.claims, before.claims))
		cut = appendEdges(cut, key, without(before.references, now.references))
		tied = appendEdges(tied, key, without(now.references, before.references))
	}
	return slices.Concat(
		s.sql.dropClaims.statements(heldRows(dropped, false), nil), s.sql.dropRefs.statements(edgeRows(cut), nil),
		s.sql.putClaims.statements(heldRows(taken, true), nil), s.sql.putRefs.statements(edgeRows(tied), nil),
	)
}

func appendHeld(out []held, by store.Key, claims []resource.Claim) []held {
	for _, c := range claims {
		out = append(out, held{c, by})
	}
	return out
}

func appendEdges(out []edge, from store.Key, references []resource.Reference) []edge {
	for _, r := range references {
		out = append(out, edge{store.Key{Kind: r.Kind, Name: r.Name}, referrer{from, r.Field}})
	}
	return out
}

func heldRows(all []held, holder bool) []any {
	slices.SortFunc(all, held.compare)
	rows := make([]any, 0, 4*len(all))
	for _, h := range all {
		rows = append(rows, h.claim.Scope, h.claim.Key)
		if holder {
			rows = append(rows, h.by.Kind, h.by.Name)
		}
	}
	return rows
}

func edgeRows(all []edge) []any {
	slices.SortFunc(all, edge.compare)
	rows := make([]any, 0, 5*len(all))
	for _, e := range all {
		rows = append(rows, e.to.Kind, e.to.Name, e.from.from.Kind, e.from.from.Name, e.from.field)
	}
	return rows
}

func sortedKeys[V any](m map[store.Key]V) []store.Key {
	keys := make([]store.Key, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b store.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func pairs(keys []store.Key) []any {
	rows := make([]any, 0, 2*len(keys))
	for _, key := range keys {
		rows = append(rows, key.Kind, key.Name)
	}
	return rows
}

func claimRows(claims map[resource.Claim]bool) []any {
	rows := make([]any, 0, 2*len(claims))
	for c := range claims {
		rows = append(rows, c.Scope, c.Key)
	}
	return rows
}
