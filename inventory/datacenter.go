package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Conditions of a Datacenter beside Ready: an agent is heard of, and its Consul answers and has a leader.
const (
	// ConditionAgentCurrent: its agents know everything that is wanted of them.
	ConditionAgentCurrent = "AgentCurrent"
	// ConditionRemovalsHeld: after a restore of the store, removals wait for an operator.
	ConditionRemovalsHeld = "RemovalsHeld"
)

// Reasons of the conditions of a Datacenter, beside those that agents give for what keeps them from their work (ConsulUnreachable, …).
const (
	ReasonReady           = "Ready"
	ReasonRemoving        = "Removing"
	ReasonNoAgent         = "NoAgent"
	ReasonAgentOffline    = "AgentOffline"
	ReasonAgentUnknown    = "AgentUnknown"
	ReasonNoInventory     = "NoInventory"
	ReasonNoLeader        = "NoLeader"
	ReasonPeeringDisabled = "PeeringDisabled"
	ReasonConnectDisabled = "ConnectDisabled"
	ReasonAgentTooOld     = "AgentTooOld"
	ReasonStoreRestored   = "StoreRestored"
	// ReasonAgentNotTrusted: nobody has proven the keys of its agents.
	ReasonAgentNotTrusted = "AgentNotTrusted"
)

// maxWANAddresses bounds the list of servers in a status: more than any datacenter has.
const maxWANAddresses = 16

// maxForeign bounds the list of foreign peerings in a status.
const maxForeign = 100

// Evidence is what is known of one datacenter.
type Evidence struct {
	// Agents are all that are enrolled for it, with their present statuses.
	Agents []*isthmusv1.Agent
	// Leading is what the leading agent reports of itself, or the agent heard of last when none leads; nil: nothing yet.
	Leading *isthmusv1.AgentReport
	// Inventory and Peerings are the leading agent's last reports; nil: nothing yet.
	Inventory *isthmusv1.InventoryReport
	Peerings  *isthmusv1.PeeringsReport
	// Federation is the name of the one that it is in; empty: none.
	Federation string
	// Omitted are the items that its agents are too old for.
	Omitted []string
}

// Datacenter is the next status of a datacenter. Reports of an agent that is silent stay: they are the last that is
// known, and the condition says how much they are worth.
func Datacenter(dc *isthmusv1.Datacenter, e Evidence, now time.Time) *isthmusv1.DatacenterStatus {
	next := proto.CloneOf(dc.GetStatus())
	if next == nil {
		next = &isthmusv1.DatacenterStatus{}
	}
	countAgents(next, e.Agents, now)
	if e.Inventory != nil {
		copyInventory(next, e.Inventory)
	}
	next.Federation = e.Federation
	if e.Peerings != nil {
		next.ForeignPeerings = foreign(e.Peerings)
	}
	for _, c := range Conditions(dc, next.GetAgent(), e) {
		next.Conditions = resource.SetCondition(dc, next.GetConditions(), c, now)
	}
	return next
}

// Conditions are Ready, ConditionAgentCurrent and ConditionRemovalsHeld of a datacenter whose agents are online, offline or unknown, without times.
func Conditions(dc *isthmusv1.Datacenter, liveness string, e Evidence) []*isthmusv1.Condition {
	return []*isthmusv1.Condition{ready(dc, liveness, e), current(e), held(dc, e)}
}

func countAgents(next *isthmusv1.DatacenterStatus, agents []*isthmusv1.Agent, now time.Time) {
	next.Agents, next.AgentsOnline = int32(len(agents)), 0
	liveness, lastHeard := resource.LivenessUnknown, time.Time{}
	offline := 0
	for _, a := range agents {
		switch a.GetStatus().GetLiveness() {
		case resource.LivenessOnline:
			next.AgentsOnline++
		case resource.LivenessOffline:
			offline++
			if t := a.GetStatus().GetLivenessSince().AsTime(); t.After(lastHeard) {
				lastHeard = t
			}
		}
	}
	since := now
	switch {
	case next.GetAgentsOnline() > 0:
		liveness = resource.LivenessOnline
	case offline > 0 && offline == len(agents):
		liveness, since = resource.LivenessOffline, lastHeard
	}
	if liveness != next.GetAgent() {
		next.Agent, next.AgentSince = liveness, timestamppb.New(since)
	}
}

func copyInventory(next *isthmusv1.DatacenterStatus, r *isthmusv1.InventoryReport) {
	next.ConsulVersion, next.Servers, next.Leader = r.GetConsulVersion(), r.GetServers(), r.GetLeader()
	next.AclEnabled, next.TlsEnabled, next.GossipEncrypted = r.AclEnabled, r.TlsEnabled, r.GossipEncrypted
	next.ConnectEnabled, next.PeeringEnabled = r.ConnectEnabled, r.PeeringEnabled
	next.WanMembers, next.Services, next.TrustDomain = r.GetWanMembers(), r.GetServices(), r.GetTrustDomain()
	next.CaExpireTime, next.AclReplication = r.GetCaExpireTime(), r.GetAclReplication()
	next.ConsulDomain, next.PrimaryDatacenter, next.DefaultPolicy = r.GetConsulDomain(), r.GetPrimaryDatacenter(), r.GetDefaultPolicy()
	next.DefaultIntentionPolicy, next.WanFederationEnabled = r.GetDefaultIntentionPolicy(), r.WanFederationEnabled
	next.WanAddresses = r.GetWanAddresses()[:min(len(r.GetWanAddresses()), maxWANAddresses)]
	next.RpcAddresses = r.GetRpcAddresses()[:min(len(r.GetRpcAddresses()), maxWANAddresses)]
}

