package agent

import (
	"context"
)

// transferUnknown is what is said of a transfer of which nobody knows what came of it: the agent died meanwhile.
const transferUnknown = "it was begun, and what came of it is not known"

// transfers tells whether a transfer of leadership is wanted that this agent has not done.
func (r *reconciler) transfers(it item) bool {
	return it.dialer.GetLeaderTransfer() > r.records.get(it.uid).LeaderTransfer
}

// transferLeader has this datacenter's Consul servers choose another leader: it is the leader that holds the streams to peers, and one that
// hangs goes with it. Each number once: the record comes first, so that a crash repeats nothing. What came of it is reported; it is not
// tried again.
func (r *reconciler) transferLeader(ctx context.Context, it item) error {
	number := it.dialer.GetLeaderTransfer()
	if err := r.records.transfer(it.uid, number, transferUnknown); err != nil {
		return err
	}
	err := r.consul.TransferLeader(ctx)
	if err != nil {
		r.log.Warn("cannot transfer the leadership of Consul's servers to heal a peering", "peering", it.peering, "transfer", number, "error", err)
	} else {
		r.log.Info("transferred the leadership of Consul's servers to heal a peering", "peering", it.peering, "transfer", number)
	}
	return r.records.transfer(it.uid, number, messageOf(err))
}
