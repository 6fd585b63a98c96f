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
	agent, blind string
	online       bool
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
	now := &told{
		agent: seen.Agent, blind: evidence.Blind(l.Observations, seen), online: l.now().Sub(heard) <= resource.Silence,
		peerings: make(map[string]*isthmusv1.ObservedPeering, len(seen.Peerings.GetPeerings())),
	}
	for _, p := range seen.Peerings.GetPeerings() {
		if now.peerings[p.GetUid()] == nil {
			now.peerings[p.GetUid()] = p
		}
	}
	before := l.told[datacenter]
	l.told[datacenter] = now
	if before == nil || before.agent != now.agent || before.blind != now.blind || before.online != now.online {
		l.dirty.touch(v, datacenter)
		return
	}
	others := map[string]bool{}
	for uid, p := range now.peerings {
		if was := before.peerings[uid]; was != p && !proto.Equal(was, p) {
			others[uid] = true
		}
	}
	for uid := range before.peerings {
		if now.peerings[uid] == nil {
			others[uid] = true
		}
	}
	if len(others) == 0 {
		return
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, datacenter) {
		if others[p.GetUid()] {
			l.dirty.peerings[p.GetName()] = true
		}
	}
}
