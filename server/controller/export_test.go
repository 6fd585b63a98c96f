package controller

import (
	"slices"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// Quota bounds the entries of the audit log that agents cause.
type Quota struct{ q *quota }

// NewQuota makes one as a term does that begins.
func NewQuota() *Quota { return &Quota{newQuota()} }

// Pass gives those entries that may be written now.
func (q *Quota) Pass(o resource.Object, datacenter string, events []*isthmusv1.Event, now time.Time) []*isthmusv1.Event {
	return q.q.pass(o, datacenter, events, now)
}

// Due are entries on those that were left out.
func (q *Quota) Due(now time.Time) []*isthmusv1.Event { return q.q.due(now) }

// DueOfAll is the same by a look at all that is remembered, whenever that is due.
func (q *Quota) DueOfAll(now time.Time) []*isthmusv1.Event {
	q.q.alarms = nil
	for of, t := range q.q.topics {
		t.at = now
		q.q.alarms.Push(alarm{at: now, topic: of})
	}
	for from := range q.q.agents {
		q.q.alarms.Push(alarm{at: now, source: from})
	}
	return q.q.due(now)
}

// Size is how much is remembered.
func (q *Quota) Size() int { return len(q.q.topics) + len(q.q.agents) }

// Vigils are the removals that a term follows.
type Vigils struct{ g vigils }

// NewVigils are those of a term that begins.
func NewVigils() Vigils { return Vigils{vigils{}} }

// Looked notes a look at one.
func (v Vigils) Looked(datacenter string, witnesses []string, moved bool, now time.Time) {
	v.g.looked(datacenter, witnesses, moved, now)
}

// Reported notes that a datacenter has.
func (v Vigils) Reported(datacenter string) { v.g.reported(datacenter) }

// Due are those that are looked at with a tick.
func (v Vigils) Due(tick int, now time.Time) []string { return v.g.due(tick, now) }

// Dirty is what a term has to look at, in rounds.
type Dirty struct{ d *dirty }

// NewDirty is one whose rounds look at no more than so many datacenters and peerings.
func NewDirty(most int) *Dirty {
	d := newDirty()
	d.most = most
	return &Dirty{d}
}

// Mark marks a datacenter and a peering of a name.
func (d *Dirty) Mark(name string) { d.d.datacenters[name], d.d.peerings[name] = true, true }

// Round takes what a round looks at; left tells that there is more.
func (d *Dirty) Round() (datacenters, peerings map[string]bool, left bool) {
	taken := d.d.take()
	return taken.datacenters, taken.peerings, d.d.left()
}

// NewSweeps gives what sweeps of a term mark, one after the other.
func NewSweeps() func(v *snapshot.View, kind string, most int) map[string]bool {
	l := &leader{swept: map[string]string{}}
	return func(v *snapshot.View, kind string, most int) map[string]bool {
		set := map[string]bool{}
		l.sweepSome(v, kind, most, set)
		return set
	}
}

// NewStandingSweeps gives which of a kind sweeps of a term mark, one after the other, of which each has chosen so many.
func NewStandingSweeps(size map[store.Key]int) func(v *snapshot.View, kind string) []string {
	l := &leader{swept: map[string]string{}, owed: map[string]int{}, standings: newStandings()}
	for of, n := range size {
		l.standings.of[of] = sized(n)
	}
	return func(v *snapshot.View, kind string) []string {
		marked := looks{}
		l.sweepStanding(v, kind, marked)
		var names []string
		for of := range marked {
			names = append(names, of.Name)
		}
		slices.Sort(names)
		return names
	}
}

type sized int

func (s sized) Size() int { return int(s) }

// NewReported gives the peerings of a datacenter that a term looks at because its agent says one thing, and said another before.
func NewReported() func(v *snapshot.View, datacenter string, before, after *isthmusv1.PeeringsReport) map[string]bool {
	return func(v *snapshot.View, datacenter string, before, after *isthmusv1.PeeringsReport) map[string]bool {
		l := &leader{dirty: newDirty()}
		now := &told{peerings: byUID(after)}
		l.touchReported(v, datacenter, now.others(&told{peerings: byUID(before)}))
		return l.dirty.peerings
	}
}
