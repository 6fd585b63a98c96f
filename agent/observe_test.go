package agent_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/agent"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	never := time.Duration(-1)
	at := func(ago time.Duration) time.Time {
		if ago == never {
			return time.Time{}
		}
		return now.Add(-ago)
	}
	for _, c := range []struct {
		name                        string
		active, heartbeat, received time.Duration
		want                        string
	}{
		{"as it should be", time.Hour, 14 * time.Second, 14 * time.Second, "fresh"},
		{"the last heartbeat is too old", time.Hour, 21 * time.Second, 21 * time.Second, "stale"},
		{"a new stream, before its first heartbeat", 14 * time.Second, never, 14 * time.Second, "fresh"},
		{"a new stream on which nothing comes", 14 * time.Second, never, never, "never"},
		{"a stream on which nothing ever came", 21 * time.Second, never, never, "stale"},
		{"Consul calls it ACTIVE, received something once, and then nothing", 30 * time.Second, never, 30 * time.Second, "stale"},
		{"a stream that broke and came again before its heartbeat", time.Hour, 30 * time.Second, 5 * time.Second, "fresh"},
		{"after a long outage, a moment ago", 5 * time.Second, time.Hour, 5 * time.Second, "fresh"},
		{"it receives errors, or breaks again and again, and no heartbeat", time.Hour, 50 * time.Second, time.Second, "stale"},
		{"it receives, and never a heartbeat", 50 * time.Second, never, time.Second, "stale"},
		{"nobody has used its token", never, never, never, "never"},
		{"disconnected", never, time.Minute, time.Minute, "stale"},
	} {
		if got := agent.Heartbeat(at(c.active), at(c.heartbeat), at(c.received), now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNamesDigest(t *testing.T) {
	t.Parallel()
	if agent.NamesDigest() != "" || agent.NamesDigest("a", "b") != agent.NamesDigest("b", "a") || agent.NamesDigest("a", "b") == agent.NamesDigest("a") {
		t.Error("a digest is one of the names, whatever their order")
	}
}

// What both ends of a real peering tell of themselves: names, roots, whether the peer's servers can be dialled; and a transfer of leadership
// that cannot be, which is tried once and told.
func TestPeeringsAreObserved(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a, d := consultest.Start(t, "east"), consultest.Start(t, "west")
	a.Register("web")
	a.Do(http.MethodPut, "/v1/config", map[string]any{
		"Kind": "exported-services", "Name": "default", "Services": []any{map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "west"}}}},
	}, nil)
	h.agentOf(a)
	dialer := h.agentOf(d)
	h.want("east", h.acceptor("u1", "west", 1))
	h.want("west", h.dialer("u1", "east", 1))
	end := func(datacenter string) *isthmusv1.ObservedPeering { return h.observed(datacenter, "u1") }
	eventually(t, "what one exports the other imports, and its servers are dialled", func() bool {
		from, to := end("east"), end("west")
		return from.GetExportedServices() == 1 && from.GetExportedDigest() == agent.NamesDigest("web") && to.GetImportedDigest() == from.GetExportedDigest() &&
			to.GetHeartbeat() == "fresh" && from.GetHeartbeat() == "fresh" && len(to.GetDials()) == 1 && to.GetDials()[0].GetOk()
	})
	if from := end("east"); from.GetHeartbeatTime() != nil || from.GetSendTime() != nil || len(from.GetDials()) > 0 {
		t.Errorf("times of what is fresh, or dials of who does not dial: %v", from)
	}
	eventually(t, "each end trusts the other one's mesh CA", func() bool {
		roots := func(dc string) string { return strings.Join(h.reported(dc).GetInventory().GetCaRoots(), " ") }
		return roots("east") != "" && strings.Join(end("west").GetPeerRoots(), " ") == roots("east") && strings.Join(end("east").GetPeerRoots(), " ") == roots("west")
	})

	item := h.dialer("u1", "east", 1)
	item.PeeringDialer.LeaderTransfer = 3
	h.want("west", item)
	eventually(t, "the transfer was tried, and the missing rule is named", func() bool {
		p := end("west")
		return p.GetLeaderTransfer() == 3 && strings.Contains(p.GetLeaderTransferError(), `operator = "write"`)
	})
	token := d.MintToken("heals", dialerRules(t))
	run(t, h.config("west", settings(t, d.Env(token)...)))
	dialer.stop()
	item = proto.CloneOf(item) // the hub reads the one that it has
	item.PeeringDialer.LeaderTransfer = 4
	h.want("west", item)
	eventually(t, "there is nobody to transfer it to", func() bool {
		p := end("west")
		return p.GetLeaderTransfer() == 4 && strings.Contains(p.GetLeaderTransferError(), "cannot find peer")
	})
}

func dialerRules(t *testing.T) string {
	t.Helper()
	out := ""
	for _, purpose := range []string{agent.PurposePeering, agent.PurposeHeal} {
		rules, err := agent.Policy(purpose)
		need(t, err)
		out += rules
	}
	return out
}
