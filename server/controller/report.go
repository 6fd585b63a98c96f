package controller

import (
	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

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
	others := now.others(before)
	if len(others) == 0 {
		return
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, datacenter) {
		if others[p.GetUid()] {
			l.dirty.peerings[p.GetName()] = true
		}
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

// others are the peerings of which it says something else than was said before.
func (t *told) others(before *told) map[string]bool {
	out := map[string]bool{}
	if t.digest == before.digest && t.digest != "" {
		return out
	}
	for uid, p := range t.peerings {
		if was := before.peerings[uid]; was != p && !proto.Equal(was, p) {
			out[uid] = true
		}
	}
	for uid := range before.peerings {
		if t.peerings[uid] == nil {
			out[uid] = true
		}
	}
	return out
}
