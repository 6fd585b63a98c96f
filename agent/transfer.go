package agent

import (
	"context"
	"time"

	"isthmus/agent/consul"
)

// transferUnknown is what is said of a transfer of which nobody knows what came of it: the agent died meanwhile.
const transferUnknown = "it was begun, and what came of it is not known"

// transferPause is the least time between two transfers, whatever the server wants, and for however many peerings: each is an election,
// in which the datacenter's Consul writes nothing for seconds.
const transferPause = 5 * time.Minute

// transfers tells whether a transfer of leadership is wanted that this agent has not done.
func (r *reconciler) transfers(it item) bool {
	return it.dialer.GetLeaderTransfer() > r.records.get(it.uid).LeaderTransfer
}

// transferLeader has this datacenter's Consul servers choose another leader: it is the leader that holds the streams to peers, and one that
// hangs goes with it. Each number once: the records come first, so that a crash repeats nothing. What came of it is reported; it is not
// tried again. A number that comes within transferPause of another one is served by that one's transfer, since it began all streams anew.
func (r *reconciler) transferLeader(ctx context.Context, it item) error {
	number := it.dialer.GetLeaderTransfer()
	last, now := r.records.elected(), r.now()
	// A clock that was set back counts like one that went on: no time in the future holds anything up for longer than the pause.
	if since := now.Sub(last.Time).Abs(); !last.Time.IsZero() && since < transferPause {
		r.log.Info("the last transfer of the leadership of Consul's servers serves this peering as well", "peering", it.peering, "transfer", number, "time", last.Time)
		return r.records.transfer(it.uid, number, last.Problem)
	}
	if err := r.records.elect(election{Time: now, Problem: transferUnknown}); err != nil {
		return err
	}
	if err := r.records.transfer(it.uid, number, transferUnknown); err != nil {
		return err
	}
	err := r.consul.TransferLeader(ctx)
	if err != nil {
		r.log.Warn("cannot transfer the leadership of Consul's servers to heal a peering", "peering", it.peering, "transfer", number, "error", err)
	} else {
		r.log.Info("transferred the leadership of Consul's servers to heal a peering", "peering", it.peering, "transfer", number)
	}
	next := election{Time: now, Problem: messageOf(err)}
	if consul.ReasonOf(err) == consul.RuleMissing {
		next = last // Consul did nothing, and does it as soon as the token has the rule.
	}
	if err := r.records.elect(next); err != nil {
		return err
	}
	return r.records.transfer(it.uid, number, messageOf(err))
}
