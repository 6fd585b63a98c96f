package agent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	"isthmus/agent/probe"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// membersEvery is the least time between two looks at the WAN gossip, which a pass in a hurry would take all the time.
const membersEvery = 2 * time.Second

// proof is what this datacenter proves of a federation: whom it sees in the WAN, whom it can read, whose gateways it reaches, which
// names its servers' certificates have. It tries in the background, and gives what is known now; the worker is woken when that changes.
// Only the leader calls it, with the context of its term, in which all ends that it begins.
func (r *reconciler) proof(ctx context.Context, state *isthmusv1.DesiredState, self consul.Self) (*isthmusv1.FederationReport, error) {
	p := &r.prover
	p.begin(r)
	var probes []*isthmusv1.Probes
	member := false
	for _, item := range state.GetItems() {
		if one := item.GetProbes(); one != nil {
			probes = append(probes, one)
		}
		member = member || item.GetFederationPrimary() != nil || item.GetFederationSecondary() != nil
	}
	var own *target
	if self.TLS == nil || *self.TLS { // a server without a certificate would complain of being asked for one
		own = &target{key: "certificates/" + self.Datacenter + "/" + self.Domain, datacenter: self.Datacenter, address: self.Domain}
	}
	p.want(ctx, targetsOf(probes), member, own)
	err := p.lookAtWAN(ctx)
	return p.report(), err
}

// target is one thing to try, again and again.
type target struct {
	// key names it among all; of a probe also its place in the report.
	key, datacenter string
	// try gives what came of it; nil for the local servers' certificates, which are watched only.
	try func(ctx context.Context, p *prover) outcome
	// read: it goes into the report's reads.
	read bool
	// address is host:port or a URL, of a probe.
	address string
	// costly: each try leaves a line in the other end's log, so that what works is not tried as often.
	costly bool
}

// outcome is what came of one try.
type outcome struct {
	ok              bool
	latency         time.Duration
	services        int
	reason, message string
}

// maxTargets bounds what a server can have an agent try at a time: each is a loop of its own. It is several addresses of each of a thousand
// datacenters.
const maxTargets = 4096

// targetsOf are all targets, each once, in the order of the report.
func targetsOf(wanted []*isthmusv1.Probes) []target {
	var out []target
	for _, w := range wanted {
		for _, read := range w.GetReads() {
			out = append(out, target{
				key: "read/" + read.GetDatacenter(), datacenter: read.GetDatacenter(), read: true,
				try: func(ctx context.Context, p *prover) outcome { return p.read(ctx, read.GetConsulDatacenter()) },
			})
		}
		for _, g := range w.GetGateways() {
			out = append(out, target{
				key:        "gateway/" + g.GetDatacenter() + "/" + g.GetAddress() + "/" + g.GetServerName() + "/" + g.GetAlpn(),
				datacenter: g.GetDatacenter(), address: g.GetAddress(), costly: true,
				try: func(ctx context.Context, _ *prover) outcome {
					return outcomeOf(probe.Gateway(ctx, g.GetAddress(), g.GetServerName(), g.GetAlpn()))
				},
			})
		}
		for _, u := range w.GetUrls() {
			out = append(out, target{
				key: "url/" + u.GetDatacenter() + "/" + u.GetUrl(), datacenter: u.GetDatacenter(), address: u.GetUrl(),
				try: func(ctx context.Context, _ *prover) outcome { return outcomeOf(probe.URL(ctx, u.GetUrl())) },
			})
		}
	}
	slices.SortStableFunc(out, func(x, y target) int { return cmp.Compare(x.key, y.key) })
	out = slices.CompactFunc(out, func(x, y target) bool { return x.key == y.key })
	return out[:min(len(out), maxTargets)]
}

func outcomeOf(r probe.Result) outcome {
	return outcome{ok: r.OK, latency: r.Latency, reason: r.Reason, message: r.Message}
}

// read proves that the local Consul reads the catalog of another datacenter.
func (p *prover) read(ctx context.Context, consulDatacenter string) outcome {
	services, err := p.consul.RemoteServices(ctx, consulDatacenter)
	return outcome{ok: err == nil, services: services, reason: reasonOf(err), message: messageOf(err)}
}

