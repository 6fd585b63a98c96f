package observation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// The parts of a report. Each agent has some of its own; the others are the datacenter's, from its leading agent.
const (
	PartInventory = "inventory"
	PartServices  = "services"
	PartPeerings  = "peerings"
	PartExports   = "exports"
	// PartFederation is what the leading agent saw of its datacenter's federation.
	PartFederation = "federation"
	// PartPolicy is what came of the config entries in the desired state; PartEntries what Consul's config entries say, everybody's;
	// PartRights what the agent's Consul token may not do.
	PartPolicy  = "policy"
	PartEntries = "entries"
	PartRights  = "rights"

	agentPrefix    = "agent/"
	deliveryPrefix = "delivery/"
	gatewayPrefix  = "gateway/"
	clockPrefix    = "clock/"
)

// AgentPart is the part in which an agent speaks of itself.
func AgentPart(agent string) string { return agentPrefix + agent }

// DeliveryPart is the part in which an agent speaks of its host.
func DeliveryPart(agent string) string { return deliveryPrefix + agent }

// GatewayPart is the part in which a gateway speaks of itself.
func GatewayPart(agent string) string { return gatewayPrefix + agent }

// ClockPart is the part that says how far an agent's clock is from this server's.
func ClockPart(agent string) string { return clockPrefix + agent }

// agentOf is the agent whose own a part is.
func agentOf(part string) (string, bool) {
	for _, prefix := range []string{agentPrefix, deliveryPrefix, gatewayPrefix, clockPrefix} {
		if agent, ok := strings.CutPrefix(part, prefix); ok {
			return agent, true
		}
	}
	return "", false
}

// Seen is the last report of one part of one datacenter. What it points to is shared and never changed.
type Seen struct {
	Datacenter string
	Part       string
	// Agent that reported.
	Agent string
	// Digest and Received are of the report; empty and zero when there is none yet.
	Digest   string
	Received time.Time
	// Heard is when the reporter was last heard of.
	Heard time.Time

	// Exactly one is set, by Part; none when the agent was heard of and has not reported.
	AgentReport *isthmusv1.AgentReport
	Inventory   *isthmusv1.InventoryReport
	Services    *isthmusv1.ServicesReport
	Peerings    *isthmusv1.PeeringsReport
	Exports     *isthmusv1.ExportsReport
	Federation  *isthmusv1.FederationReport
	Delivery    *isthmusv1.DeliveryReport
	Gateway     *isthmusv1.GatewayReport
	Policy      *isthmusv1.PolicyReport
	Entries     *isthmusv1.EntriesReport
	Rights      *isthmusv1.RightsReport
	// Skew is how far the agent's clock is ahead of the server's (behind: negative), in whole seconds.
	Skew *durationpb.Duration
}

// said is one part of a report and its form in the store.
type said struct {
	Seen
	body []byte
}

// parts takes a report apart. What cannot be stored is Invalid: an agent may send times that are none.
func parts(datacenter, agent string, r *isthmusv1.ReportRequest, now time.Time) ([]said, error) {
	var out []said
	for _, p := range []struct {
		name, field string
		body        proto.Message
	}{
		{AgentPart(agent), "agent", r.GetAgent()},
		{PartInventory, "inventory", r.GetInventory()},
		{PartPeerings, "peerings", r.GetPeerings()},
		{PartExports, "exports", r.GetExports()},
		{PartServices, "services", r.GetServices()},
		{PartFederation, "federation", r.GetFederation()},
		{DeliveryPart(agent), "delivery", r.GetDelivery()},
		{GatewayPart(agent), "gateway", r.GetGateway()},
		{PartPolicy, "policy", r.GetPolicy()},
		{PartEntries, "entries", r.GetEntries()},
		{PartRights, "rights", r.GetRights()},
	} {
		if !p.body.ProtoReflect().IsValid() {
			continue
		}
		s, err := newSaid(key{datacenter, p.name}, agent, p.body, now)
		if err != nil {
			invalid := fault.Violated(fault.Violation{Field: p.field, Reason: "Invalid", Message: "holds a text that is not UTF-8, or a time that is none"})
			invalid.Cause = err
			return nil, invalid
		}
		out = append(out, s)
	}
	return out, nil
}

