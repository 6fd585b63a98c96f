package datacenterstate

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Report is one part of what a datacenter's leading agent said last.
type Report[T any] struct {
	// Body is nil when there is none yet.
	Body T
	// Heard is when the agent that said it was last heard of.
	Heard time.Time
}

// Agent is one that enrolled for the datacenter, a gateway or not.
type Agent struct {
	*isthmusv1.Agent
	// Report is what it says of itself; nil: nothing yet. Heard is when it was last heard of; zero: never.
	Report *isthmusv1.AgentReport
	Heard  time.Time
	// Wanted is the digest of the desired state for the features that it has.
	Wanted string
	// Delivery is what it says of its host; nil: nothing.
	Delivery *isthmusv1.DeliveryReport
}

// Evidence is what is known of the datacenter beside the resources.
type Evidence struct {
	// Desired is everything that is wanted, whether or not its agents know how to do it.
	Desired *isthmusv1.DesiredState
	// MeshPeerings are the Peerings that want something of its mesh entry.
	MeshPeerings []string
	// Agents by name.
	Agents []Agent
	// Ages are those of all reports, by part.
	Ages []*isthmusv1.ReportAge
	// Blind is why the agent that speaks for the datacenter does not see its Consul, in one CamelCase word and a sentence; empty: it does.
	Blind, BlindMessage string

	Inventory  Report[*isthmusv1.InventoryReport]
	Peerings   Report[*isthmusv1.PeeringsReport]
	Exports    Report[*isthmusv1.ExportsReport]
	Policy     Report[*isthmusv1.PolicyReport]
	Entries    Report[*isthmusv1.EntriesReport]
	Federation Report[*isthmusv1.FederationReport]
	Rights     Report[*isthmusv1.RightsReport]
}
