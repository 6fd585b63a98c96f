package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// wantLeave is for a host that goes back to be of a datacenter of its own. That changes its Consul as much as a join does, so it wants the same
// flag.
func (c *courier) wantLeave(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, owner string) (*cargo, error) {
	if err := c.begin(item.GetUid()); err != nil {
		return nil, err
	}
	given := c.record.Put || c.record.Written > 0
	switch {
	case c.record.Left:
		return nil, c.left()
	case c.record.Out:
		if err := c.ownMesh(ctx, s); err != nil {
			return nil, err
		}
		return nil, c.left()
	case (!c.record.Begun || !c.record.Put) && s.known && s.self.Secondary():
		return nil, because(fault.Refused, reasonConfigByHand,
			"this host's Consul is a secondary of %s by its own configuration, not by isthmus: take primary_datacenter and what belongs to it out there, and restart it", s.self.PrimaryDatacenter)
	case !given:
		return nil, c.left()
	case !c.record.Put && !s.known:
		return nil, because(fault.Unavailable, reasonNoConsul, "waiting for this host's Consul, which may be a secondary by its own configuration")
	}
	if err := c.checkHost(); err != nil {
		return nil, err
	}
	if err := c.checkAllowed(item, "this datacenter is to leave federation %s of primary %s, which cuts it off from the others"); err != nil {
		return nil, err
	}
	w := &cargo{uid: item.GetUid(), content: delivery.Content{Owner: owner}, facts: facts{None: true}, removes: true, adopted: !c.record.Put}
	if !c.record.Begun || c.federation.Kubernetes.Enabled() {
		return w, nil // it only trusted others, or got tokens; or Helm makes Consul's configuration
	}
	var err error
	w.content.DropIn, err = federation.LeftDropIn()
	return w, err
}

// left notes that there is nothing more to do.
func (c *courier) left() error {
	if err := c.dropLeaveToken(); err != nil {
		return err
	}
	if err := c.save(func(r *deliveryRecord) { r.Left, r.Begun, r.Cleared = true, false, nil }); err != nil {
		return err
	}
	return errNothing
}

// dropLeaveToken forgets what only a datacenter that leaves needs: it is an administrator's.
func (c *courier) dropLeaveToken() error {
	if err := os.Remove(c.path(fileLeaveToken)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Internal, err, "removing %s", fileLeaveToken)
	}
	return nil
}
