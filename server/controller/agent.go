package controller

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// heard is when an agent was last heard of, and since when this term listens.
func (l *leader) heard(a *isthmusv1.Agent) inventory.Heard {
	return inventory.Heard{At: l.Observations.HeardOf(a.GetSpec().GetDatacenter(), a.GetName()), Listening: l.began}
}

// livenessChanges are the datacenters with an agent whose liveness is not what its status says. Once in a term that may be so by the time alone:
// who has not been heard of is unknown until somebody has listened for long enough, and offline from then on. All else is told by the
// observations: see livenessMoved.
func (l *leader) livenessChanges(v *snapshot.View) map[string]bool {
	out := map[string]bool{}
	if l.proven || l.now().Sub(l.began) <= resource.Silence {
		return out
	}
	l.proven = true
	for a := range resource.All[*isthmusv1.Agent](v, resource.KindAgent) {
		if l.movedLiveness(a) {
			out[a.GetSpec().GetDatacenter()] = true
		}
	}
	return out
}

// livenessMoved tells whether an agent of a datacenter has another liveness than its status says.
func (l *leader) livenessMoved(v *snapshot.View, datacenter string) bool {
	for a := range resource.AllTouching[*isthmusv1.Agent](v, resource.KindAgent, datacenter) {
		if l.movedLiveness(a) {
			return true
		}
	}
	return false
}

func (l *leader) movedLiveness(a *isthmusv1.Agent) bool {
	return l.heard(a).Liveness(l.now()) != a.GetStatus().GetLiveness()
}

// agents brings the statuses of a datacenter's agents up to date, and gives those that act in its Consul as they are then.
func (l *leader) agents(v *snapshot.View, datacenter string) (acting []*isthmusv1.Agent, out []edit) {
	for a := range resource.AllTouching[*isthmusv1.Agent](v, resource.KindAgent, datacenter) {
		seen, _ := l.Observations.Get(datacenter, observation.AgentPart(a.GetName()))
		next := resource.Clone(a)
		next.Status = inventory.Agent(a, seen.AgentReport, l.heard(a), l.now())
		if clock, known := l.Observations.Get(datacenter, observation.ClockPart(a.GetName())); known {
			next.Status.ClockSkewSeconds = int32(clock.Skew.GetSeconds())
		}
		next.Status.Conditions = resource.SetCondition(a, next.GetStatus().GetConditions(), agentReady(next, seen.AgentReport), l.now())
		if a.GetSpec().GetKind() == resource.AgentKindAgent {
			acting = append(acting, next)
		}
		if proto.Equal(a.GetStatus(), next.GetStatus()) {
			continue
		}
		var events []*isthmusv1.Event
		if was, is := a.GetStatus().GetLiveness(), next.GetStatus().GetLiveness(); was != is {
			events = append(events, l.moved(a, fmt.Sprintf("%s → %s", orNew(was), is), resource.FieldLiveness, was, is))
		}
		out = append(out, statusChange(next, events...))
	}
	return acting, out
}

func agentReady(a *isthmusv1.Agent, report *isthmusv1.AgentReport) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: resource.ConditionReady, Status: resource.ConditionFalse}
	switch {
	case a.GetStatus().GetLiveness() == resource.LivenessUnknown:
		c.Status, c.Reason, c.Message = resource.ConditionUnknown, "Unknown", "not heard of since this server listens"
	case a.GetStatus().GetLiveness() == resource.LivenessOffline:
		c.Reason, c.Message = "Offline", fmt.Sprintf("not heard of for more than %s", resource.Silence)
	case report.GetErrorReason() != "":
		c.Reason, c.Message = report.GetErrorReason(), report.GetError()
	default:
		c.Status, c.Reason, c.Message = resource.ConditionTrue, "Online", "heard of, and nothing keeps it from its work"
	}
	return c
}
