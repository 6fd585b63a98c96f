package federation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Conditions of a Federation beside Ready.
const (
	// ConditionRestartRequired: somebody has to restart Consul servers, since no agent may.
	ConditionRestartRequired = "RestartRequired"
	// ConditionLossesAccepted: nobody is asked to accept that anything is destroyed.
	ConditionLossesAccepted = "LossesAccepted"
	// ConditionNetwork: Consul's three requirements of the network hold, as far as they could be tried.
	ConditionNetwork = "NetworkReady"
)

func (j *judge) conditions() []*isthmusv1.Condition {
	return []*isthmusv1.Condition{j.ready(), j.restarts(), j.losses(), j.network()}
}

func condition(kind, status, reason, format string, args ...any) *isthmusv1.Condition {
	return &isthmusv1.Condition{Type: kind, Status: status, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// ready sums up: what needs a person first, then what has failed, then what is under way, then what is not known.
func (j *judge) ready() *isthmusv1.Condition {
	if j.GetDeleteTime() != nil {
		text := "nothing is left of it"
		if m := j.urgent(); m != nil {
			text = m.GetDatacenter() + ": " + m.GetMessage()
		}
		return condition(resource.ConditionReady, resource.ConditionFalse, "Deleting", "%s", text)
	}
	m := j.urgent()
	prefix := fmt.Sprintf("%d of %d secondaries have joined", j.next.GetJoined(), j.next.GetSecondaries())
	if m != nil {
		status := resource.ConditionFalse
		if m.GetPhase() == resource.PhaseJoined && slices.Contains([]string{ReasonAgentSilent, ReasonReplicating}, m.GetReason()) {
			status = resource.ConditionUnknown
		}
		return condition(resource.ConditionReady, status, m.GetReason(), "%s; %s: %s", prefix, m.GetDatacenter(), m.GetMessage())
	}
	if j.next.GetSecondaries() == 0 {
		return condition(resource.ConditionReady, resource.ConditionTrue, "NoSecondaries", "the primary is ready, and nobody else is to be in it")
	}
	return condition(resource.ConditionReady, resource.ConditionTrue, ReasonJoined, "%s, each read from the primary and reading it", prefix)
}

// urgent is the member that keeps the federation from being ready, the one that needs a person most; nil: there is none.
func (j *judge) urgent() *isthmusv1.FederationMember {
	var worst *isthmusv1.FederationMember
	for _, m := range j.next.GetMembers() {
		if rank := urgency(m); rank > 0 && (worst == nil || rank > urgency(worst)) {
			worst = m
		}
	}
	return worst
}

func urgency(m *isthmusv1.FederationMember) int {
	calm := slices.Contains([]string{
		"", ReasonConnecting, ReasonDelivering, ReasonBundle, ReasonTrust, ReasonPrimaryNotReady, ReasonChangingMode, ReasonLeaving, ReasonRevoking, ReasonUndoing,
		ReasonReplicating, ReasonUpdating,
	}, m.GetReason())
	switch m.GetPhase() {
	case resource.PhaseBlocked:
		if m.GetReason() == ReasonPrimaryNotReady {
			return 8 // the primary itself says it better
		}
		return 10
	case resource.PhaseJoined:
		switch m.GetReason() {
		case ReasonJoined, ReasonOneWay, ReasonUpdating, ReasonRestartRequired:
			return 0 // it works; for restarts there is another condition
		case ReasonAgentSilent:
			return 2
		case ReasonReplicating:
			return 3
		}
		return 9
	case resource.PhaseWaiting:
		return 6
	}
	if calm {
		return 5
	}
	return 7
}

func (j *judge) restarts() *isthmusv1.Condition {
	var hosts []string
	for _, m := range j.next.GetMembers() {
		for _, h := range m.GetHosts() {
			if h.GetState() == resource.DeliveryRestartRequired {
				hosts = append(hosts, m.GetDatacenter()+"/"+cmp.Or(h.GetHost(), h.GetAgent()))
			}
		}
	}
	if len(hosts) == 0 {
		return condition(ConditionRestartRequired, resource.ConditionFalse, "NothingToRestart", "no Consul server waits for a person to restart it")
	}
	return condition(ConditionRestartRequired, resource.ConditionTrue, ReasonRestartRequired, "restart Consul, one server at a time, on %s", strings.Join(hosts, ", "))
}

func (j *judge) losses() *isthmusv1.Condition {
	var names []string
	for _, m := range j.next.GetMembers() {
		if m.GetPlanDigest() != "" && !m.GetAccepted() {
			names = append(names, m.GetDatacenter())
		}
	}
	if len(names) == 0 {
		return condition(ConditionLossesAccepted, resource.ConditionTrue, "NothingToAccept", "nothing is to be destroyed that nobody has accepted")
	}
	return condition(ConditionLossesAccepted, resource.ConditionFalse, ReasonLossNotAccepted, "joining destroys what is in %s: isthmus federation plan %s",
		strings.Join(names, ", "), j.GetName())
}

func (j *judge) network() *isthmusv1.Condition {
	tried := 0
	for _, c := range j.next.GetChecks() {
		if !slices.Contains([]string{CheckReachesPrimary, CheckGatewayReachable, CheckKubernetesAPI}, c.GetId()) {
			continue
		}
		switch c.GetVerdict() {
		case resource.CheckFail:
			return condition(ConditionNetwork, resource.ConditionFalse, c.GetId(), "%s. %s", c.GetMessage(), c.GetFix())
		case resource.CheckPass:
			tried++
		}
	}
	if tried == 0 {
		return condition(ConditionNetwork, resource.ConditionUnknown, "NotTried", "nobody has tried yet to reach another datacenter")
	}
	return condition(ConditionNetwork, resource.ConditionTrue, "Reachable", "who was tried was reached")
}