func foreign(r *isthmusv1.PeeringsReport) []*isthmusv1.ForeignPeering {
	var out []*isthmusv1.ForeignPeering
	for _, p := range r.GetPeerings() {
		if p.GetOrigin() == resource.OriginForeign || p.GetOrigin() == resource.OriginOrphan {
			out = append(out, &isthmusv1.ForeignPeering{
				PeerName: p.GetPeerName(), PeerId: p.GetPeerId(), State: p.GetState(), Origin: p.GetOrigin(),
			})
		}
	}
	slices.SortFunc(out, func(a, b *isthmusv1.ForeignPeering) int { return cmp.Compare(a.GetPeerName(), b.GetPeerName()) })
	return out[:min(len(out), maxForeign)]
}

func ready(dc *isthmusv1.Datacenter, liveness string, e Evidence) *isthmusv1.Condition {
	no := func(reason, format string, args ...any) *isthmusv1.Condition {
		return &isthmusv1.Condition{
			Type: resource.ConditionReady, Status: resource.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...),
		}
	}
	unknown := func(reason, format string, args ...any) *isthmusv1.Condition {
		c := no(reason, format, args...)
		c.Status = resource.ConditionUnknown
		return c
	}
	name := dc.GetName()
	switch {
	case dc.GetStatus().GetRemoval() != nil:
		return no(ReasonRemoving, "%s", removing(dc.GetStatus().GetRemoval()))
	case len(e.Agents) == 0:
		return no(ReasonNoAgent, "no agent is enrolled: make a token with isthmus join-token create --datacenter %s", name)
	case liveness == resource.LivenessOffline:
		return unknown(ReasonAgentOffline, "its agents are silent: what is shown is the last that they saw")
	case liveness != resource.LivenessOnline:
		return unknown(ReasonAgentUnknown, "its agents have not been heard of yet")
	case e.Leading.GetErrorReason() != "":
		return no(e.Leading.GetErrorReason(), "%s", e.Leading.GetError())
	case e.Inventory == nil:
		return unknown(ReasonNoInventory, "its agent has not reported its Consul yet")
	case e.Inventory.GetLeader() == "":
		return no(ReasonNoLeader, "its Consul servers have no leader: nothing can be written there")
	case e.Inventory.PeeringEnabled != nil && !e.Inventory.GetPeeringEnabled():
		return no(ReasonPeeringDisabled, "its Consul has peering.enabled off: set it in the servers' configuration")
	case e.Inventory.ConnectEnabled != nil && !e.Inventory.GetConnectEnabled():
		return no(ReasonConnectDisabled, "its Consul has connect.enabled off: peering needs the service mesh's CA")
	}
	return &isthmusv1.Condition{
		Type: resource.ConditionReady, Status: resource.ConditionTrue, Reason: ReasonReady, Message: "its agent is heard of and its Consul answers",
	}
}

// removing says how far a removal is.
func removing(r *isthmusv1.DatacenterRemoval) string {
	step, number, of := resource.RemovalAt(r)
	if step == nil {
		return "it is being removed: nothing of it is left in the others"
	}
	text := fmt.Sprintf("it is being removed, step %d of %d, %s: %s", number, of, step.GetId(), step.GetTitle())
	if step.GetMessage() != "" {
		text += ": " + step.GetMessage()
	}
	return text
}

func current(e Evidence) *isthmusv1.Condition {
	c := &isthmusv1.Condition{
		Type: ConditionAgentCurrent, Status: resource.ConditionTrue, Reason: "Current",
		Message: "its agents know everything that is wanted of them",
	}
	unknown := append(slices.Clone(e.Omitted), e.Leading.GetUnknownItems()...)
	if len(unknown) > 0 {
		c.Status, c.Reason = resource.ConditionFalse, ReasonAgentTooOld
		c.Message = fmt.Sprintf("its agent is too old for %d items (first: %s): they stay as they are until it is upgraded",
			len(unknown), unknown[0])
	}
	return c
}

func held(dc *isthmusv1.Datacenter, e Evidence) *isthmusv1.Condition {
	c := &isthmusv1.Condition{
		Type: ConditionRemovalsHeld, Status: resource.ConditionFalse, Reason: "NothingHeld", Message: "nothing waits for an operator",
	}
	if n := e.Leading.GetHeldRemovals(); n > 0 {
		c.Status, c.Reason = resource.ConditionTrue, ReasonStoreRestored
		c.Message = fmt.Sprintf("the store was restored, and %d removals in Consul would follow: look at what is missing, then "+
			"isthmus datacenter confirm %s", n, dc.GetName())
	}
	return c
}
