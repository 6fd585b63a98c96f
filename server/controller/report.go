package controller

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// fewPeerings is how many reported ones are looked for at their other ends, and among how many there.
const fewPeerings = 16

// told is what a datacenter's agent said of its peerings when they were last looked at because of it.
type told struct {
	agent, digest, blind string
	online               bool
	// peerings are by uid.
	peerings map[string]*isthmusv1.ObservedPeering
}

// reportedPeerings marks the peerings of a datacenter that its agent says something else of than before; all of them when it is another agent,
// when it sees them no longer or again, and when it fell silent or is heard of again.
func (l *leader) reportedPeerings(v *snapshot.View, datacenter string) {
	seen, heard := l.observe(datacenter, observation.PartPeerings)
	if seen.Peerings == nil {
		delete(l.told, datacenter)
		l.dirty.touch(v, datacenter)
		return
	}
	before := l.told[datacenter]
	now := &told{agent: seen.Agent, digest: seen.Digest, blind: evidence.Blind(l.Observations, seen), online: l.now().Sub(heard) <= resource.Silence}
	if before != nil && before.agent == now.agent && before.digest == now.digest && now.digest != "" {
		now.peerings = before.peerings
	} else {
		now.peerings = byUID(seen.Peerings)
	}
	l.told[datacenter] = now
	if before == nil || before.agent != now.agent || before.blind != now.blind || before.online != now.online {
		l.dirty.touch(v, datacenter)
		return
	}
	l.touchReported(v, datacenter, now.others(before))
}

// touchReported marks the peerings of a datacenter that have some uids. A few are looked for at the other end first, by what the report calls it:
// the datacenter may be a hub.
func (l *leader) touchReported(v *snapshot.View, datacenter string, reported map[string]*isthmusv1.ObservedPeering) {
	mark := func(o *isthmusv1.Peering) {
		if reported[o.GetUid()] != nil {
			l.dirty.peerings[o.GetName()] = true
			delete(reported, o.GetUid())
		}
	}
	delete(reported, "") // somebody else's
	if len(reported) <= fewPeerings {
		for _, p := range slices.Collect(maps.Values(reported)) {
			looked := 0
			for o := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, p.GetPeerName()) {
				if o.GetSpec().GetAcceptor() == datacenter || o.GetSpec().GetDialer() == datacenter {
					mark(o)
				}
				if looked++; looked == fewPeerings {
					break
				}
			}
		}
	}
	if len(reported) == 0 {
		return
	}
	for o := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, datacenter) {
		mark(o)
	}
}

// byUID are the peerings of a report; of two with one uid, the first.
func byUID(report *isthmusv1.PeeringsReport) map[string]*isthmusv1.ObservedPeering {
	out := make(map[string]*isthmusv1.ObservedPeering, len(report.GetPeerings()))
	for _, p := range report.GetPeerings() {
		if out[p.GetUid()] == nil {
			out[p.GetUid()] = p
		}
	}
	return out
}

// others are the peerings of which it says something else than was said before, by uid.
func (t *told) others(before *told) map[string]*isthmusv1.ObservedPeering {
	out := map[string]*isthmusv1.ObservedPeering{}
	if t.digest == before.digest && t.digest != "" {
		return out
	}
	for uid, p := range t.peerings {
		if was := before.peerings[uid]; was != p && !proto.Equal(was, p) {
			out[uid] = p
		}
	}
	for uid, was := range before.peerings {
		if t.peerings[uid] == nil {
			out[uid] = was
		}
	}
	return out
}
