package peering

import (
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// deleting says what the deletion of a peering waits for, when Consul is long at it.
func (v view) deleting() string {
	parts := []string{"its ends in Consul are being removed"}
	known := []*isthmusv1.PeeringEnd{v.GetStatus().GetAcceptor(), v.GetStatus().GetDialer()}
	for i, e := range []end{v.acceptor, v.dialer} {
		if e.external || !e.online() || e.Report.GetDeleted() || e.state() != StateDeleting {
			continue
		}
		if stuck := resource.StuckDeletion(e.name, known[i], v.now); stuck != "" {
			parts = append(parts, stuck)
		}
	}
	return strings.Join(parts, "; ")
}
