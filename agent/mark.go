package agent

import (
	"strconv"

	"isthmus/agent/consul"
)

// The mark that isthmus leaves in the Meta of what is its own.
const (
	metaManagedBy  = "managed-by"
	metaUID        = "isthmus-uid"
	metaPeering    = "isthmus-peering"
	metaGeneration = "isthmus-generation"
	managedBy      = "isthmus"
)

// markOf is the Meta of one end of a peering. Consul overwrites Meta with every Establish, so it is always all of it.
func markOf(uid, peering string, generation int32) map[string]string {
	return map[string]string{
		metaManagedBy: managedBy, metaUID: uid, metaPeering: peering,
		metaGeneration: strconv.Itoa(int(generation)),
	}
}

// uidOf is the uid in a peering's mark; empty for one that isthmus did not make.
func uidOf(p consul.Peering) string {
	if p.Meta[metaManagedBy] != managedBy {
		return ""
	}
	return p.Meta[metaUID]
}

// markedGeneration is the generation in the mark; 0 when there is none.
func markedGeneration(p consul.Peering) int32 {
	n, err := strconv.ParseInt(p.Meta[metaGeneration], 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}
