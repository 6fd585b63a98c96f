package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// connect applies the fleet, waits until all is healthy, and asks each Consul for the services of others. It breaks what it was asked to break, and
// shows the result.
func (d *demo) connect(ctx context.Context) error {
	result, err := d.unite(ctx)
	if err != nil {
		return err
	}
	if d.Healthy != nil {
		if err := d.Healthy(result); err != nil {
			return err
		}
	}
	if d.Break != "" {
		if result.Broken, err = d.breakOne(ctx); err != nil {
			return err
		}
	}
	return d.Ready(result)
}

// unite makes the fleet healthy, and looks at it from all sides.
func (d *demo) unite(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, healthyTimeout)
	defer cancel()
	applied := d.Now()
	answer, err := d.client.Apply(ctx, fleet(d.sites), client.ApplyOptions{})
	if err != nil {
		return Result{}, err
	}
	d.Progress("apply", fmt.Sprintf("%d resources", len(answer.GetChanges())), "", true)
	var targets []client.Target
	for _, change := range answer.GetChanges() {
		kind, ok := resource.KindNamed(change.GetKind())
		if ok {
			targets = append(targets, client.Target{Kind: kind, Name: change.GetName(), Group: change.GetGroup()})
		}
	}
	err = d.client.Wait(ctx, targets, func(t client.Target, r client.Readiness) {
		d.Progress(t.Kind.Name+" "+t.Name, r.State, r.Message, r.Ready)
	})
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Address: d.client.Address(), TokenFile: d.tokenFile, Dir: d.dir, Healthy: d.Now().Sub(applied),
	}
	if result.Peerings, err = client.AllOf[*isthmusv1.Peering](ctx, d.client); err != nil {
		return Result{}, err
	}
	if len(d.sites) >= federated {
		if err := d.inspect(ctx, &result); err != nil {
			return Result{}, err
		}
	}
	if result.Discovered, err = d.discoverAll(ctx); err != nil {
		return Result{}, err
	}
	if result.Doctor, err = d.examine(ctx); err != nil {
		return Result{}, err
	}
	if len(d.sites) >= federated {
		if result.Explanation, err = d.explain(ctx); err != nil {
			return Result{}, err
		}
	}
	return result, nil
}

// explain walks the way of a call from the federation's secondary to its primary, until it is allowed.
func (d *demo) explain(ctx context.Context) (e *isthmusv1.Explanation, err error) {
	source, destination := SecondaryService+"@"+d.sites[1].name, Service+"@"+d.sites[0].name
	step := "explain"
	d.Progress(step, "asking", "", false)
	err = d.poll(ctx, step, func() (bool, error) {
		if e, err = d.client.Explain(ctx, source, destination); err != nil {
			return false, err
		}
		if e.GetVerdict() == allowed {
			return true, nil
		}
		return false, fault.New(fault.Refused, "%s", e.GetMessage())
	})
	if err != nil {
		return nil, err
	}
	d.Progress(step, e.GetVerdict(), "", true)
	return e, nil
}

// allowed is the verdict on a call that may be made, and that arrives.
const allowed = "allowed"

// examine has doctor ask everything, until all of it passes.
func (d *demo) examine(ctx context.Context) (report *isthmusv1.DoctorReport, err error) {
	step := "doctor"
	d.Progress(step, "asking", "", false)
	err = d.poll(ctx, step, func() (bool, error) {
		if report, err = d.client.Doctor(ctx, nil, ""); err != nil {
			return false, err
		}
		if report.GetFailed()+report.GetUnknown() == 0 {
			return true, nil
		}
		// What does not pass comes first.
		worst := report.GetChecks()[0]
		return false, fault.New(fault.Refused, "%s: %s", worst.GetId(), worst.GetMessage())
	})
	if err != nil {
		return nil, err
	}
	d.Progress(step, fmt.Sprintf("%d passed", report.GetPassed()), "", true)
	return report, nil
}

