package federation

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// joinAlone is how long others wait for one that joins: longer than that takes, and not much longer than who is stuck deserves.
	joinAlone = 20 * time.Second
	// fewJoin is up to how many join one after the other.
	fewJoin = 4
)

// ahead is a secondary that joins right now, for which another one waits; empty: none. Of two that join through gateways at the same moment
// the primary's servers tell each before they know the way to the other, and then it takes them Consul's next exchange of all members, a
// minute, until they find each other. When many join, that minute is less than one after the other takes.
func (j *judge) ahead(m *isthmusv1.FederationMember) string {
	if j.GetSpec().GetMode() != resource.ModeMeshGateway {
		return ""
	}
	ahead, others := "", 0
	for _, other := range j.secondaryRows() {
		if other == m || other.GetWasJoined() || !j.wanted[other.GetDatacenter()] {
			continue
		}
		switch other.GetPhase() {
		case resource.PhaseBundling:
			others++
		case resource.PhaseDelivering, resource.PhaseJoining:
			if !j.in(other, joinAlone) {
				ahead = other.GetDatacenter()
				others++
			}
		}
	}
	if others >= fewJoin {
		return ""
	}
	return ahead
}