// ReportsOf is a digest of all parts that an agent has reported, as resource.ReportDigest makes it; empty: nothing.
func (t *Table) ReportsOf(datacenter, agent string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	digests := map[string]string{}
	for _, p := range []struct{ name, field string }{
		{AgentPart(agent), "agent"},
		{PartInventory, "inventory"},
		{PartPeerings, "peerings"},
		{PartExports, "exports"},
		{PartServices, "services"},
		{PartFederation, "federation"},
		{DeliveryPart(agent), "delivery"},
		{GatewayPart(agent), "gateway"},
		{PartPolicy, "policy"},
		{PartEntries, "entries"},
		{PartRights, "rights"},
	} {
		if s, ok := t.rows[key{datacenter, p.name}]; ok && s.Agent == agent && s.Digest != "" {
			digests[p.field] = s.Digest
		}
	}
	return resource.ReportDigest(digests)
}

// newSaid is one part with the form that it has in the store.
func newSaid(of key, agent string, body proto.Message, now time.Time) (said, error) {
	form, err := resource.CanonicalJSON(body)
	if err != nil {
		return said{}, err
	}
	sum := sha256.Sum256(form)
	s := said{Seen: Seen{Datacenter: of.datacenter, Part: of.part, Agent: agent, Digest: hex.EncodeToString(sum[:]), Received: now, Heard: now}, body: form}
	s.set(body)
	return s, nil
}

func (s *Seen) set(body proto.Message) {
	switch body := body.(type) {
	case *isthmusv1.AgentReport:
		s.AgentReport = body
	case *isthmusv1.InventoryReport:
		s.Inventory = body
	case *isthmusv1.ServicesReport:
		s.Services = body
	case *isthmusv1.PeeringsReport:
		s.Peerings = body
	case *isthmusv1.ExportsReport:
		s.Exports = body
	case *isthmusv1.FederationReport:
		s.Federation = body
	case *isthmusv1.DeliveryReport:
		s.Delivery = body
	case *isthmusv1.GatewayReport:
		s.Gateway = body
	case *isthmusv1.PolicyReport:
		s.Policy = body
	case *isthmusv1.EntriesReport:
		s.Entries = body
	case *isthmusv1.RightsReport:
		s.Rights = body
	case *durationpb.Duration:
		s.Skew = body
	}
}

// newBody is an empty message for a part; nil for one that this version does not know.
func newBody(part string) proto.Message {
	switch part {
	case PartInventory:
		return &isthmusv1.InventoryReport{}
	case PartServices:
		return &isthmusv1.ServicesReport{}
	case PartPeerings:
		return &isthmusv1.PeeringsReport{}
	case PartExports:
		return &isthmusv1.ExportsReport{}
	case PartFederation:
		return &isthmusv1.FederationReport{}
	case PartPolicy:
		return &isthmusv1.PolicyReport{}
	case PartEntries:
		return &isthmusv1.EntriesReport{}
	case PartRights:
		return &isthmusv1.RightsReport{}
	}
	switch {
	case strings.HasPrefix(part, agentPrefix):
		return &isthmusv1.AgentReport{}
	case strings.HasPrefix(part, deliveryPrefix):
		return &isthmusv1.DeliveryReport{}
	case strings.HasPrefix(part, gatewayPrefix):
		return &isthmusv1.GatewayReport{}
	case strings.HasPrefix(part, clockPrefix):
		return &durationpb.Duration{}
	}
	return nil
}

// encode is a row of the store; without a body it only says when the reporter was heard of.
func encode(s Seen, body []byte) store.Observation {
	return store.Observation{
		Datacenter: s.Datacenter, Part: s.Part, Agent: s.Agent, Digest: s.Digest, Body: body, ReceiveTime: s.Received, HeardTime: s.Heard,
	}
}

// decode reads what this or another version stored; a part of a later version is left out.
func decode(o store.Observation) (Seen, bool, error) {
	s := Seen{
		Datacenter: o.Datacenter, Part: o.Part, Agent: o.Agent, Digest: o.Digest, Received: o.ReceiveTime, Heard: o.HeardTime,
	}
	body := newBody(o.Part)
	if body == nil {
		return s, false, nil
	}
	if len(o.Body) == 0 {
		return s, true, nil
	}
	if err := decodeBody(o, body); err != nil {
		return s, false, err
	}
	s.set(body)
	return s, true, nil
}

func decodeBody(o store.Observation, into proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(o.Body, into); err != nil {
		return fmt.Errorf("reading the report %s of %s: %w", o.Part, o.Datacenter, err)
	}
	return nil
}
