package control

import (
	"context"
)

// Leave is when a gateway that ends takes itself out of Consul.
type Leave string

// The choices.
const (
	// LeaveUnlessLast: when there is another healthy gateway, or nobody depends on this one. Others who depend on the last one keep its
	// address: in a federation, a secondary that had heard of its removal would never find the way back to a primary, since it is
	// through this very gateway that it would hear of the return. Consul itself removes a gateway that does not answer for a minute.
	LeaveUnlessLast Leave = "unless-last"
	// LeaveAlways is for a gateway that will not return.
	LeaveAlways Leave = "always"
	// LeaveNever leaves it to Consul's health check.
	LeaveNever Leave = "never"
)

// Leaves are all choices.
func Leaves() []string {
	return []string{string(LeaveUnlessLast), string(LeaveAlways), string(LeaveNever)}
}

// leave takes the gateway out of Consul, if it should.
func (c *Control) leave(ctx context.Context) {
	c.mu.Lock()
	registered, last := c.registered, c.facts.dependOn(c.self.ID)
	c.mu.Unlock()
	switch {
	case !registered, c.config.Leave == LeaveNever:
		return
	case c.config.Leave == LeaveUnlessLast && last:
		c.log.Info("staying registered in Consul: other datacenters know no other gateway of this one to return to", "id", c.self.ID)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := c.config.Consul.RemoveMeshGateway(ctx, c.self.ID); err != nil {
		c.log.Warn("cannot deregister; Consul will, a minute after this gateway has ended", "id", c.self.ID, "error", err)
		return
	}
	c.setRegistered(false)
	c.log.Info("deregistered from Consul", "id", c.self.ID)
}

// dependOn tells whether other datacenters have only this gateway to come here.
func (f facts) dependOn(id string) bool {
	for _, g := range f.gateways[f.datacenter] {
		if g.ID != id && g.Health == "passing" {
			return false
		}
	}
	others := len(f.peerings)
	for datacenter := range f.gateways {
		if datacenter != f.datacenter {
			others++
		}
	}
	return others > 0
}
