package controller

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// liveness is whether an agent is heard of: online, offline, or unknown while this term is too young to know.
func (l *leader) liveness(a *isthmusv1.Agent) string {
	heard := l.Observations.HeardOf(a.GetSpec().GetDatacenter(), a.GetName())
	switch now := l.now(); {
	case !heard.IsZero() && now.Sub(heard) <= peering.Silence:
		return resource.LivenessOnline
	case now.Sub(l.began) <= peering.Silence && a.GetStatus().GetLiveness() != resource.LivenessOffline:
		return resource.LivenessUnknown
	}
	return resource.LivenessOffline
}

// livenessChanges are the datacenters with an agent whose liveness is not what its status says.
func (l *leader) livenessChanges(v *snapshot.View) map[string]bool {
	out := map[string]bool{}
	for a := range resource.All[*isthmusv1.Agent](v, resource.KindAgent) {
		if l.liveness(a) != a.GetStatus().GetLiveness() {
			out[a.GetSpec().GetDatacenter()] = true
		}
	}
	return out
}

// agents brings the statuses of a datacenter's agents up to date.
func (l *leader) agents(v *snapshot.View, datacenter string) []change {
	var out []change
	for a := range resource.AllTouching[*isthmusv1.Agent](v, resource.KindAgent, datacenter) {
		next := resource.Clone(a)
		next.Status = l.agentStatus(a)
		if proto.Equal(a.GetStatus(), next.GetStatus()) {
			continue
		}
		var events []*isthmusv1.Event
		if was, is := a.GetStatus().GetLiveness(), next.GetStatus().GetLiveness(); was != is {
			events = append(events, l.event("transition", a, fmt.Sprintf("%s → %s", orNew(was), is)))
		}
		out = append(out, statusChange(next, events...))
	}
	return out
}

func (l *leader) agentStatus(a *isthmusv1.Agent) *isthmusv1.AgentStatus {
	next := &isthmusv1.AgentStatus{}
	if a.GetStatus() != nil {
		next = proto.CloneOf(a.GetStatus())
	}
	next.Liveness = l.liveness(a)
	if next.GetLiveness() != a.GetStatus().GetLiveness() || next.GetLivenessSince() == nil {
		next.LivenessSince = timestamppb.New(l.now())
	}
	seen, _ := l.Observations.Get(a.GetSpec().GetDatacenter(), observation.AgentPart(a.GetName()))
	report := seen.AgentReport
	if report != nil {
		next.Version, next.Features, next.Host = report.GetVersion(), report.GetFeatures(), report.GetHost()
	}
	next.Leader = report.GetLeader() && next.GetLiveness() != resource.LivenessOffline
	next.Conditions = resource.SetCondition(a, next.GetConditions(), agentReady(next.GetLiveness(), report), l.now())
	return next
}

func agentReady(liveness string, report *isthmusv1.AgentReport) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: conditionReady, Status: resource.ConditionFalse}
	switch {
	case liveness == resource.LivenessUnknown:
		c.Status, c.Reason, c.Message = resource.ConditionUnknown, "Unknown", "not heard of since this server took over"
	case liveness == resource.LivenessOffline:
		c.Reason, c.Message = "Offline", fmt.Sprintf("not heard of for more than %s", peering.Silence.Round(time.Second))
	case report.GetErrorReason() != "":
		c.Reason, c.Message = report.GetErrorReason(), report.GetError()
	default:
		c.Status, c.Reason = resource.ConditionTrue, "Online"
	}
	return c
}
