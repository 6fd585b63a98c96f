package agent

import (
	"cmp"
	"slices"
	"time"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// freshFor is how old the last sign of the other end may be. Consul sends a heartbeat every 15 s.
const freshFor = 20 * time.Second

// observe describes every peering: what is wanted, whether Consul has it or not, and what Consul has besides.
func (r *reconciler) observe(items []item, results []result, all []consul.Peering) *isthmusv1.PeeringsReport {
	report := &isthmusv1.PeeringsReport{}
	wanted := map[string]bool{}
	for i, it := range items {
		wanted[it.uid] = true
		report.Peerings = append(report.Peerings, r.observeItem(it, results[i], all))
	}
	for _, p := range all {
		uid := uidOf(p)
		if wanted[uid] && uid != "" || p.Deleting {
			continue // reported above, or going
		}
		o := r.observeOne(p)
		o.Uid, o.Origin = uid, resource.OriginForeign
		if uid != "" {
			o.Origin = resource.OriginOrphan
		}
		report.Peerings = append(report.Peerings, o)
	}
	slices.SortFunc(report.Peerings, func(a, b *isthmusv1.ObservedPeering) int {
		return cmp.Or(cmp.Compare(a.GetPeerName(), b.GetPeerName()), cmp.Compare(a.GetUid(), b.GetUid()))
	})
	return report
}

func (r *reconciler) observeItem(it item, res result, all []consul.Peering) *isthmusv1.ObservedPeering {
	o := &isthmusv1.ObservedPeering{PeerName: it.peerName}
	there := false
	var at *consul.Peering
	for _, p := range all {
		// One that is being deleted has no Meta any more.
		if uidOf(p) != it.uid && (!p.Deleting || p.Name != it.peerName) {
			continue
		}
		there = true
		if p.Name == it.peerName {
			at = &p
			o = r.observeOne(p)
		}
	}
	o.Uid, o.Role, o.Origin = it.uid, it.role, resource.OriginOwn
	done := r.done(it, at)
	o.Generation = done.Generation
	if it.role == roleDialer {
		o.Outcome = done.Outcome
	} else if at != nil {
		o.PeerId = at.ID
	}
	o.ErrorReason, o.Error = reasonOf(res.err), messageOf(res.err)
	o.Deleted = it.remove && !there && res.err == nil
	return o
}

// done is what this end did last: what the agent wrote down, or what Consul proves. A dialer that took over from another
// agent knows by the mark on a peering that works which token was used; an acceptor by the state which says that the token
// is there.
func (r *reconciler) done(it item, at *consul.Peering) record {
	known := r.records.get(it.uid)
	if it.role == roleAcceptor {
		if it.acceptor.GetTokenStored() {
			known.Generation = max(known.Generation, it.generation)
		}
		return known
	}
	if at == nil || at.State != consul.StateActive && at.State != consul.StateEstablishing {
		return known
	}
	if g := markedGeneration(*at); g > known.Generation {
		return record{Generation: g, Outcome: resource.OutcomeUsed}
	}
	return known
}

func (r *reconciler) observeOne(p consul.Peering) *isthmusv1.ObservedPeering {
	o := &isthmusv1.ObservedPeering{
		PeerName: p.Name, State: p.State, PeerId: p.PeerID, Heartbeat: r.heartbeat(p),
		ImportedServices: int32(p.Imported), ExportedServices: int32(p.Exported),
	}
	if p.Deleting {
		o.State = consul.StateDeleting // Consul shows the former state for a moment
	}
	return o
}

func (r *reconciler) heartbeat(p consul.Peering) string {
	switch {
	case p.LastHeard.IsZero():
		return resource.HeartbeatNever
	case r.now().Sub(p.LastHeard) <= freshFor:
		return resource.HeartbeatFresh
	}
	return resource.HeartbeatStale
}
