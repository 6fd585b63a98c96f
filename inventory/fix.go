package inventory

import (
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// FixOfLeader is what to do where Consul servers have no leader.
const FixOfLeader = "see consul operator raft list-peers there: start servers until more than half of them run, or recover by peers.json"

// Fix is what to do about a reason for which a condition of a datacenter is not as it should be. role is its part in a federation; empty: none.
func Fix(dc *isthmusv1.Datacenter, role, reason string) string {
	name := resource.ShellWord(dc.GetName())
	switch reason {
	case ReasonReady, ReasonRemoving, ReasonNoInventory:
		return ""
	case ReasonNoAgent:
		return fmt.Sprintf("isthmus join-token create --datacenter %s, then isthmus agent with it there", name)
	case ReasonAgentOffline, ReasonAgentUnknown:
		return "start isthmus agent there, and see in its log why it does not reach the server"
	case ReasonNoLeader:
		return FixOfLeader
	case ReasonPeeringDisabled:
		return "set peering.enabled = true in the configuration of its Consul servers"
	case ReasonConnectDisabled:
		return "set connect.enabled = true in the configuration of its Consul servers"
	case ReasonAgentTooOld:
		return "upgrade the agents of " + dc.GetName()
	case ReasonStoreRestored:
		return fmt.Sprintf("see what is missing and apply it again, then isthmus datacenter confirm %s", name)
	}
	return fixOfConsul(dc.GetName(), role, reason)
}

// FixOfTrust is what to do about agents whose keys nobody has proven. The fingerprint is the one thing that tells such an agent from one that has
// taken its place, and the server may be who put it there: it is never told here. Of several, none is named: anybody may have enrolled the first.
func FixOfTrust(agents ...string) string {
	name := "NAME"
	if len(agents) == 1 {
		name = resource.ShellWord(agents[0])
	}
	return "take the fingerprint from the agent's own log on its host, not from isthmus, then isthmus agent approve " + name + " --fingerprint SHA256:…"
}

// fixOfConsul is what to do about what keeps an agent from reaching Consul, or from working there.
func fixOfConsul(datacenter, role, reason string) string {
	switch reason {
	case "ConsulUnreachable":
		return "start Consul there, or correct CONSUL_HTTP_ADDR of the agent"
	case "ConsulCertificateUntrusted":
		return "name the CA of Consul's certificate in CONSUL_CACERT of the agent"
	case "WrongConsulDatacenter":
		return fmt.Sprintf("correct CONSUL_HTTP_ADDR of the agent, or spec.consulDatacenter of Datacenter %s", datacenter)
	case "WrongConsulPartition":
		return fmt.Sprintf("correct CONSUL_PARTITION of the agent, or spec.consulPartition of Datacenter %s", datacenter)
	case "AclTokenUnknown":
		return fmt.Sprintf("give the agent a token that this Consul knows (CONSUL_HTTP_TOKEN_FILE), with the rules of %s", PolicyCommand(role))
	case "AclRuleMissing":
		return FixOfRights(role)
	}
	return "see the agent's log on its host"
}

// FixOfRights is what to do about rules that the agent's token lacks. It names no rule that the agent named: one that is not to be trusted would
// get what it asks for.
func FixOfRights(role string) string {
	return "give the policy of the agent's token the rules that " + PolicyCommand(role) +
		" prints (and --for intentions or traffic, where it shall write such policies), and no others"
}

// PolicyCommand prints the rules that agents of a datacenter with a role in a federation need; of one without: those for peerings.
func PolicyCommand(role string) string {
	if role == "" {
		role = "peering"
	}
	return "isthmus agent policy --for " + role
}
