package overview

import (
	"fmt"
	"strings"
	"time"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// The words for a datacenter's health.
const (
	Healthy  = "healthy"
	Pending  = "pending"
	Failing  = "failing"
	Unknown  = "unknown"
	Removing = "removing"
)

// Reasons, beside those of a Datacenter's conditions.
const (
	// ReasonHealthy: nothing is wrong.
	ReasonHealthy = "Healthy"
	// ReasonCutOff: its agents missed heartbeats or are silent, and other datacenters, peers or members of its federation, hear nothing from it.
	ReasonCutOff = "CutOff"
)

const (
	// justEnrolled is how long an agent that has never been heard of may still be on its way.
	justEnrolled = 2 * resource.Silence
	// quiet is how long agents say nothing before it means something together with what others say: three heartbeats, or two where another replica
	// has to write them down first.
	quiet = 15 * time.Second
)

// Agent is one agent of a datacenter that acts in its Consul.
type Agent struct {
	*isthmusv1.Agent
	// HeardTime is when it was last heard of; zero: never.
	HeardTime time.Time
}

func (a Agent) online(now time.Time) bool {
	return !a.HeardTime.IsZero() && now.Sub(a.HeardTime) <= resource.Silence
}

// Seen is what is known of one datacenter beside its resource.
type Seen struct {
	// Agents are all that are enrolled to act in its Consul.
	Agents []Agent
	// Leading is what the agent that speaks for it reports of itself, as it is since LeadingTime; nil: nothing yet.
	Leading     *isthmusv1.AgentReport
	LeadingTime time.Time
	// Inventory is its last report, as it is since InventoryTime; nil: none yet.
	Inventory     *isthmusv1.InventoryReport
	InventoryTime time.Time
	// Federation is what it saw last of the other members of its federation; nil: nothing yet.
	Federation *isthmusv1.FederationReport
}

// heard is when any agent was last heard of, and how many are.
func (s Seen) heard(now time.Time) (last time.Time, online int) {
	for _, a := range s.Agents {
		if a.HeardTime.After(last) {
			last = a.HeardTime
		}
		if a.online(now) {
			online++
		}
	}
	return last, online
}

// Health is how a datacenter fares.
type Health struct {
	// Word is one of the words for health, Reason one CamelCase word.
	Word, Reason string
	// Message is a sentence, and Fix what to do; both are empty while it is healthy. Neither changes with the time alone.
	Message, Fix string
	// Since is when it began, as far as it is known.
	Since time.Time
}

// HealthOf is how a datacenter fares, by the rules of its conditions (inventory.Conditions) applied to what is known now: a silence shows at the
// end of it, whether or not a controller has written it down. role is its part in a federation; empty: none.
func HealthOf(dc *isthmusv1.Datacenter, role string, s Seen, now time.Time) Health {
	if dc.GetDeleteTime() != nil && dc.GetStatus().GetRemoval() == nil {
		return Health{Word: Removing, Reason: inventory.ReasonRemoving, Message: "it was deleted, and goes when nothing holds it any more", Since: dc.GetDeleteTime().AsTime()}
	}
	last, online := s.heard(now)
	liveness := dc.GetStatus().GetAgent()
	switch {
	case online > 0:
		liveness = resource.LivenessOnline
	case liveness == resource.LivenessOnline || liveness == "":
		liveness = resource.LivenessOffline
		if last.IsZero() {
			liveness = resource.LivenessUnknown
		}
	}
	agents := make([]*isthmusv1.Agent, len(s.Agents))
	for i, a := range s.Agents {
		agents[i] = a.Agent
	}
	judged := inventory.Conditions(dc, liveness, inventory.Evidence{Agents: agents, Leading: s.Leading, Inventory: s.Inventory})
	x := patient{Datacenter: dc, Seen: s, last: last, now: now}
	for _, c := range judged {
		if !well(c) {
			out := x.ill(c)
			out.Fix = x.fix(role, out)
			return out
		}
	}
	return Health{Word: Healthy, Reason: ReasonHealthy, Since: x.since(judged[0], s.InventoryTime)}
}

// well tells whether a condition is as it should be.
func well(c *isthmusv1.Condition) bool {
	if c.GetType() == inventory.ConditionRemovalsHeld {
		return c.GetStatus() == resource.ConditionFalse
	}
	return c.GetStatus() == resource.ConditionTrue
}

// patient is a datacenter while its health is found out.
type patient struct {
	*isthmusv1.Datacenter
	Seen
	// last is when any of its agents was heard of.
	last time.Time
	now  time.Time
}

// ill is the health that follows from the first condition that is not as it should be.
func (x patient) ill(c *isthmusv1.Condition) Health {
	out := Health{Word: Failing, Reason: c.GetReason(), Message: c.GetMessage(), Since: x.since(c, x.LeadingTime)}
	switch {
	case c.GetType() != resource.ConditionReady:
	case x.GetStatus().GetRemoval() != nil:
		out.Word, out.Since = Removing, x.GetStatus().GetRemoval().GetRequestTime().AsTime()
	case c.GetReason() == inventory.ReasonNoAgent:
		out.Word, out.Since = Pending, x.GetCreateTime().AsTime()
	case c.GetReason() == inventory.ReasonAgentOffline, c.GetReason() == inventory.ReasonAgentUnknown:
		return x.silent(out)
	case c.GetReason() == inventory.ReasonNoInventory:
		out.Word, out.Since = Pending, x.since(c, x.enrolled())
		if !x.trusted() {
			out.Reason, out.Message = inventory.ReasonAgentNotTrusted, "nobody has proven the keys of its agent yet: nothing is sealed to it, and what it reports does not count"
		}
	case c.GetReason() == inventory.ReasonNoLeader:
		out.Since = x.since(c, x.InventoryTime)
	}
	return out
}

// silent is the health of a datacenter none of whose agents is heard of.
func (x patient) silent(out Health) Health {
	out.Word = Unknown
	if !x.last.IsZero() {
		out.Since, out.Message = x.last, x.agents("is silent: what is shown is the last that it saw", "are silent: what is shown is the last that they saw")
		return out
	}
	out.Since, out.Message = x.enrolled(), x.agents("is enrolled, and has not been heard of yet", "are enrolled, and have not been heard of yet")
	if x.now.Sub(out.Since) <= justEnrolled {
		out.Word = Pending
	}
	return out
}

// agents is a sentence about its agents: one has its name in it.
func (x patient) agents(one, several string) string {
	if len(x.Agents) > 1 {
		return fmt.Sprintf("its %d agents %s", len(x.Agents), several)
	}
	text := "its agent " + x.Agents[0].GetName()
	if host := x.Agents[0].GetStatus().GetHost(); host != "" {
		text += " on " + host
	}
	return text + " " + one
}

// enrolled is when the last of its agents did.
func (x patient) enrolled() time.Time {
	var last time.Time
	for _, a := range x.Agents {
		if at := a.GetCreateTime().AsTime(); at.After(last) {
			last = at
		}
	}
	return last
}

func (x patient) trusted() bool {
	for _, a := range x.Agents {
		if resource.Trusted(a.Agent) {
			return true
		}
	}
	return false
}

// since is when a condition came to be what it is: as its status says, or else when it was reported.
func (x patient) since(c *isthmusv1.Condition, reported time.Time) time.Time {
	written := resource.FindCondition(x.GetStatus().GetConditions(), c.GetType())
	switch {
	case written.GetStatus() == c.GetStatus():
		return written.GetLastTransitionTime().AsTime()
	case !reported.IsZero():
		return reported
	}
	return x.now
}

// fix is what to do about it.
func (x patient) fix(role string, h Health) string {
	if h.Reason != inventory.ReasonAgentNotTrusted {
		return inventory.Fix(x.Datacenter, role, h.Reason)
	}
	names := make([]string, 0, len(x.Agents))
	for _, a := range x.Agents {
		names = append(names, a.GetName())
	}
	return inventory.FixOfTrust(names...)
}

// cutOff is the health of a datacenter whose agents missed heartbeats, and from which others hear nothing: unknown at first, and failing once
// its silence is proven (before says so), since two kinds of witnesses agree by then.
func cutOff(dc *isthmusv1.Datacenter, before Health, last time.Time, others []string) Health {
	const named = 5
	text := strings.Join(others[:min(len(others), named)], ", ")
	if more := len(others) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	verb := "hear"
	if len(others) == 1 {
		verb = "hears"
	}
	out := Health{
		Word: Unknown, Reason: ReasonCutOff, Since: last,
		Message: "its agents have missed heartbeats, and " + text + " " + verb + " nothing from it either: it seems to be cut off",
		Fix:     "see whether it is there and its network works; then " + inventory.Fix(dc, "", inventory.ReasonAgentOffline),
	}
	if before.Word == Unknown {
		out.Word = Failing
		out.Message = before.Message + "; and " + text + " " + verb + " nothing from it either: it is cut off, or down"
	}
	return out
}
