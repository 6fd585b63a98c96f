package agent

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Transfers is an agent's part that transfers the leadership of Consul's servers.
type Transfers struct{ r *reconciler }

// NewTransfers makes one as an agent does that starts.
func NewTransfers(dir string, c *consul.Client, now func() time.Time) (*Transfers, error) {
	kept, err := openRecords(dir)
	if err != nil {
		return nil, err
	}
	return &Transfers{&reconciler{consul: c, records: kept, now: now, log: hclog.NewNullLogger()}}, nil
}

// Want is one look at a peering for which a transfer is wanted, and what is then known of it.
func (t *Transfers) Want(ctx context.Context, uid string, number int32) (done int32, problem string, err error) {
	it := item{uid: uid, dialer: &isthmusv1.PeeringDialer{LeaderTransfer: number}}
	if t.r.transfers(it) {
		err = t.r.transferLeader(ctx, it)
	}
	known := t.r.records.get(uid)
	return known.LeaderTransfer, known.LeaderTransferError, err
}

// Forget has the server want no peerings any more.
func (t *Transfers) Forget() error { return t.r.forget(nil) }
