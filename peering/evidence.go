package peering

import (
	"slices"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Consul's own words for the state of a peering's end; see its API documentation of /v1/peering.
const (
	StateUndefined    = "UNDEFINED"
	StatePending      = "PENDING"
	StateEstablishing = "ESTABLISHING"
	StateActive       = "ACTIVE"
	StateFailing      = "FAILING"
	StateDeleting     = "DELETING"
	StateTerminated   = "TERMINATED"
)

// Times that verdicts depend on.
const (
	// grace is how long two ends may take to connect before that counts as a failure. Consul needs 0.1 s directly, 3 s through
	// gateways and 5 s over a TERMINATED peering.
	grace = 30 * time.Second
	// settle is how long after an event a report may still tell of the time before: five polls of Consul.
	settle = 15 * time.Second
	// flowing is how long after a stream was lost a heartbeat of before may still count as fresh.
	flowing = 25 * time.Second
)

// Calm is how long the reports of both ends must have been the same before what one exports and the other does not import counts as wrong, and
// not as on its way.
const Calm = 30 * time.Second

// Evidence is what is known of both ends.
type Evidence struct {
	Acceptor, Dialer End
	// LastTransfer is when the dialer's leadership was transferred last to heal any peering of that datacenter; zero: never. It is asked
	// for only when it counts; nil: never.
	LastTransfer func() time.Time
	// Earliest is when a step of healing may be taken by itself: what is remembered of healing sets it. Zero: at once; nil: always so.
	Earliest func(step string) time.Time
}

// End is what is known of one end. For an external one it is not looked at.
type End struct {
	// Report is the end's entry, by its uid, in the last report of its datacenter; nil when there is none.
	Report *isthmusv1.ObservedPeering
	// ReportTime is when the datacenter's last report on its peerings came: since then all of them are as they are.
	ReportTime time.Time
	// HeardTime is when the datacenter's leading agent was last heard of; zero: never.
	HeardTime time.Time
	// Blind is why that agent does not see its Consul, as one CamelCase word, and BlindMessage a sentence, both as it reports, since
	// BlindTime; empty: it does. Report is older then.
	Blind, BlindMessage string
	BlindTime           time.Time
	// Recipients are the age recipients of the datacenter's trusted agents.
	Recipients []string
	// Lost: the datacenter's Consul is gone for good, as an operator says, and this end with it.
	Lost bool
}

// end is one end while it is judged.
type end struct {
	End
	// name of the datacenter, or of the external cluster.
	name string
	// known is what the status has of it.
	known    *isthmusv1.PeeringEnd
	external bool
	// seen: it has reported, and is heard of.
	seen bool
	now  time.Time
}

// view is both ends of one peering at one time.
type view struct {
	*isthmusv1.Peering
	acceptor, dialer end
	// own are those of this fleet: one or two.
	own          []end
	lastTransfer func() time.Time
	earliest     func(step string) time.Time
	now          time.Time
}

func look(p *isthmusv1.Peering, e Evidence, now time.Time) view {
	spec := p.GetSpec()
	at := func(e End, datacenter, external string, known *isthmusv1.PeeringEnd) end {
		out := end{End: e, name: datacenter, known: known, now: now}
		if external != "" {
			return end{name: external, external: true, now: now}
		}
		out.seen = e.Report != nil && out.online()
		return out
	}
	v := view{
		Peering:  p,
		acceptor: at(e.Acceptor, spec.GetAcceptor(), spec.GetExternalAcceptor(), p.GetStatus().GetAcceptor()),
		dialer:   at(e.Dialer, spec.GetDialer(), spec.GetExternalDialer(), p.GetStatus().GetDialer()),

		lastTransfer: e.LastTransfer, earliest: e.Earliest, now: now,
	}
	v.own = slices.DeleteFunc([]end{v.acceptor, v.dialer}, func(e end) bool { return e.external })
	return v
}

// external tells whether one end is another operator's.
func (v view) external() bool { return v.acceptor.external || v.dialer.external }

func (e end) online() bool {
	return !e.HeardTime.IsZero() && e.now.Sub(e.HeardTime) <= resource.Silence
}

// blind tells whether the end's agent does not see its Consul, for longer than an election or a restart takes.
func (e end) blind() bool { return Unseen(e.Blind, e.BlindTime, e.now) }

// Unseen tells whether an agent that says since then why it does not see its Consul has said so for long enough to count.
func Unseen(blind string, since, now time.Time) bool { return blind != "" && now.Sub(since) > settle }

// flows tells whether an end hears the other one although Consul says FAILING, for longer than a heartbeat from before could count: the
// handler of a stream that hung ends two minutes after it began, whatever came of it, and marks the one after it as lost (measured on
// Consul 1.20).
func (e end) flows() bool {
	return e.state() == StateFailing && e.Report.GetHeartbeat() == resource.HeartbeatFresh && e.known.GetState() == StateFailing &&
		e.now.Sub(e.known.GetSince().AsTime()) > flowing
}

// deaf tells whether the end should hear the other one, and does not.
func (e end) deaf() bool {
	heartbeat := e.Report.GetHeartbeat()
	return !e.external && (e.state() == StateActive || e.state() == StateFailing) && heartbeat != resource.HeartbeatFresh && heartbeat != ""
}

// well tells whether an end is connected and hears the other one, as far as is seen there.
func (e end) well() bool {
	return e.Report.GetErrorReason() == "" && (e.state() == StateActive || e.flows()) && !e.deaf()
}

// dialled tells what came of dialling the peer's addresses: whether any was tried, and whether one can be reached.
func (e end) dialled() (tried, reached bool) {
	for _, d := range e.Report.GetDials() {
		tried, reached = true, reached || d.GetOk()
	}
	return tried, reached
}

// state is Consul's word; empty when Consul has no such peering, or nobody said.
func (e end) state() string { return e.Report.GetState() }

func (e end) exists() bool { return e.state() != "" }

// knows tells whether the end's report was made after what happened at a time with a generation, so that it is evidence of
// what came of that. A report on its way says what was before; an agent that lost its memory too never says the generation.
func (e end) knows(generation int32, happened time.Time) bool {
	return e.seen && (e.Report.GetGeneration() >= generation || e.HeardTime.After(happened.Add(settle)))
}
