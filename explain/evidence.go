package explain

import (
	"fmt"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Evidence is what is known beside the resources.
type Evidence struct {
	// Of is what the agents of a datacenter say; the zero value: nothing.
	Of func(datacenter string) Seen
	// Connections are the verdicts on all pairs of datacenters that are connected.
	Connections []*isthmusv1.Connection
}

// Report is one part of what a datacenter's leading agent says.
type Report[T any] struct {
	// Body is nil when there is none yet.
	Body T
	// Since is since when it has been saying the same.
	Since time.Time
}

// Seen is what the agents of one datacenter said last, heard of or not.
type Seen struct {
	// Heard is when the agent that speaks for the datacenter was last heard of; zero: never.
	Heard time.Time
	// Trouble is what keeps that agent from looking at its Consul; empty: nothing.
	Trouble    string
	Inventory  Report[*isthmusv1.InventoryReport]
	Services   Report[*isthmusv1.ServicesReport]
	Peerings   Report[*isthmusv1.PeeringsReport]
	Exports    Report[*isthmusv1.ExportsReport]
	Entries    Report[*isthmusv1.EntriesReport]
	Policy     Report[*isthmusv1.PolicyReport]
	Rights     Report[*isthmusv1.RightsReport]
	Federation Report[*isthmusv1.FederationReport]
	// Gateways are the reports of its enrolled gateways that are heard of.
	Gateways []*isthmusv1.GatewayReport
}

// of is what is seen of a datacenter.
func (w *walk) of(datacenter string) Seen {
	if s, ok := w.seen[datacenter]; ok {
		return s
	}
	var s Seen
	if w.Of != nil {
		s = w.Of(datacenter)
	}
	w.seen[datacenter] = s
	return s
}

// silence is why nobody knows how a datacenter is now, with what to do about it; nil when it is known.
func (w *walk) silence(datacenter string) *finding {
	s := w.of(datacenter)
	switch {
	case s.Heard.IsZero():
		f := unknown(datacenter, "no agent of %s has been heard of: nobody knows", datacenter).
			fixed("isthmus join-token create --datacenter %s, and start isthmus agent there with it", datacenter)
		return &f
	case w.now.Sub(s.Heard) > resource.Silence:
		f := unknown(datacenter, "the agent of %s is silent: it was heard of %s ago, and what it saw then may be old", datacenter, age(w.now.Sub(s.Heard))).
			fixed("start the agent of %s, or see its log: isthmus get agents", datacenter)
		return &f
	case s.Trouble != "":
		f := unknown(datacenter, "the agent of %s cannot look: %s", datacenter, s.Trouble).fixed("see isthmus describe datacenter %s, and the agent's log", datacenter)
		return &f
	}
	return nil
}

// untold is that an agent has not told of something (yet).
func untold(datacenter, what string) finding {
	return unknown(datacenter, "the agent of %s has not told of %s yet", datacenter, what).
		fixed("it does so within seconds of its start; one of an earlier version never does: upgrade it")
}

// seenAt is a line of evidence: a fact out of a report, and how old that is.
func (w *walk) seenAt(datacenter string, since time.Time, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	heard := w.of(datacenter).Heard
	if heard.IsZero() {
		return text
	}
	ago := fmt.Sprintf("%s, %s ago", datacenter, age(w.now.Sub(heard)))
	if same := heard.Sub(since); !since.IsZero() && same >= time.Second {
		ago += ", the same for " + age(same)
	}
	return fmt.Sprintf("%s [%s]", text, ago)
}

// age is a duration for people: no finer than it matters.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return max(d, 0).Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
