package agent

import (
	"context"
	"maps"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// reporter sends what the agent sees: parts whose digest differs from what the server has, and nothing else.
type reporter struct {
	send func(ctx context.Context, r *isthmusv1.ReportRequest) error
	log  hclog.Logger
	// wake has room for one: something may have changed.
	wake chan struct{}

	mu   sync.Mutex
	now  *isthmusv1.ReportRequest
	sent map[string]string
	// digests are those of the messages that were looked at last, since some are large, and most are the same as before.
	digests map[string]digested
	// round grows with each resend, so that a report which was on its way then does not count.
	round int
}

type digested struct {
	message proto.Message
	digest  string
}

// digest is a part's, computed once for each message.
func (r *reporter) digest(p part) string {
	if known := r.digests[p.name]; known.message == p.message {
		return known.digest
	}
	d := digested{message: p.message, digest: resource.Digest(p.message)}
	r.digests[p.name] = d
	return d.digest
}

func newReporter(send func(context.Context, *isthmusv1.ReportRequest) error, log hclog.Logger) *reporter {
	return &reporter{send: send, log: log, wake: make(chan struct{}, 1), now: &isthmusv1.ReportRequest{}, sent: map[string]string{}, digests: map[string]digested{}}
}

// set replaces the parts that are set in next. Messages must not be changed after.
func (r *reporter) set(next *isthmusv1.ReportRequest) {
	r.mu.Lock()
	for _, p := range partsOf(next) {
		p.put(r.now)
	}
	r.mu.Unlock()
	r.signal()
}

// drop forgets the parts of a leader: somebody else reports them now. What each agent says of itself and its host stays.
func (r *reporter) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = &isthmusv1.ReportRequest{Agent: r.now.GetAgent(), Delivery: r.now.GetDelivery()}
	r.sent = map[string]string{}
	r.round++
}

// resend makes everything news again: the server may be another one, or have lost what it had.
func (r *reporter) resend() {
	r.mu.Lock()
	r.sent = map[string]string{}
	r.round++
	r.mu.Unlock()
	r.signal()
}

// told is a digest of what the server has taken, as the server makes it, too; empty: nothing.
func (r *reporter) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return resource.ReportDigest(r.sent)
}

func (r *reporter) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// flush sends what is news, if anything is.
func (r *reporter) flush(ctx context.Context) error {
	r.mu.Lock()
	request := &isthmusv1.ReportRequest{}
	digests := map[string]string{}
	for _, p := range partsOf(r.now) {
		if digest := r.digest(p); r.sent[p.name] != digest {
			digests[p.name] = digest
			p.put(request)
		}
	}
	round := r.round
	r.mu.Unlock()
	if len(digests) == 0 {
		return nil
	}
	if err := r.send(ctx, request); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round == round {
		maps.Copy(r.sent, digests)
	}
	r.log.Debug("reported", "parts", len(digests))
	return nil
}

// part is one part of a report that is set.
type part struct {
	name    string
	message proto.Message
	// put sets it in another report.
	put func(to *isthmusv1.ReportRequest)
}

func partsOf(r *isthmusv1.ReportRequest) []part {
	var out []part
	if m := r.GetAgent(); m != nil {
		out = append(out, part{"agent", m, func(to *isthmusv1.ReportRequest) { to.Agent = m }})
	}
	if m := r.GetInventory(); m != nil {
		out = append(out, part{"inventory", m, func(to *isthmusv1.ReportRequest) { to.Inventory = m }})
	}
	if m := r.GetPeerings(); m != nil {
		out = append(out, part{"peerings", m, func(to *isthmusv1.ReportRequest) { to.Peerings = m }})
	}
	if m := r.GetExports(); m != nil {
		out = append(out, part{"exports", m, func(to *isthmusv1.ReportRequest) { to.Exports = m }})
	}
	if m := r.GetServices(); m != nil {
		out = append(out, part{"services", m, func(to *isthmusv1.ReportRequest) { to.Services = m }})
	}
	if m := r.GetDelivery(); m != nil {
		out = append(out, part{"delivery", m, func(to *isthmusv1.ReportRequest) { to.Delivery = m }})
	}
	if m := r.GetFederation(); m != nil {
		out = append(out, part{"federation", m, func(to *isthmusv1.ReportRequest) { to.Federation = m }})
	}
	if m := r.GetGateway(); m != nil {
		out = append(out, part{"gateway", m, func(to *isthmusv1.ReportRequest) { to.Gateway = m }})
	}
	if m := r.GetPolicy(); m != nil {
		out = append(out, part{"policy", m, func(to *isthmusv1.ReportRequest) { to.Policy = m }})
	}
	if m := r.GetEntries(); m != nil {
		out = append(out, part{"entries", m, func(to *isthmusv1.ReportRequest) { to.Entries = m }})
	}
	if m := r.GetRights(); m != nil {
		out = append(out, part{"rights", m, func(to *isthmusv1.ReportRequest) { to.Rights = m }})
	}
	return out
}
