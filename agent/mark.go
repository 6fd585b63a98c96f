package agent

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"isthmus/agent/consul"
)

// The mark that isthmus leaves in the Meta of what is its own.
const (
	metaManagedBy  = "managed-by"
	metaUID        = "isthmus-uid"
	metaPeering    = "isthmus-peering"
	metaGeneration = "isthmus-generation"
	managedBy      = "isthmus"
	// metaDials are the addresses, with commas, that the token had the dialer's Consul dial in place of the acceptor's servers: it does not
	// show them.
	metaDials = "isthmus-dials"
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

// markOfDialer is markOf with the addresses that a peering token carries beside those of the acceptor's servers (ServerExternalAddresses of
// Consul's API); what is no such token, or has too many for a Meta, adds nothing.
func markOfDialer(uid, peering string, generation int32, token consul.Secret) map[string]string {
	mark := markOf(uid, peering, generation)
	var says struct {
		ManualServerAddresses []string
	}
	raw, err := base64.StdEncoding.DecodeString(string(token))
	if err != nil || json.Unmarshal(raw, &says) != nil {
		return mark
	}
	if text := strings.Join(says.ManualServerAddresses, ","); text != "" && len(text) <= metaValueMax {
		mark[metaDials] = text
	}
	return mark
}

// dialled are the addresses of the acceptor that Consul dials for a peering.
func dialled(p consul.Peering) []string {
	if text := p.Meta[metaDials]; text != "" {
		return strings.Split(text, ",")
	}
	return p.ServerAddresses
}
