package agent

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// freshFor is how old the last sign of the other end may be. Consul sends a heartbeat every 15 s.
	freshFor = 20 * time.Second
	// firstHeartbeat is how long after a stream came to be its first heartbeat may take while something else is received: one that always
	// breaks before it heard one is not fresh.
	firstHeartbeat = 45 * time.Second
	// timesEvery is how far a time moves at least before it is told again.
	timesEvery = 30 * time.Second
	// maxPeerRoots bounds how many roots of a peer are told.
	maxPeerRoots = 8
)

// vigil is what the agent remembers of an end that it looks at again and again.
type vigil struct {
	// active is since when the end is ACTIVE without a break; zero: it is not.
	active time.Time
	// received and sent are what was told last.
	received, sent time.Time
}

// observe describes every peering: what is wanted, whether Consul has it or not, and what Consul has besides.
func (r *reconciler) observe(items []item, results []result, all []consul.Peering) *isthmusv1.PeeringsReport {
	r.watchOver(all)
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
	switch {
	case it.role == roleDialer:
		o.Outcome, o.LeaderTransfer, o.LeaderTransferError = done.Outcome, done.LeaderTransfer, done.LeaderTransferError
		if at != nil && !it.remove {
			o.Dials = r.dials.of(it, *at)
		}
	case at != nil:
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
		known.Generation, known.Outcome = g, resource.OutcomeUsed
	}
	return known
}

// watchOver remembers since when each end is ACTIVE, and forgets those that are gone.
func (r *reconciler) watchOver(all []consul.Peering) {
	next := make(map[string]*vigil, len(all))
	for _, p := range all {
		v := r.vigils[p.ID]
		if v == nil {
			v = &vigil{}
		}
		switch {
		case p.State != consul.StateActive:
			v.active = time.Time{}
		case v.active.IsZero():
			v.active = r.now()
		}
		next[p.ID] = v
	}
	r.vigils = next
}

func (r *reconciler) observeOne(p consul.Peering) *isthmusv1.ObservedPeering {
	v := r.vigils[p.ID]
	o := &isthmusv1.ObservedPeering{
		PeerName: p.Name, State: p.State, PeerId: p.PeerID, Heartbeat: v.heartbeat(p, r.now()),
		ImportedServices: int32(len(p.Imported)), ExportedServices: int32(len(p.Exported)),
		ImportedDigest: namesDigest(p.Imported), ExportedDigest: namesDigest(p.Exported),
		PeerRoots: p.Roots[:min(len(p.Roots), maxPeerRoots)],
	}
	if p.Deleting {
		o.State = consul.StateDeleting // Consul shows the former state for a moment
	}
	if o.GetHeartbeat() == resource.HeartbeatFresh {
		v.received, v.sent = time.Time{}, time.Time{}
		return o
	}
	v.received, v.sent = step(v.received, p.Received), step(v.sent, p.Sent)
	o.HeartbeatTime, o.ReceiveTime, o.SendTime = timestampOf(p.Heartbeat), timestampOf(v.received), timestampOf(v.sent)
	return o
}

// heartbeat judges when the other end was heard of last.
//
//	a heartbeat within 20 s                                                                          fresh
//	something else within 20 s, and the stream, or the last heartbeat, is younger than 45 s          fresh
//	nothing ever, and it is ACTIVE for less than 20 s                                                never
//	else                                                                                             stale
//
// What was received alone would not do: Consul counts errors as received, and a stream that breaks before its first heartbeat and comes
// again receives something each time. Nor the heartbeat alone: the first one comes 15 s after the stream, which may have broken right
// before the last one was due.
func (v *vigil) heartbeat(p consul.Peering, now time.Time) string {
	since := p.Heartbeat
	if v.active.After(since) {
		since = v.active
	}
	switch {
	case !p.Heartbeat.IsZero() && now.Sub(p.Heartbeat) <= freshFor:
		return resource.HeartbeatFresh
	case !p.Received.IsZero() && now.Sub(p.Received) <= freshFor && now.Sub(since) <= firstHeartbeat:
		return resource.HeartbeatFresh
	case p.Heartbeat.IsZero() && p.Received.IsZero() && (v.active.IsZero() || now.Sub(v.active) <= freshFor):
		return resource.HeartbeatNever
	}
	return resource.HeartbeatStale
}

// step is the time to tell: a new one when it is another by far, so that one that moves all the time makes no news of itself.
func step(told, now time.Time) time.Time {
	if told.IsZero() || now.Before(told) || now.Sub(told) >= timesEvery {
		return now
	}
	return told
}

// timestampOf is a time for a report; nil: never.
func timestampOf(t time.Time) *timestamppb.Timestamp {
	at := timestamppb.New(t)
	if t.IsZero() || !at.IsValid() {
		return nil
	}
	return at
}

// namesDigest tells whether two ends mean the same services; empty: none.
func namesDigest(names []string) string {
	if len(names) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(names)), "\n")))
	return hex.EncodeToString(sum[:])
}
