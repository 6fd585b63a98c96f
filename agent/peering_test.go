package agent_test

import (
	"net/http"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// exports is the item that offers services to peers.
func exports(services ...*isthmusv1.ExportedService) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: "exported-services", Type: "exported-services", ExportedServices: &isthmusv1.ExportedServices{Services: services}}
}

func TestPeeringFromDesiredStateToImportedService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	east, west := consultest.Start(t, "east"), consultest.Start(t, "west")
	east.Register("web")
	h.agentOf(east)
	h.agentOf(west)
	h.want("east", h.acceptor("u1", "west", 1), exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}))
	h.want("west", h.dialer("u1", "east", 1))
	eventually(t, "both ends healthy", func() bool {
		a, d := h.observed("east", "u1"), h.observed("west", "u1")
		return a.GetState() == "ACTIVE" && d.GetState() == "ACTIVE" && a.GetPeerId() == d.GetPeerId() &&
			a.GetHeartbeat() == "fresh" && d.GetHeartbeat() == "fresh" && d.GetOutcome() == "used" && d.GetGeneration() == 1 && a.GetGeneration() == 1
	})
	eventually(t, "web imported", func() bool { return west.Healthy("web", "east") == 1 })
	if meta := west.Peerings()["east"].Meta; meta["managed-by"] != "isthmus" || meta["isthmus-uid"] != "u1" || meta["isthmus-generation"] != "1" {
		t.Fatalf("mark: %v", meta)
	}
	// Rotated: the peering keeps its id and is active with the next token.
	id := east.Peerings()["west"].ID
	h.want("east", h.acceptor("u1", "west", 2))
	h.want("west", h.dialer("u1", "east", 2))
	eventually(t, "the second token used", func() bool { return h.observed("west", "u1").GetGeneration() == 2 })
	if now := east.Peerings()["west"].ID; now != id {
		t.Fatalf("rotation made another peering: %s, before %s", now, id)
	}
	// No item for exports is no order; an empty one takes isthmus's own back.
	if west.Healthy("web", "east") != 1 {
		t.Fatal("web is gone")
	}
	h.want("east", h.acceptor("u1", "west", 2), exports())
	eventually(t, "web withdrawn", func() bool { return west.Healthy("web", "east") == 0 })
	// Deleted at both ends.
	for dc, item := range map[string]*isthmusv1.DesiredItem{"east": h.acceptor("u1", "west", 2), "west": h.dialer("u1", "east", 2)} {
		if item.GetPeeringAcceptor() != nil {
			item.PeeringAcceptor.Delete = true
		} else {
			item.PeeringDialer.Delete = true
		}
		h.want(dc, item)
	}
	eventually(t, "both ends deleted", func() bool {
		return h.observed("east", "u1").GetDeleted() && h.observed("west", "u1").GetDeleted()
	})
	if n := len(east.Peerings()) + len(west.Peerings()); n != 0 {
		t.Fatalf("%d peerings left", n)
	}
	var entries []any
	east.Do(http.MethodGet, "/v1/config/exported-services", nil, &entries)
	if len(entries) != 0 {
		t.Fatalf("the entry that isthmus created is left: %v", entries)
	}
}