// inspect asks what the federation looks like from all its datacenters, once they have all told.
func (d *demo) inspect(ctx context.Context, result *Result) error {
	step := "members and reachability"
	d.Progress(step, "asking", "", false)
	err := d.poll(ctx, step, func() (done bool, err error) {
		if result.Members, err = d.client.Members(ctx, federation); err != nil {
			return false, err
		}
		result.Reachability, err = d.client.Reachability(ctx, federation)
		return told(result), err
	})
	if err != nil {
		return err
	}
	d.Progress(step, "told by all", "", true)
	return nil
}

// told tells whether both datacenters of the federation have said whom they see and whom they reach.
func told(result *Result) bool {
	const datacenters = 2
	if len(result.Members.GetGaps()) > 0 || len(result.Members.GetMembers()) < datacenters || len(result.Reachability.GetCells()) < datacenters {
		return false
	}
	for _, member := range result.Members.GetMembers() {
		seenBy := 0
		for _, view := range member.GetViews() {
			seenBy += len(view.GetDatacenters())
		}
		if len(member.GetViews()) != 1 || seenBy < datacenters {
			return false
		}
	}
	for _, cell := range result.Reachability.GetCells() {
		if cell.GetReached() == unknown {
			return false
		}
	}
	return true
}

// unknown is what nobody has said yet.
const unknown = "unknown"

// discoverAll asks each datacenter's own Consul for what the others offer, as any of its users would.
func (d *demo) discoverAll(ctx context.Context) ([]Discovery, error) {
	primary := d.sites[0]
	var all []Discovery
	for _, s := range d.sites[1:] {
		from := "peer=" + primary.name
		if s.role == roleSecondary {
			from = "dc=" + primary.name
			// ACLs are the primary's now.
			d.consuls[s.name].ManagementToken = d.consuls[primary.name].ManagementToken
			err := d.poll(ctx, SecondaryService+" in "+s.name, func() (bool, error) {
				return true, d.consuls[s.name].RegisterMeshService(ctx, SecondaryService)
			})
			if err != nil {
				return nil, err
			}
			found, err := d.discover(ctx, primary, SecondaryService, "dc="+s.name)
			if err != nil {
				return nil, err
			}
			all = append(all, found)
		}
		found, err := d.discover(ctx, s, Service, from)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// discover asks a datacenter's own Consul for a service of another one.
func (d *demo) discover(ctx context.Context, s site, service, from string) (Discovery, error) {
	step := service + " from " + s.name
	d.Progress(step, "asking", "", false)
	path := "/v1/health/service/" + url.PathEscape(service) + "?" + from
	found := Discovery{Datacenter: s.name, From: "?" + from}
	err := d.poll(ctx, step, func() (bool, error) {
		var entries []struct {
			Node    struct{ Node, Address string }
			Service struct {
				Service, Address string
				Port             int
			}
			Checks []struct{ Status string }
		}
		if err := d.consuls[s.name].Call(ctx, http.MethodGet, path, nil, &entries); err != nil {
			return false, err
		}
		if len(entries) == 0 || len(entries[0].Checks) == 0 {
			return false, nil
		}
		e := entries[0]
		found.Service, found.Node, found.Status = e.Service.Service, e.Node.Node, e.Checks[0].Status
		found.Address = fmt.Sprintf("%s:%d", e.Service.Address, e.Service.Port)
		return true, nil
	})
	if err != nil {
		return Discovery{}, err
	}
	d.Progress(step, "discovered", "", true)
	return found, nil
}

// poll asks again and again until it is done. An error is one more reason to ask again: datacenters that have just been joined
// have moments of their own.
func (d *demo) poll(ctx context.Context, step string, ask func() (done bool, err error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		done, err := ask()
		if err == nil && done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Timeout, errors.Join(ctx.Err(), err), "wait for %s", step)
		case <-tick.C:
		}
	}
}
