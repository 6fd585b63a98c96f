package agent

import (
	"slices"
	"strings"

	"isthmus/fault"
)

// lockKey is the key in Consul's KV store that the leading agent of a datacenter locks; its value is the agent's name.
const lockKey = "isthmus/leader"

// Purposes that there are ACL rules for.
const (
	// PurposePeering: an agent of a datacenter that is in no federation: peerings, exports, inventory.
	PurposePeering = "peering"
	// PurposePrimary: an agent of a federation's primary.
	PurposePrimary = "primary"
	// PurposeSecondary: an agent of a datacenter that is to join a federation, or has.
	PurposeSecondary = "secondary"
	// PurposeIntentions, beside one of the former: an agent that writes intentions.
	PurposeIntentions = "intentions"
	// PurposeTraffic, beside one of the former: an agent that writes where calls go.
	PurposeTraffic = "traffic"
	// PurposeHeal, beside one of the former: an agent that may transfer the leadership of the Consul servers, to heal a peering.
	PurposeHeal = "heal"
	// PurposeGateway: isthmus gateway.
	PurposeGateway = "gateway"
)

// Purposes are all of them.
func Purposes() []string {
	return []string{PurposePeering, PurposePrimary, PurposeSecondary, PurposeIntentions, PurposeTraffic, PurposeHeal, PurposeGateway}
}

// agentRules are what every agent needs.
const agentRules = `# Its servers. Without this Consul shows an empty catalog rather than an error.
node_prefix "" { policy = "read" }
# Several agents of one datacenter choose who acts, by a lock.
key "` + lockKey + `" { policy = "write" }
session_prefix "" { policy = "write" }
`

// readServices is what every agent needs that does not write there.
const readServices = `# Services and their health, imported ones included, and everybody's intentions and config entries.
service_prefix "" { policy = "read" }
`

// peeringRules are what an agent needs besides unless operator = "write", which includes the first two, and agent_prefix for writing.
const peeringRules = `# Create and read peerings, make and use their tokens.
peering = "write"
# Merge isthmus's part into the exported-services, mesh and proxy-defaults config entries.
mesh = "write"
# Which datacenter this Consul is, its version and its switches.
agent_prefix "" { policy = "read" }
`

// Policy is the smallest set of Consul ACL rules (HCL) with which an agent, or a gateway, can do its work. Tests run the work with them, and
// again without each rule.
func Policy(purpose string) (string, error) {
	switch purpose {
	case PurposePeering:
		return "# What an isthmus agent needs of its datacenter's Consul to do peerings.\n\n" + peeringRules + agentRules + readServices, nil
	case PurposePrimary:
		return `# What an isthmus agent needs of the Consul of a federation's primary. With acl = "write" it is an administrator there.

` + agentRules + `# Services and their health; write: Intentions and TrafficPolicies of the federation.
service_prefix "" { policy = "write" intentions = "write" }
# Which datacenter this Consul is, its version and its switches; write: to join servers of secondaries (mode traditional).
agent_prefix "" { policy = "write" }
# Make the tokens of each secondary, and revoke them when it leaves.
acl = "write"
# Read the gossip key, which every secondary has to have.
keyring = "read"
# Forget the servers of a secondary that left in the WAN gossip. This includes peering and mesh, for peerings and config entries.
operator = "write"
`, nil
	case PurposeSecondary:
		return `# What an isthmus agent needs of its datacenter's Consul to have it join a federation. After the join it has a token of its own.

` + peeringRules + agentRules + readServices + `# List what joining would destroy: policies, tokens (not their secrets), roles, auth methods.
acl = "read"
# Change to the primary's gossip key.
keyring = "write"
`, nil
	case PurposeIntentions:
		return `# What an isthmus agent needs, besides the rules for peering or primary, to write Intentions: a policy of its own on the same token, or added
# to them.

# Write intentions. Whoever has this decides who may call whom.
service_prefix "" { policy = "read" intentions = "write" }
`, nil
	case PurposeTraffic:
		return `# What an isthmus agent needs, besides the rules for peering or primary, to write TrafficPolicies: a policy of its own on the same token, or
# added to them.

# Write service-resolver, service-splitter, service-router and service-defaults. Consul has no narrower right for it: whoever has this can also
# register services, and get certificates in the name of any.
service_prefix "" { policy = "write" }
`, nil
	case PurposeHeal:
		return `# What an isthmus agent needs, besides the rules for peering, to transfer the leadership of the Consul servers: the last step of healing a
# peering whose stream hangs. A primary's agent has it already.

# Transfer Raft's leadership. Consul has no narrower right for it: whoever has this can also remove servers and change the mesh CA.
operator = "write"
`, nil
	case PurposeGateway:
		return `# What isthmus gateway needs of its datacenter's Consul.

# Register itself.
service "mesh-gateway" { policy = "write" }
# Which services are exported to which peers, and where peers are.
mesh = "read"
peering = "read"
# Which datacenter this Consul is, and its domain.
agent_prefix "" { policy = "read" }
# Servers, services and other datacenters' gateways. Without these Consul shows an empty catalog rather than an error.
node_prefix "" { policy = "read" }
service_prefix "" { policy = "read" }
`, nil
	}
	all := Purposes()
	slices.Sort(all)
	return "", fault.Violated(fault.Violation{
		Field: "for", Reason: "UnknownPurpose", Message: "there are rules for " + strings.Join(all, ", ") + ", not for " + purpose,
	})
}
