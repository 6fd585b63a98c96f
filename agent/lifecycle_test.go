package agent_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"isthmus/agent"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// unheeded is how long a token that was used has no effect before the test's hub makes another, as the controller does after a while
// (peering.ReasonTokenUnheeded).
const unheeded = 20 * time.Second

// healthy waits until both ends work with a token generation, and gives the one with which they do.
func (h *hub) healthy(uid string, generation int32) int32 {
	h.t.Helper()
	var a, d *isthmusv1.ObservedPeering
	defer func() {
		if h.t.Failed() {
			h.t.Logf("generation %d:\nacceptor %v\ndialer %v", generation, a, d)
		}
	}()
	began := h.now()
	eventually(h.t, "both ends work", func() bool {
		a, d = h.observed("east", uid), h.observed("west", uid)
		used := d.GetGeneration() == generation && d.GetOutcome() == "used"
		if used && a.GetState() == "PENDING" && d.GetState() == "FAILING" && h.now().Sub(began) > unheeded {
			h.t.Log("Consul does not heed the token: another")
			generation++
			h.peer(uid, "east", "west", generation)
			began = h.now()
		}
		return used && a.GetState() == "ACTIVE" && d.GetState() == "ACTIVE" && a.GetPeerId() == d.GetPeerId() &&
			a.GetHeartbeat() == "fresh" && d.GetHeartbeat() == "fresh"
	})
	return generation
}

// What consul-facts tells of peerings that went wrong, in turn, on one pair of datacenters. The hub raises the generation as
// the controller would.
func TestPeeringThroughEverythingThatGoesWrong(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	east, west := consultest.Start(t, "east"), consultest.Start(t, "west")
	h.agentOf(east)
	h.agentOf(west)
	generation := int32(3)
	next := func() {
		generation++
		h.peer("u1", "east", "west", generation)
		generation = h.healthy("u1", generation)
	}

	t.Log("a peering of that name is somebody else's")
	east.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "west", "Meta": map[string]string{"owner": "human"}}, nil)
	h.peer("u1", "east", "west", 1)
	eventually(t, "the name is taken", func() bool { return h.observed("east", "u1").GetErrorReason() == "NameTaken" })
	if p := east.Peerings()["west"]; p.Meta["owner"] != "human" || p.Meta["isthmus-uid"] != "" {
		t.Fatalf("the human's peering: %+v", p)
	}
	eventually(t, "it is shown as foreign", func() bool {
		for _, p := range h.reported("east").GetPeerings().GetPeerings() {
			if p.GetOrigin() == "foreign" && p.GetPeerName() == "west" {
				return true
			}
		}
		return false
	})
	east.Do(http.MethodDelete, "/v1/peering/west", nil, nil)
	h.healthy("u1", 1)

	t.Log("the token was used by somebody else before")
	h.edit(func() { h.hold = true })
	h.peer("u1", "east", "west", 2)
	eventually(t, "a token that nobody was told of", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 2 })
	east.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "west"}, nil) // makes the stored one void
	h.release()
	eventually(t, "refused", func() bool {
		p := h.observed("west", "u1")
		return p.GetGeneration() == 2 && p.GetOutcome() == "refused"
	})
	if p := west.Peerings()["east"]; p.State != "ACTIVE" || p.Meta["isthmus-uid"] != "u1" {
		t.Fatalf("a refused token cost the peering or its mark: %+v", p)
	}
	h.peer("u1", "east", "west", generation)
	generation = h.healthy("u1", generation)

	t.Log("the dialer is wiped")
	need(t, west.Wipe(t.Context()))
	eventually(t, "the dialer sees none", func() bool {
		p := h.observed("west", "u1")
		return p.GetState() == "" && p.GetGeneration() == generation && p.GetOutcome() == "used"
	})
	next()

	t.Log("the acceptor is wiped")
	need(t, east.Wipe(t.Context()))
	eventually(t, "the acceptor sees none", func() bool { p := h.observed("east", "u1"); return p != nil && p.GetState() == "" })
	next()

	t.Log("the dialer's end is deleted by hand: the acceptor's is TERMINATED")
	west.Do(http.MethodDelete, "/v1/peering/east", nil, nil)
	eventually(t, "terminated", func() bool { return h.observed("east", "u1").GetState() == "TERMINATED" })
	next()

	t.Log("the acceptor's end is deleted by hand: the dialer's is TERMINATED")
	east.Do(http.MethodDelete, "/v1/peering/west", nil, nil)
	eventually(t, "terminated", func() bool { return h.observed("west", "u1").GetState() == "TERMINATED" })
	next()

	t.Log("the acceptor's end is deleted while the dialer is down")
	need(t, west.Kill())
	east.Do(http.MethodDelete, "/v1/peering/west", nil, nil)
	eventually(t, "gone in the east", func() bool { return h.observed("east", "u1").GetState() == "" })
	need(t, west.Restart(t.Context()))
	next()

	t.Log("what is wanted no more stays, as an orphan")
	h.want("east")
	eventually(t, "an orphan", func() bool { return h.observed("east", "u1").GetOrigin() == "orphan" })
	if east.Peerings()["west"].State != "ACTIVE" {
		t.Fatal("an orphan was touched")
	}
}

