package peering

import (
	"slices"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Bounds of what is done by itself about streams that hang. Whether one hangs, the agent and the Consul of either end say: one that lies can
// make it look hung, and well again, as often as it likes.
const (
	// healMemory is how long steps are remembered.
	healMemory = 24 * time.Hour
	// healPauseMost bounds the pause before the ladder of one peering begins anew, which doubles each time within healMemory.
	healPauseMost = 6 * time.Hour
	// transferSpacing is more than the pause that agents make by themselves: an agent that hears of a transfer later than of the one before
	// does not take the two for closer than they are.
	transferSpacing = 6 * time.Minute
	// maxTransfersByThemselves is how often, within healMemory, the leadership of one datacenter is transferred for all peerings that it
	// dials, and maxTransfersOfOne for one of them: the other end of one peering does not use up what all others have.
	maxTransfersByThemselves = 4
	maxTransfersOfOne        = 2
)

// Heals remembers the steps of healing that were decided, of all peerings: also those that no status shows any more, or not yet. It is of
// one goroutine.
type Heals struct {
	// tokens are by the peering's uid, transfers by the dialer.
	tokens, transfers map[string][]healed
}

// healed is one step. index is the peering's when it was decided: who decides again on the same one has not written it.
type healed struct {
	uid   string
	index uint64
	at    time.Time
}

// NewHeals makes one that remembers nothing.
func NewHeals() *Heals {
	return &Heals{tokens: map[string][]healed{}, transfers: map[string][]healed{}}
}

// LastTransfer is when the leadership of a peering's dialer was transferred last; zero: never.
func (h *Heals) LastTransfer(p *isthmusv1.Peering) time.Time {
	var last time.Time
	for _, t := range h.transfers[p.GetSpec().GetDialer()] {
		if !t.undone(p) && t.at.After(last) {
			last = t.at
		}
	}
	return last
}

// Earliest is when a step may be taken for a peering without anybody's asking; zero: at once.
func (h *Heals) Earliest(p *isthmusv1.Peering, step string) time.Time {
	if step == StepReestablish {
		return spaced(h.tokens[p.GetUid()], p)
	}
	all, own := 0, 0
	var first, ownFirst time.Time
	for _, t := range slices.Backward(h.transfers[p.GetSpec().GetDialer()]) {
		if t.undone(p) {
			continue
		}
		if all++; all == maxTransfersByThemselves {
			first = t.at.Add(healMemory)
		}
		if t.uid != p.GetUid() {
			continue
		}
		if own++; own == maxTransfersOfOne {
			ownFirst = t.at.Add(healMemory)
		}
	}
	if ownFirst.After(first) {
		return ownFirst
	}
	return first
}

// spaced is when another step may follow some: the pause doubles with each.
func spaced(steps []healed, p *isthmusv1.Peering) time.Time {
	var last time.Time
	pause := healAgain / 2
	for _, s := range steps {
		if !s.undone(p) {
			last, pause = s.at, min(2*pause, healPauseMost)
		}
	}
	if last.IsZero() {
		return last
	}
	return last.Add(pause)
}

// undone tells whether a step was decided on the same version of the peering that is looked at now, and hence never written.
func (s healed) undone(p *isthmusv1.Peering) bool {
	return s.uid == p.GetUid() && s.index == p.GetIndex()
}

// Decided enters what Next decided: next is the status that it gave for p.
func (h *Heals) Decided(p *isthmusv1.Peering, next *isthmusv1.PeeringStatus, now time.Time) {
	was, is := p.GetStatus().GetHeal(), next.GetHeal()
	if is.GetState() != HealTrying || was.GetState() == HealTrying && was.GetTried() == is.GetTried() && was.GetTime().AsTime().Equal(is.GetTime().AsTime()) {
		return
	}
	one := healed{uid: p.GetUid(), index: p.GetIndex(), at: now}
	switch {
	case is.GetStep() == StepReestablish:
		h.tokens[p.GetUid()] = append(remembered(h.tokens[p.GetUid()], p, now), one)
	case is.GetLeaderTransfer() > was.GetLeaderTransfer():
		dialer := p.GetSpec().GetDialer()
		h.transfers[dialer] = append(remembered(h.transfers[dialer], p, now), one)
	}
}

// remembered leaves out what is too old, and what was not written.
func remembered(steps []healed, p *isthmusv1.Peering, now time.Time) []healed {
	return slices.DeleteFunc(steps, func(s healed) bool { return now.Sub(s.at) >= healMemory || s.undone(p) })
}

// Forget drops what is too old of all peerings.
func (h *Heals) Forget(now time.Time) {
	for _, of := range []map[string][]healed{h.tokens, h.transfers} {
		for key, steps := range of {
			if now.Sub(steps[len(steps)-1].at) >= healMemory {
				delete(of, key)
			}
		}
	}
}
