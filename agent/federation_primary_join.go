package agent

import (
	"context"
	"net"
	"sync"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// joinEvery is how often a server that is not in the WAN gossip is tried again. Its own retry_join_wan tries, too.
const joinEvery = 10 * time.Second

// joins are attempts to bring servers into the WAN gossip, by address. They run beside the passes: it takes Consul seconds to find out that
// nobody answers.
type joins struct {
	mu      sync.Mutex
	attempt map[string]*attempt
}

func newJoins() *joins { return &joins{attempt: map[string]*attempt{}} }

type attempt struct {
	began   time.Time
	running bool
	err     error
}

// try begins an attempt unless one runs or was just made, and gives what came of the last one.
func (j *joins) try(address string, now time.Time, join func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := j.attempt[address]
	if a == nil {
		a = &attempt{}
		j.attempt[address] = a
	}
	if !a.running && (a.began.IsZero() || !now.Before(a.began.Add(joinEvery))) {
		a.began, a.running = now, true
		go func() {
			err := join()
			j.mu.Lock()
			defer j.mu.Unlock()
			a.running, a.err = false, err
		}()
	}
	return a.err
}

// done forgets an address.
func (j *joins) done(address string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.attempt, address)
}

// join brings a member's servers into the WAN gossip: from here, since an agent of a secondary may not before it has replicated ACLs.
func (p *primaryPass) join(ctx context.Context, m *isthmusv1.BundleMember) error {
	members, err := p.wanMembers(ctx)
	if err != nil {
		return err
	}
	if p.primary.joins == nil {
		p.primary.joins = newJoins()
	}
	alive := map[string]bool{}
	for _, w := range members {
		if w.Datacenter == m.GetConsulDatacenter() && w.Status == wanAlive {
			alive[w.Address] = true
		}
	}
	var first error
	for _, address := range m.GetWanAddresses() {
		if alive[address] {
			p.primary.joins.done(address)
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return because(fault.Refused, reasonJoin, "%q is not the host:port of a server of %s", address, m.GetDatacenter())
		}
		err := p.primary.joins.try(address, p.now(), func() error { return p.consul.JoinWAN(ctx, address) })
		if err != nil && first == nil {
			first = because(fault.CodeOf(err), reasonJoin, "server %s of %s does not join the WAN gossip: %s", address, m.GetDatacenter(), messageOf(err))
		}
	}
	return first
}