func TestRefusedTokenLeavesNoStray(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	east, west := consultest.Start(t, "east"), consultest.Start(t, "west")
	h.agentOf(east)
	h.agentOf(west)
	h.edit(func() { h.hold = true })
	h.peer("u1", "east", "west", 1)
	eventually(t, "made", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
	east.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "west"}, nil)
	h.release()
	eventually(t, "refused, and the stray is gone", func() bool {
		p := h.observed("west", "u1")
		return p.GetOutcome() == "refused" && p.GetState() == "" && len(west.Peerings()) == 0
	})
	h.peer("u1", "east", "west", 2)
	h.healthy("u1", 2)
}

func TestExternalToken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := newHub(t)
	east := consultest.Start(t, "east")
	r := h.agentOf(east)
	item := h.acceptor("u1", "", 1)
	item.PeeringAcceptor.PeerName, item.PeeringAcceptor.ExternalDialer = "acme", "acme"
	inside := h.acceptor("u2", "north", 0)
	h.want("east", item, inside)
	eventually(t, "applied", func() bool { return h.observed("east", "u1") != nil })
	if p := h.observed("east", "u1"); p.GetState() != "" || p.GetErrorReason() != "" {
		t.Fatalf("made by itself: %v", p)
	}
	for name, request := range map[string]agent.TokenRequest{
		"neither": {Peering: "p-u1"}, "both": {Peering: "p-u1", Plain: true, Recipient: "age1x"},
		"no recipient": {Peering: "p-u1", Recipient: "bob"}, "no such": {Peering: "p-u9", Plain: true}, "inside": {Peering: "p-u2", Plain: true},
	} {
		if _, err := agent.ExternalToken(ctx, r.config, request); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	plain, err := agent.ExternalToken(ctx, r.config, agent.TokenRequest{Peering: "p-u1", Plain: true})
	need(t, err)
	other, err := age.GenerateX25519Identity()
	need(t, err)
	sealed, err := agent.ExternalToken(ctx, r.config, agent.TokenRequest{Peering: "p-u1", Recipient: other.Recipient().String()})
	need(t, err)
	opened, err := age.Decrypt(armor.NewReader(strings.NewReader(sealed)), other)
	need(t, err)
	text, err := io.ReadAll(opened)
	need(t, err)
	if plain == "" || string(text) == plain || bytes.Contains([]byte(sealed), text) {
		t.Fatal("not two tokens, or one in the clear")
	}
	h.mu.Lock()
	if len(h.external) != 2 || h.external[0].GetPayload() != nil || h.external[1].GetAttempt() != 2 {
		t.Errorf("the hub was told: %v", h.external)
	}
	h.mu.Unlock()
	west := consultest.Start(t, "west")
	west.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": "theirs", "PeeringToken": string(text)}, nil)
	eventually(t, "active at our end", func() bool { return h.observed("east", "u1").GetState() == "ACTIVE" })
	empty := r.config
	empty.DataDir = t.TempDir()
	if _, err := agent.ExternalToken(ctx, empty, agent.TokenRequest{Peering: "p-u1", Plain: true}); fault.CodeOf(err) != fault.Refused {
		t.Fatalf("without an agent: %v", err)
	}
}

// An external acceptor's token is signed by the fleet key, and by nobody else.
func TestExternalAcceptor(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	west, theirs := consultest.Start(t, "west"), consultest.Start(t, "theirs")
	h.agentOf(west)
	var made struct{ PeeringToken string }
	theirs.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "us"}, &made)
	item := h.dialer("u1", "", 1)
	item.PeeringDialer.PeerName, item.PeeringDialer.ExternalAcceptor = "acme", "acme"
	payload := h.operators(made.PeeringToken, "u1", "acme", "west", 1)
	item.PeeringDialer.SecretDigest = payload
	h.want("west", item)
	eventually(t, "active", func() bool {
		p := h.observed("west", "u1")
		return p.GetState() == "ACTIVE" && p.GetOutcome() == "used"
	})
}

// A new agent of the dialer cannot open the token that was made: until the server asks for another one, nothing is wrong.
func TestAcceptorWaitsForTheNextGeneration(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	east := consultest.Start(t, "east")
	h.agentOf(east)
	run(t, h.config("west", settings(t, nowhere)))
	h.edit(func() { h.made["u11"] = true })
	h.want("east", h.acceptor("u1", "west", 1))
	claimed := func(n int32) func() bool {
		return func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.claims["u11"] >= n }
	}
	eventually(t, "it asked again", claimed(2))
	eventually(t, "reported", func() bool { return h.observed("east", "u1") != nil })
	if p := h.observed("east", "u1"); p.GetErrorReason() != "" || p.GetError() != "" {
		t.Fatalf("waiting is reported as a failure: %v", p)
	}
	if n := len(east.Peerings()); n != 0 {
		t.Fatalf("%d peerings were made without a claim", n)
	}
	h.want("east", h.acceptor("u1", "west", 2))
	eventually(t, "the next one is made", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
}
