package evidence

import (
	"slices"
	"time"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Peering is what is known of both ends of a peering, and the agent that speaks for its dialer.
func Peering(r resource.Reader, table *observation.Table, p *isthmusv1.Peering) (_ peering.Evidence, dialer string) {
	return (&sides{r: r, table: table}).peering(p)
}

// Peerings is what is known of the ends of many peerings, each datacenter found out once: for one look at them, in one goroutine.
type Peerings struct{ sides sides }

// PeeringsOf looks at a view and a table.
func PeeringsOf(r resource.Reader, table *observation.Table) *Peerings {
	return &Peerings{sides{r: r, table: table, known: map[string]*side{}}}
}

// Of is Peering for one of them.
func (s *Peerings) Of(p *isthmusv1.Peering) (_ peering.Evidence, dialer string) {
	return s.sides.peering(p)
}

// Blind is why the agent that speaks of a datacenter's peerings does not see them; empty: it does.
func Blind(table *observation.Table, seen observation.Seen) string {
	reason, _, _ := blind(table, seen)
	return reason
}

// sides are what is known of datacenters as ends of peerings. For many peerings each is found out once.
type sides struct {
	r     resource.Reader
	table *observation.Table
	// known is nil for one look at one peering.
	known map[string]*side
}

// side is what is known of one datacenter.
type side struct {
	lost    bool
	trusted []*isthmusv1.TrustedAgent
	// seen is the last report of its peerings, and heard when its reporter was last heard of, or when any agent was while nobody has reported.
	seen         observation.Seen
	heard        time.Time
	blind, words string
	blindSince   time.Time
	// ends is found by uid.
	ends map[string]*isthmusv1.ObservedPeering
}

func (s *sides) peering(p *isthmusv1.Peering) (_ peering.Evidence, dialer string) {
	acceptor, dialing := s.of(p.GetSpec().GetAcceptor()), s.of(p.GetSpec().GetDialer())
	// Who takes part in handing over tokens: see plan.Recipients.
	recipients := dialing.trusted
	if p.GetSpec().GetAcceptor() != "" {
		recipients = resource.RecipientsAmong(acceptor.trusted, dialing.trusted)
	}
	return peering.Evidence{
		Acceptor: acceptor.end(p, acceptor.trusted), Dialer: dialing.end(p, recipients),
		LastTransfer: func() time.Time { return lastTransfer(s.r, p) },
	}, dialing.seen.Agent
}

// of is what is known of a datacenter; of none, nothing.
func (s *sides) of(datacenter string) *side {
	if known, ok := s.known[datacenter]; ok {
		return known
	}
	out := &side{}
	if datacenter != "" {
		out.look(s.r, s.table, datacenter)
	}
	if s.known != nil {
		s.known[datacenter] = out
		out.ends = make(map[string]*isthmusv1.ObservedPeering, len(out.seen.Peerings.GetPeerings()))
		for _, o := range out.seen.Peerings.GetPeerings() {
			if out.ends[o.GetUid()] == nil {
				out.ends[o.GetUid()] = o
			}
		}
	}
	return out
}

func (s *side) look(r resource.Reader, table *observation.Table, datacenter string) {
	if dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter); ok {
		s.lost = resource.Lost(dc)
	}
	s.trusted = resource.TrustedAgents(r, datacenter)
	seen, known := table.Get(datacenter, observation.PartPeerings)
	s.seen = seen
	if known {
		s.heard = table.HeardOf(datacenter, seen.Agent)
	}
	if s.heard.IsZero() {
		s.heard = heardOf(table, datacenter, s.trusted)
	}
	s.blind, s.words, s.blindSince = blind(table, seen)
}

// end is one end of a peering in the datacenter; recipients are its agents that take part in handing over tokens.
func (s *side) end(p *isthmusv1.Peering, recipients []*isthmusv1.TrustedAgent) peering.End {
	out := peering.End{
		Lost: s.lost, HeardTime: s.heard, ReportTime: s.seen.Received, Report: s.report(p.GetUid()),
		Blind: s.blind, BlindMessage: s.words, BlindTime: s.blindSince,
	}
	for _, t := range recipients {
		out.Recipients = append(out.Recipients, t.GetAttestation().GetAgeRecipient())
	}
	return out
}

func (s *side) report(uid string) *isthmusv1.ObservedPeering {
	if s.ends != nil {
		return s.ends[uid]
	}
	for _, o := range s.seen.Peerings.GetPeerings() {
		if o.GetUid() == uid {
			return o
		}
	}
	return nil
}

// heardOfAny is when any agent of a datacenter that is believed was last heard of.
func heardOfAny(r resource.Reader, table *observation.Table, datacenter string) time.Time {
	return heardOf(table, datacenter, resource.TrustedAgents(r, datacenter))
}

func heardOf(table *observation.Table, datacenter string, agents []*isthmusv1.TrustedAgent) time.Time {
	var last time.Time
	for _, a := range agents {
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
