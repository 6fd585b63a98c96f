package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

// named is the item for another federation of the same primary, with a bundle of it.
func (s *site) named(uid string, generation int32) {
	s.t.Helper()
	s.item.Uid = uid
	b := s.bundle
	b.UID = uid
	s.sealAs(seal.Draft{
		Kind: seal.KindFederationBundle, UID: uid, From: s.primary.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: generation, TTL: time.Hour,
	}, s.primary, b)
}

// accept has the operator accept what a join would destroy now.
func (s *site) accept() {
	s.t.Helper()
	items, err := s.courier.Losses(s.t.Context())
	need(s.t, err)
	s.item.AcceptedDigest = federation.PlanDigest("f1", "dc2", federation.ActionJoin, federation.LossDigest(items))
}

// A server that names another federation for a pass makes a host forget nothing.
func TestAnotherFederationResetsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.seal(s.bundle, 5)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	s.named("f2", 1)
	s.is("refused", "OtherFederation")
	s.item.Delete = true
	s.is("refused", "OtherFederation")
	s.item.Uid, s.item.Delete = "f1", false
	s.seal(s.bundle, 4)
	if h := s.is("refused", "SecretRefused"); h.GetApplied() != 5 || s.host.restarts != 1 {
		t.Fatalf("%v after %d restarts", h, s.host.restarts)
	}
	// Nor when it has left that one.
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.primary, c.through = "dc2", false })
		return nil
	}
	s.item.Delete = true
	s.is("restarting", "ConsulNotThere")
	s.is("written", "")
	s.is("removed", "")
	s.item.Delete = false
	s.named("f2", 1)
	s.item.SecretDigest = ""
	s.is("none", "NoBundle")
	s.item.Uid = "f1"
	s.seal(s.bundle, 4)
	s.is("refused", "SecretRefused")
	s.start()
	s.is("refused", "SecretRefused")
	if s.host.restarts != 2 {
		t.Fatalf("%d restarts", s.host.restarts)
	}
}

func TestLeavingHasToBeAllowedOnTheHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	s.config.AllowJoin, s.item.Delete = nil, true
	s.start()
	if h := s.is("refused", "JoinNotAllowed"); !strings.Contains(h.GetMessage(), "--allow-join=dc1") || s.host.restarts != 1 ||
		!strings.Contains(string(s.host.content.DropIn), `"dc1"`) {
		t.Fatalf("%v after %d restarts", h, s.host.restarts)
	}
}

// A flag allows the primaries that it names. A server that sends a datacenter to another one of the fleet, whose agents are as genuine, gets
// nothing, whatever it calls that one.
func TestJoinOfAnotherPrimary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		allowed       []string
		claimed       string
		state, reason string
		says          string
	}{
		{"that is named", []string{"dc1", "dc3"}, "dc3", "restarting", "ConsulNotThere", ""},
		{"where any is", []string{agent.AnyPrimary}, "dc3", "restarting", "ConsulNotThere", ""},
		{"that is not named", []string{"dc1"}, "dc3", "refused", "JoinNotAllowed", "--allow-join=dc3"},
		{"that is not named, under a name that is", []string{"dc1"}, "dc1", "refused", "SecretRefused", "dc3"},
		{"that has no name", []string{"dc1"}, "", "refused", "JoinNotAllowed", ""},
		{"where none is", nil, "dc3", "refused", "JoinNotAllowed", "--allow-join=dc3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			other := enrolledBy(t, s.fleet, "dc3")
			s.config.AllowJoin = tt.allowed
			s.item.Primary, s.item.Senders = tt.claimed, trustedOf(other)
			s.sealAs(seal.Draft{
				Kind: seal.KindFederationBundle, UID: "f1", From: other.Agent(), FromDatacenter: "dc3", ToDatacenter: "dc2", Generation: 1, TTL: time.Hour,
			}, other, s.bundle)
			s.start()
			if h := s.is(tt.state, tt.reason); !strings.Contains(h.GetMessage(), tt.says) {
				t.Fatalf("it says %q, and not %q", h.GetMessage(), tt.says)
			}
			if joins := s.host.restarts > 0; joins != (tt.state == "restarting") {
				t.Fatalf("%d restarts", s.host.restarts)
			}
		})
	}
}

// What the server is told that the flags allow is told of the federation in question.
func TestAllowedIsReportedOfThisPrimary(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for primary, want := range map[string]bool{"dc1": true, "dc3": false} {
		s.item.Primary = primary
		state := &isthmusv1.DesiredState{Datacenter: "dc2", ConsulDatacenter: "dc2", Items: []*isthmusv1.DesiredItem{{FederationSecondary: s.item}}}
		if got := s.courier.Deliver(t.Context(), state, true).GetAllowJoin(); got != want {
			t.Errorf("%s: allowed is %t", primary, got)
		}
	}
}

