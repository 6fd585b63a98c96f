package simulate

import (
	"context"
	"fmt"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// lookEvery is how long WaitHealthy waits at least between two looks at the server, and easy how many times as long as the last one took:
	// who waits shall not be what is waited for.
	lookEvery = 100 * time.Millisecond
	easy      = 4
	// verdictHealthy is what a peering is that works.
	verdictHealthy = "healthy"
)

// WaitHealthy waits until the server sees everything as healthy that no fault hurts: datacenters are ready, peerings healthy, members of
// federations joined. Unavailable: ctx ended before; the message says what is missing.
func (f *Fleet) WaitHealthy(ctx context.Context) error {
	missing := "nobody has looked yet"
	for ctx.Err() == nil {
		began := f.now()
		found, err := f.missing(ctx)
		switch {
		case err == nil && found == "":
			return nil
		case err == nil:
			missing = found
		case ctx.Err() == nil:
			return err
		}
		rest(ctx, max(lookEvery, easy*f.now().Sub(began)))
	}
	return fault.Wrap(fault.Unavailable, ctx.Err(), "the simulated fleet is not healthy: %s", missing)
}

// missing says what is not healthy; empty: nothing.
func (f *Fleet) missing(ctx context.Context) (string, error) {
	hurt := f.hurt()
	if n := f.world.connected(); n < len(f.layout.pairs) && len(hurt) == 0 {
		return fmt.Sprintf("%d of %d peerings are connected", n, len(f.layout.pairs)), nil
	}
	for _, look := range []func(ctx context.Context, hurt map[string]bool) (*gap, error){f.peeringGap, f.datacenterGap, f.memberGap} {
		if found, err := look(ctx, hurt); err != nil || found.n > 0 {
			return found.String(), err
		}
	}
	return "", nil
}

// hurt are the datacenters and peerings that have a fault.
func (f *Fleet) hurt() map[string]bool {
	out := map[string]bool{}
	for _, a := range f.agents {
		if a.connection() == nil {
			out[a.site.name] = true
		}
	}
	w := f.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.hung {
		out[name] = true
	}
	for name := range w.severed {
		out[name] = true
	}
	for name, s := range w.sites {
		if s.headless || s.unreached {
			out[name] = true
		}
	}
	return out
}

// gap counts what is not healthy, and says so of the first.
type gap struct {
	n    int
	text string
}

func (g *gap) add(format string, args ...any) {
	if g.n++; g.n == 1 {
		g.text = fmt.Sprintf(format, args...)
	}
}

// String is the first thing, and how many more there are.
func (g *gap) String() string {
	if g.n < 2 {
		return g.text
	}
	return fmt.Sprintf("%s (and %d more)", g.text, g.n-1)
}

func (f *Fleet) peeringGap(ctx context.Context, hurt map[string]bool) (*gap, error) {
	found := &gap{}
	api := isthmusv1.NewPeeringServiceClient(f.operator.conn)
	err := pages(func(r *isthmusv1.ListRequest) (string, error) {
		page, err := api.ListPeerings(f.operator.as(ctx), r)
		for _, p := range page.GetPeerings() {
			if !hurt[p.GetName()] && !hurt[p.GetSpec().GetAcceptor()] && !hurt[p.GetSpec().GetDialer()] && p.GetStatus().GetVerdict() != verdictHealthy {
				found.add("Peering %s is %s: %s: %s", p.GetName(), p.GetStatus().GetVerdict(), p.GetStatus().GetReason(), p.GetStatus().GetMessage())
			}
		}
		return page.GetNextPageToken(), err
	})
	return found, err
}

func (f *Fleet) datacenterGap(ctx context.Context, hurt map[string]bool) (*gap, error) {
	found := &gap{}
	api := isthmusv1.NewDatacenterServiceClient(f.operator.conn)
	err := pages(func(r *isthmusv1.ListRequest) (string, error) {
		page, err := api.ListDatacenters(f.operator.as(ctx), r)
		for _, d := range page.GetDatacenters() {
			ready := resource.FindCondition(d.GetStatus().GetConditions(), resource.ConditionReady)
			if !hurt[d.GetName()] && ready.GetStatus() != resource.ConditionTrue {
				found.add("Datacenter %s is not ready: %s: %s", d.GetName(), ready.GetReason(), ready.GetMessage())
			}
		}
		return page.GetNextPageToken(), err
	})
	return found, err
}

func (f *Fleet) memberGap(ctx context.Context, hurt map[string]bool) (*gap, error) {
	found := &gap{}
	api := isthmusv1.NewFederationServiceClient(f.operator.conn)
	err := pages(func(r *isthmusv1.ListRequest) (string, error) {
		page, err := api.ListFederations(f.operator.as(ctx), r)
		for _, one := range page.GetFederations() {
			if len(one.GetStatus().GetMembers()) == 0 {
				found.add("Federation %s has no members yet", one.GetName())
			}
			for _, m := range one.GetStatus().GetMembers() {
				if !hurt[m.GetDatacenter()] && !hurt[one.GetSpec().GetPrimary()] && m.GetPhase() != resource.PhaseJoined {
					found.add("%s is %s in Federation %s: %s: %s", m.GetDatacenter(), m.GetPhase(), one.GetName(), m.GetReason(), m.GetMessage())
				}
			}
		}
		return page.GetNextPageToken(), err
	})
	return found, err
}

// pages reads all pages of a list of what is simulated.
func pages(read func(r *isthmusv1.ListRequest) (next string, err error)) error {
	request := &isthmusv1.ListRequest{PageSize: pageSize}
	for {
		next, err := read(request)
		if err != nil {
			return answered(err, "looking whether the fleet is healthy")
		}
		if next == "" {
			return nil
		}
		request.PageToken = next
	}
}
