package observation

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// The parts of a report. Each agent has one of its own; the others are the datacenter's, from its leading agent.
const (
	PartInventory = "inventory"
	PartServices  = "services"
	PartPeerings  = "peerings"
	PartExports   = "exports"
	agentPrefix   = "agent/"
)

// AgentPart is the part in which an agent speaks of itself.
func AgentPart(agent string) string { return agentPrefix + agent }

// Seen is the last report of one part of one datacenter. What it points to is shared and never changed.
type Seen struct {
	Datacenter string
	Part       string
	// Agent that reported.
	Agent    string
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
}

// parts takes a report apart.
func parts(datacenter, agent string, r *isthmusv1.ReportRequest, now time.Time) []Seen {
	var out []Seen
	add := func(part string, body proto.Message) {
		if !body.ProtoReflect().IsValid() {
			return
		}
		s := Seen{Datacenter: datacenter, Part: part, Agent: agent, Digest: resource.Digest(body), Received: now, Heard: now}
		s.set(body)
		out = append(out, s)
	}
	add(AgentPart(agent), r.GetAgent())
	add(PartInventory, r.GetInventory())
	add(PartPeerings, r.GetPeerings())
	add(PartExports, r.GetExports())
	add(PartServices, r.GetServices())
	return out
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
	}
}

func (s *Seen) body() proto.Message {
	switch {
	case s.AgentReport != nil:
		return s.AgentReport
	case s.Inventory != nil:
		return s.Inventory
	case s.Services != nil:
		return s.Services
	case s.Peerings != nil:
		return s.Peerings
	case s.Exports != nil:
		return s.Exports
	}
	return nil
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
	}
	if strings.HasPrefix(part, agentPrefix) {
		return &isthmusv1.AgentReport{}
	}
	return nil
}

func encode(s Seen) (store.Observation, error) {
	o := store.Observation{
		Datacenter: s.Datacenter, Part: s.Part, Agent: s.Agent, Digest: s.Digest, ReceiveTime: s.Received, HeardTime: s.Heard,
	}
	body := s.body()
	if body == nil {
		return o, nil
	}
	raw, err := resource.CanonicalJSON(body)
	if err != nil {
		return o, fault.Wrap(fault.Invalid, err, "the report's part %s holds text that is not UTF-8", s.Part)
	}
	o.Body = raw
	return o, nil
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
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(o.Body, body); err != nil {
		return s, false, fmt.Errorf("reading the report %s of %s: %w", o.Part, o.Datacenter, err)
	}
	s.set(body)
	return s, true, nil
}