// Who had a Consul has something to lose, whatever of it can be read, and also when this agent has never seen it.
func TestSilentConsulThatRanBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.item.Join = false
	s.is("none", "") // no mesh, no CA
	s.item.Join = true
	s.consul.set(func(c *simConsul) { c.down = true })
	s.start()
	s.is("none", "ConsulNotThere")

	s = newSite(t)
	s.item.Fresh = false
	s.consul.set(func(c *simConsul) { c.down = true })
	s.is("refused", "LossUnknown")
	if s.host.content.DropIn != nil || s.host.restarts != 0 {
		t.Fatal("it was written")
	}
	s.consul.set(func(c *simConsul) { c.down = false })
	s.is("restarting", "ConsulNotThere")
}

// Who was a member by hand leaves by hand: its tokens are not revoked before.
func TestAdoptedMemberLeavesByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.consul.set(func(c *simConsul) { c.primary, c.through = "dc1", true })
	s.is("applied", "")
	if h := s.is("applied", ""); h.GetApplied() != 1 || s.host.content.DropIn != nil || s.host.restarts != 0 {
		t.Fatalf("%v", h)
	}
	s.item.Delete = true
	s.is("refused", "ConfigEntryByHand")
	s.start()
	s.is("refused", "ConfigEntryByHand")
	s.consul.set(func(c *simConsul) { c.down = true })
	s.is("applied", "ConsulNotThere")
	s.consul.set(func(c *simConsul) { c.down, c.primary, c.through = false, "dc2", false })
	s.is("removed", "")
	if s.host.restarts != 0 {
		t.Fatal("it was restarted")
	}
}

// Until Consul has been restarted, what was accepted is compared again and again.
func TestAcceptanceIsVoidUntilTheRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.canRestart = false
	s.is("restart-required", "RestartRequired")
	s.consul.set(func(c *simConsul) { c.connect = true }) // something more to lose
	s.is("refused", "LossNotAccepted")
	if s.host.content.DropIn != nil || s.host.pending != 0 {
		t.Fatalf("it is still there: %s", s.host.content.DropIn)
	}
	s.accept()
	s.is("restart-required", "RestartRequired")
	// The server has turned back.
	s.item.Join = false
	s.is("none", "")
	if s.host.content.DropIn != nil {
		t.Fatalf("it is still there: %s", s.host.content.DropIn)
	}
	s.item.Join = true
	s.is("restart-required", "RestartRequired")
	s.start()
	s.consul.set(func(c *simConsul) { c.primary, c.through = "dc1", true })
	s.is("applied", "")
	s.consul.set(func(c *simConsul) { c.primary = "dc2" }) // too late
	s.is("applied", "")
}

// A crash after the first thing was destroyed asks nobody to accept again, and the other hosts wait for the leader meanwhile.
func TestCrashAfterTheFirstLoss(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.consul.set(func(c *simConsul) {
		c.connect, c.cut = true, true
		c.exports = []any{map[string]any{"Kind": "exported-services", "Name": "default", "ModifyIndex": 1, "Services": []any{
			map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "east"}}},
		}}}
	})
	s.accept()
	if h := s.pass(); h.GetWritten() != 0 || h.GetReason() == "" {
		t.Fatalf("%v", h)
	}
	own := s.dir
	s.dir, s.follower = t.TempDir(), true
	s.start()
	s.is("none", "WaitingForLeader")
	s.item.UnderWay = true
	s.is("restarting", "ConsulNotThere")
	s.item.UnderWay, s.dir, s.follower = false, own, false
	s.consul.set(func(c *simConsul) { c.primary, c.through = "dc2", false })
	s.host.content.DropIn = nil
	s.start()
	s.is("restarting", "ConsulNotThere")
}

// A datacenter that cannot be given a mesh CA of its own has not left, and says why; what somebody gives it by hand will do.
func TestLeavesWithAMeshOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bundle.Tokens.Replication = "00000000-aaaa-0000-0000-000000000001"
	s.seal(s.bundle, 1)
	s.is("restarting", "ConsulNotThere")
	s.consul.set(func(c *simConsul) { c.connect = true })
	s.clock = s.clock.Add(time.Minute)
	s.is("applied", "")
	file := filepath.Join(s.dir, "federation-leave-token")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.primary, c.through = "dc2", false })
		return nil
	}
	s.item = &isthmusv1.FederationSecondary{Uid: "f1", Federation: "global", Primary: "dc1", PrimaryConsulDatacenter: "dc1", Delete: true}
	s.payload = nil // nobody has the bundle any more
	s.is("restarting", "ConsulNotThere")
	s.is("written", "")
	s.pass()
	s.clock = s.clock.Add(10 * time.Minute)
	if h := s.is("refused", "MeshCAOfPrimary"); !strings.Contains(h.GetMessage(), "set-config") {
		t.Fatal(h)
	}
	s.consul.set(func(c *simConsul) { c.root = newServerCA(t, s.clock, time.Hour, nil).text(t) })
	s.is("removed", "")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the token is still there: %v", err)
	}
}