// lookAtWAN brings the members of the WAN gossip up to date, when it is time.
func (p *prover) lookAtWAN(ctx context.Context) error {
	now := p.now()
	if now.Before(p.nextMembers) {
		return nil
	}
	list, err := p.consul.WANMembers(ctx)
	if err != nil {
		return err
	}
	p.nextMembers = now.Add(membersEvery)
	members := make([]*isthmusv1.WanMember, 0, len(list))
	for _, m := range list {
		members = append(members, &isthmusv1.WanMember{
			Node: m.Node, Datacenter: m.Datacenter, Address: m.Address, Status: m.Status, Build: m.Build, Protocol: m.Protocol,
		})
	}
	p.members = members
	return nil
}

// certificate is what the local servers' certificates have in common.
type certificate struct {
	names   []string
	expires time.Time
}

// lookAtCertificates asks each of the local servers for its certificate. What only some of them have counts for these alone: a name of
// any server, or of all, has to be in each certificate; that of a node in that of its own. Servers that do not answer are left out.
func (p *prover) lookAtCertificates(ctx context.Context, datacenter, domain string) certificate {
	servers, err := p.consul.Instances(ctx, "consul", "")
	if err != nil {
		p.log.Debug("the servers' certificates are not looked at now", "error", err)
		return certificate{}
	}
	serverName := federation.ServerName(datacenter, domain)
	var common certificate
	var nodes []string
	seen := false
	for _, s := range servers {
		names, expires, err := probe.Certificate(ctx, hostPort(s.Address, s.Port), serverName)
		if err != nil {
			p.log.Debug("a server shows no certificate", "node", s.Node, "error", err)
			continue
		}
		if own := s.Node + "." + serverName; slices.Contains(names, own) || slices.Contains(names, "*."+serverName) {
			nodes = append(nodes, own)
		}
		if !seen || expires.Before(common.expires) {
			common.expires = expires
		}
		if !seen {
			common.names = slices.Clone(names)
		}
		common.names = slices.DeleteFunc(common.names, func(n string) bool { return !slices.Contains(names, n) })
		seen = true
	}
	common.names = append(common.names, nodes...)
	slices.Sort(common.names)
	common.names = slices.Compact(common.names)
	return common
}

// advanceRead is what to report of a read after an outcome; since moves only when ok changes.
func advanceRead(before *isthmusv1.ObservedRead, datacenter string, o outcome, now time.Time) *isthmusv1.ObservedRead {
	next := &isthmusv1.ObservedRead{Datacenter: datacenter, Ok: o.ok, Since: timestamppb.New(now), ErrorReason: o.reason, Error: o.message, Services: int32(o.services)}
	if before != nil && before.GetOk() == o.ok {
		next.Since = before.GetSince()
	}
	return next
}

// advanceProbe is the same for a probe; the latency moves only when it is another one by far.
func advanceProbe(before *isthmusv1.ObservedProbe, t target, o outcome, now time.Time) *isthmusv1.ObservedProbe {
	next := &isthmusv1.ObservedProbe{Datacenter: t.datacenter, Address: t.address, Ok: o.ok, Since: timestamppb.New(now), ErrorReason: o.reason, Error: o.message}
	if o.ok {
		next.LatencyMs = steady(before.GetLatencyMs(), o.latency)
	}
	if before != nil && before.GetOk() == o.ok {
		next.Since = before.GetSince()
	}
	return next
}

// steady rounds a latency to 1, 2, 5, 10, … ms, and keeps the last word unless it is off by more than twice.
func steady(before int32, latency time.Duration) int32 {
	ms := max(1, latency.Seconds()*1000)
	if before > 0 && ms > float64(before)/2 && ms < float64(before)*2 {
		return before
	}
	for unit := 1.0; ; unit *= 10 {
		for _, step := range []struct{ value, until float64 }{{1, 1.41}, {2, 3.16}, {5, 7.07}} {
			if ms <= step.until*unit {
				return int32(step.value * unit)
			}
		}
	}
}

// report is what is known now. Of what was not tried yet it says nothing.
func (p *prover) report() *isthmusv1.FederationReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	report := &isthmusv1.FederationReport{WanMembers: p.members, CertificateNames: p.certificate.names}
	// A certificate may end in a year that no message can say.
	if at := timestamppb.New(p.certificate.expires); !p.certificate.expires.IsZero() && at.IsValid() {
		report.CertificateExpireTime = at
	}
	for _, key := range slices.Sorted(maps.Keys(p.reads)) {
		report.Reads = append(report.Reads, p.reads[key])
	}
	for _, key := range slices.Sorted(maps.Keys(p.probes)) {
		report.Probes = append(report.Probes, p.probes[key])
	}
	return report
}
