package agent

import (
	"isthmus/fault"
)

// lockKey is the key in Consul's KV store that the leading agent of a datacenter locks; its value is the agent's name.
const lockKey = "isthmus/leader"

// PurposePeering is the purpose of an agent that does everything this version does: peerings, exports, inventory.
const PurposePeering = "peering"

// Policy is the smallest set of Consul ACL rules (HCL) with which an agent can do its work. A test runs the whole life of a
// peering with it, and again without each rule.
func Policy(purpose string) (string, error) {
	if purpose != PurposePeering {
		return "", fault.Violated(fault.Violation{
			Field: "for", Reason: "UnknownPurpose", Message: "there are rules for " + PurposePeering + ", not for " + purpose,
		})
	}
	return `# What an isthmus agent needs of its datacenter's Consul to do peerings.
# Create and read peerings, make and use their tokens.
peering = "write"
# Merge isthmus's part into the exported-services and mesh config entries.
mesh = "write"
# Which datacenter this Consul is, its version and its switches.
agent_prefix "" { policy = "read" }
# Its servers. Without this Consul shows an empty catalog rather than an error.
node_prefix "" { policy = "read" }
# Services and their health, imported ones included.
service_prefix "" { policy = "read" }
# Several agents of one datacenter choose who acts, by a lock.
key "` + lockKey + `" { policy = "write" }
session_prefix "" { policy = "write" }
`, nil
}
