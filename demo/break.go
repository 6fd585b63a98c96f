package demo

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Ways to break a datacenter when all is healthy.
const (
	// BreakCut stops agent and Consul of the last datacenter where they are: connections stay open, and nothing answers. That is what a
	// line looks like that was cut.
	BreakCut = "cut"
	// BreakConsul kills the Consul server of the last datacenter; its agent lives.
	BreakConsul = "consul"
	// BreakGateway kills the gateway of the federation's secondary.
	BreakGateway = "gateway"
)

// Checks of doctor that name the cause.
const (
	checkAgentOnline      = "AgentOnline"
	checkConsulReachable  = "ConsulReachable"
	checkGatewayReachable = "GatewayReachable"
)

// foundTimeout is for isthmus to find out: an agent is silent after 30 s, and a heartbeat missing after 23 s.
const foundTimeout = 3 * time.Minute

// Broken is what was broken, and what isthmus says of it.
type Broken struct {
	// What was done to which datacenter.
	What, Datacenter string
	// Check is what doctor finds, Connection the one that is not well for it. Both are nil unless Config.Exit asks for them.
	Check      *isthmusv1.DoctorCheck
	Connection *isthmusv1.Connection
	// After is how long it took isthmus to say both.
	After time.Duration
}

// breakage is one way to break a datacenter.
type breakage struct {
	// least is how many datacenters it takes.
	least int
	site  func(all []site) site
	do    func(d *demo, s site) error
	// what says what was done, to people. check is the id of doctor's check that names the cause.
	what, check string
}

func breakages() map[string]breakage {
	last := func(all []site) site { return all[len(all)-1] }
	return map[string]breakage{
		BreakCut: {
			least: MinDatacenters, site: last, do: (*demo).cut,
			what: "its agent and its Consul answer nobody", check: checkAgentOnline,
		},
		BreakConsul: {
			least: MinDatacenters, site: last, do: func(d *demo, s site) error { return d.consuls[s.name].Kill() },
			what: "its Consul server was killed", check: checkConsulReachable,
		},
		BreakGateway: {
			least: federated, site: func(all []site) site { return all[1] }, do: (*demo).killGateway,
			what: "its mesh gateway was killed", check: checkGatewayReachable,
		},
	}
}

// checkBreak tells whether a demo can be broken as asked.
func checkBreak(way string, datacenters int) error {
	if way == "" {
		return nil
	}
	b, ok := breakages()[way]
	if !ok {
		return fault.New(fault.Invalid, "a datacenter is broken by %s, %s or %s, not %q", BreakCut, BreakConsul, BreakGateway, way)
	}
	if datacenters < b.least {
		return fault.New(fault.Invalid, "only of %d datacenters or more are two a federation, which has gateways to break: there are %d", b.least, datacenters)
	}
	return nil
}

// breakOne breaks a datacenter, and waits until isthmus says which one and why if it was asked for.
func (d *demo) breakOne(ctx context.Context) (*Broken, error) {
	b := breakages()[d.Break]
	s := b.site(d.sites)
	started := d.Now()
	if err := b.do(d, s); err != nil {
		return nil, err
	}
	out := &Broken{What: b.what, Datacenter: s.name}
	if !d.Exit {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, foundTimeout)
	defer cancel()
	step := "finding what is broken"
	d.Progress(step, "asking", "", false)
	err := d.poll(ctx, step, func() (bool, error) { return d.find(ctx, b, out) })
	if err != nil {
		return nil, err
	}
	out.After = d.Now().Sub(started)
	d.Progress(step, "found", "", true)
	return out, nil
}

// find asks doctor and connections. Both have to name the datacenter that was broken, and no other one.
func (d *demo) find(ctx context.Context, b breakage, out *Broken) (bool, error) {
	report, err := d.client.Doctor(ctx, []string{b.check}, "")
	if err != nil {
		return false, err
	}
	out.Check = nil
	for _, check := range report.GetChecks() {
		if check.GetVerdict() != resource.CheckFail {
			continue
		}
		if about(check) != out.Datacenter {
			return false, fault.New(fault.Refused, "%s says that %s is broken: %s", check.GetId(), about(check), check.GetMessage())
		}
		out.Check = check
	}
	if out.Check == nil {
		return false, fault.New(fault.Refused, "%s does not say that %s is broken", b.check, out.Datacenter)
	}
	connections, err := d.client.Connections(ctx, client.ConnectionOptions{Datacenter: out.Datacenter})
	if err != nil {
		return false, err
	}
	ill := slices.IndexFunc(connections, func(c *isthmusv1.Connection) bool { return c.GetVerdict() != peering.VerdictHealthy })
	if ill < 0 {
		return false, fault.New(fault.Refused, "all connections of %s are called healthy", out.Datacenter)
	}
	out.Connection = connections[ill]
	return true, nil
}

// about is the datacenter that a check finds at fault: of a gateway that is not reached, the one that it is in.
func about(check *isthmusv1.DoctorCheck) string {
	if other, ok := strings.CutPrefix(check.GetSubject(), resource.KindDatacenter+"/"); ok {
		return other
	}
	return check.GetDatacenter()
}

// cut stops all processes of a datacenter where they are. They go on when the demo ends, to end in order.
func (d *demo) cut(s site) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.agents {
		if one.site == s.name {
			if err := one.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
		}
	}
	d.paused = d.consuls[s.name]
	return d.paused.Pause()
}

func (d *demo) killGateway(s site) error {
	d.mu.Lock()
	at := slices.IndexFunc(d.agents, func(one enrolled) bool { return one.site == s.name && one.kind == resource.AgentKindGateway })
	if at < 0 {
		d.mu.Unlock()
		return fault.New(fault.Conflict, "the gateway of %s does not run", s.name)
	}
	gateway := d.agents[at]
	d.mu.Unlock()
	return d.forget(gateway.Process, 0)
}
