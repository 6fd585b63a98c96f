package evidence

import (
	"slices"
	"time"

	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Peering is what is known of both ends of a peering, and the agent that speaks for its dialer.
func Peering(r resource.Reader, table *observation.Table, p *isthmusv1.Peering) (_ peering.Evidence, dialer string) {
	spec := p.GetSpec()
	acceptor, _ := end(r, table, p, spec.GetAcceptor(), func() []*isthmusv1.TrustedAgent { return plan.Trusted(r, spec.GetAcceptor()) })
	dialing, agent := end(r, table, p, spec.GetDialer(), func() []*isthmusv1.TrustedAgent { return plan.Recipients(r, p) })
	return peering.Evidence{
		Acceptor: acceptor, Dialer: dialing, LastTransfer: func() time.Time { return lastTransfer(r, p) },
	}, agent
}

// end is what is known of one end; recipients are its agents that take part in handing over tokens.
func end(r resource.Reader, table *observation.Table, p *isthmusv1.Peering, datacenter string, recipients func() []*isthmusv1.TrustedAgent) (peering.End, string) {
	if datacenter == "" {
		return peering.End{}, ""
	}
	var out peering.End
	if dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter); ok {
		out.Lost = resource.Lost(dc)
	}
	for _, t := range recipients() {
		out.Recipients = append(out.Recipients, t.GetAttestation().GetAgeRecipient())
	}
	seen, known := table.Get(datacenter, observation.PartPeerings)
	if known {
		out.HeardTime = table.HeardOf(datacenter, seen.Agent)
	}
	if out.HeardTime.IsZero() {
		out.HeardTime = heardOfAny(r, table, datacenter)
	}
	out.ReportTime = seen.Received
	for _, o := range seen.Peerings.GetPeerings() {
		if o.GetUid() == p.GetUid() {
			out.Report = o
			break
		}
	}
	out.Blind, out.BlindMessage, out.BlindTime = blind(table, seen)
	return out, seen.Agent
}

// heardOfAny is when any agent of a datacenter that is believed was last heard of.
func heardOfAny(r resource.Reader, table *observation.Table, datacenter string) time.Time {
	var last time.Time
	for _, a := range plan.Trusted(r, datacenter) {
		if heard := table.HeardOf(datacenter, a.GetAttestation().GetAgent()); heard.After(last) {
			last = heard
		}
	}
	return last
}

// sightless are the reasons for which an agent looks at nothing in its Consul.
func sightless() []string {
	return []string{
		"ConsulUnreachable", "ConsulCertificateUntrusted", "NoLeader", "AclTokenUnknown", "WrongConsulDatacenter", "WrongConsulPartition",
	}
}

// blind is why the agent that speaks of a datacenter's peerings does not see them, and since when it says so; empty: it does.
func blind(table *observation.Table, seen observation.Seen) (reason, message string, since time.Time) {
	if report := seen.Peerings; report.GetErrorReason() != "" {
		return report.GetErrorReason(), report.GetError(), seen.Received
	}
	own, _ := table.Get(seen.Datacenter, observation.AgentPart(seen.Agent))
	if report := own.AgentReport; slices.Contains(sightless(), report.GetErrorReason()) {
		return report.GetErrorReason(), report.GetError(), own.Received
	}
	return "", "", time.Time{}
}

// lastTransfer is when the leadership of a peering's dialer was transferred last to heal another peering of it.
func lastTransfer(r resource.Reader, p *isthmusv1.Peering) time.Time {
	var last time.Time
	for other := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, p.GetSpec().GetDialer()) {
		if other.GetUid() == p.GetUid() || other.GetSpec().GetDialer() != p.GetSpec().GetDialer() {
			continue
		}
		if at := peering.Transferred(other); at.After(last) {
			last = at
		}
	}
	return last
}
