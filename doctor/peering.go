package doctor

import (
	"cmp"
	"net"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Verdicts of connections (see package connection).
const (
	verdictHealthy  = "healthy"
	verdictPending  = "pending"
	verdictDeleting = "deleting"
	verdictUnknown  = "unknown"
)

// statePending is Consul's word for a peering whose other end never came.
const statePending = "PENDING"

// connectionHealthy is asked of each pair. Of the pairs of a federation, which grow with the square of its members, those that are healthy are
// one finding for each member.
func (x *exam) connectionHealthy() []answer {
	type member struct{ federation, datacenter string }
	var out []answer
	well := map[member][]string{}
	for _, c := range x.Connections {
		federated := c.GetKind() == resource.KindOf(&isthmusv1.Federation{}).Singular
		if federated && c.GetVerdict() == verdictHealthy {
			for _, pair := range [][2]string{{c.GetA(), c.GetB()}, {c.GetB(), c.GetA()}} {
				m := member{c.GetName(), pair[0]}
				well[m] = append(well[m], pair[1])
			}
			continue
		}
		a := connection(c)
		if federated {
			out = append(out, a.of(resource.KindDatacenter, c.GetB()))
		} else {
			out = append(out, a.of(resource.KindPeering, c.GetName()))
		}
	}
	for m, others := range well {
		out = append(out, passes(m.datacenter, "%s – %s: healthy, as both ends say", m.datacenter, resource.Some(others, mostNamed)).of(resource.KindFederation, m.federation))
	}
	return out
}

func connection(c *isthmusv1.Connection) answer {
	pair := c.GetA() + " – " + c.GetB()
	text := pair + " is " + c.GetVerdict() + ": " + c.GetMessage()
	switch c.GetVerdict() {
	case verdictHealthy:
		return passes(c.GetA(), "%s is healthy, as both ends say", pair)
	case verdictUnknown:
		return unknown(c.GetA(), "%s", text).fixed("%s", c.GetFix())
	case verdictPending, verdictDeleting:
		return fails(c.GetA(), "%s", text).fixed("%s", cmp.Or(c.GetFix(), "isthmus connections shows the evidence; wait: isthmus doctor --only ConnectionHealthy --wait 1m")).as(SeverityWarning)
	}
	return fails(c.GetA(), "%s", text).fixed("%s", cmp.Or(c.GetFix(), "isthmus connections shows the evidence"))
}

// tokenAddress is asked of each peering between two datacenters: whether the dialer's host reaches what its Consul dials.
func (x *exam) tokenAddress() []answer {
	var out []answer
	for p := range resource.All[*isthmusv1.Peering](x, resource.KindPeering) {
		dialer := p.GetSpec().GetDialer()
		if p.GetDeleteTime() != nil || dialer == "" {
			continue
		}
		end := x.end(dialer, p.GetUid())
		if end == nil || len(end.GetDials()) == 0 {
			continue // ConnectionHealthy says what there is to say
		}
		if why := x.silence(dialer); why != "" {
			out = append(out, unknown(dialer, "%s", why).of(resource.KindPeering, p.GetName()))
			continue
		}
		out = append(out, x.dials(p, end).of(resource.KindPeering, p.GetName()))
	}
	return out
}

// end is what the agent of a datacenter sees of a peering; nil: nothing.
func (x *exam) end(datacenter, uid string) *isthmusv1.ObservedPeering {
	for _, o := range x.of(datacenter).Peerings.GetPeerings() {
		if o.GetUid() == uid && o.GetOrigin() == resource.OriginOwn {
			return o
		}
	}
	return nil
}

func (x *exam) dials(p *isthmusv1.Peering, end *isthmusv1.ObservedPeering) answer {
	dialer := p.GetSpec().GetDialer()
	var good, bad []string
	inside := false
	for _, d := range end.GetDials() {
		if d.GetOk() {
			good = append(good, d.GetAddress())
			continue
		}
		text := d.GetAddress() + " " + d.GetErrorReason()
		host, _, err := net.SplitHostPort(d.GetAddress())
		if err == nil {
			if kind := unroutable(host); kind != "" {
				text, inside = text+" ("+kind+")", true
			} else if private(host) {
				text, inside = text+" (a private address)", true
			}
		}
		bad = append(bad, text)
	}
	if len(bad) == 0 {
		return passes(dialer, "%s reaches what its Consul dials: %s", dialer, resource.Some(good, mostNamed))
	}
	a := fails(dialer, "%s does not reach what its Consul dials: %s", dialer, resource.Some(bad, mostNamed)).fixed("%s", fixOfDials(p, inside))
	if len(good) > 0 {
		a = fails(dialer, "%s does not reach all that its Consul dials: %s; it reaches %s", dialer, resource.Some(bad, mostNamed), resource.Some(good, mostNamed)).fixed("%s", fixOfDials(p, inside)).as(SeverityWarning)
	}
	return a
}

// fixOfDials: addresses come from the acceptor's token, or are those of its gateways.
func fixOfDials(p *isthmusv1.Peering, inside bool) string {
	switch {
	case p.GetSpec().GetThroughGateways():
		return "correct the WAN address of the acceptor's gateways (see GatewayAddress), then isthmus peering rotate " + p.GetName()
	case len(p.GetSpec().GetServerExternalAddresses()) > 0:
		return "correct spec.serverExternalAddresses of Peering " + p.GetName() + ", then isthmus peering rotate " + p.GetName()
	case inside:
		return "set throughGateways: true in Peering " + p.GetName() + ", or serverExternalAddresses to what the dialer reaches (a load balancer of the acceptor's servers), then isthmus peering rotate " + p.GetName()
	}
	return "isthmus peering rotate " + p.GetName() + " gives it the acceptor's present addresses; else open the way there"
}

// peerings asks about the peerings in each Consul that no Peering wants: a failure for each that is of a kind, else one pass.
func (x *exam) peerings(origin string, is func(o *isthmusv1.ObservedPeering) bool, bad func(d *isthmusv1.Datacenter, o *isthmusv1.ObservedPeering) answer, good string) []answer {
	return x.consul(func(d *isthmusv1.Datacenter, s Seen) []answer {
		if s.Peerings == nil {
			return nil
		}
		var out []answer
		for _, o := range s.Peerings.GetPeerings() {
			if o.GetOrigin() == origin && is(o) {
				out = append(out, bad(d, o))
			}
		}
		if len(out) == 0 {
			out = append(out, passes(d.GetName(), "%s", d.GetName()+": "+good))
		}
		return out
	})
}

func (x *exam) orphanPeerings() []answer {
	return x.peerings(resource.OriginOrphan, func(o *isthmusv1.ObservedPeering) bool { return o.GetState() != statePending },
		func(d *isthmusv1.Datacenter, o *isthmusv1.ObservedPeering) answer {
			return fails(d.GetName(), "%s has a peering %s (%s) with isthmus's mark that no Peering wants: its other end may be gone, or was removed by force",
				d.GetName(), o.GetPeerName(), o.GetState()).of(resource.KindPeering, o.GetPeerName()).fixed("in %s: consul peering delete -name %s", d.GetName(), resource.ShellWord(o.GetPeerName()))
		}, "each peering with isthmus's mark is wanted")
}

func (x *exam) strayPeerings() []answer {
	return x.peerings(resource.OriginOrphan, func(o *isthmusv1.ObservedPeering) bool { return o.GetState() == statePending },
		func(d *isthmusv1.Datacenter, o *isthmusv1.ObservedPeering) answer {
			return fails(d.GetName(), "%s has a peering %s with isthmus's mark that never came about (%s), and no Peering wants it: an attempt was refused half-way",
				d.GetName(), o.GetPeerName(), o.GetState()).of(resource.KindPeering, o.GetPeerName()).fixed("in %s: consul peering delete -name %s", d.GetName(), resource.ShellWord(o.GetPeerName()))
		}, "no attempt at a peering was left behind")
}

func (x *exam) foreignPeerings() []answer {
	return x.peerings(resource.OriginForeign, func(*isthmusv1.ObservedPeering) bool { return true },
		func(d *isthmusv1.Datacenter, o *isthmusv1.ObservedPeering) answer {
			return fails(d.GetName(), "%s has a peering %s (%s) that isthmus did not make: it is left alone", d.GetName(), o.GetPeerName(), o.GetState()).
				of(resource.KindPeering, o.GetPeerName()).fixed("nothing, if somebody wants it; to have isthmus look after it, delete it in both Consuls and declare a Peering")
		}, "isthmus made all of its peerings")
}
