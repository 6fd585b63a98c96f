package agent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

// simConsul answers what a Consul server would, as far as a courier asks.
type simConsul struct {
	mu      sync.Mutex
	down    bool
	leader  string
	peers   int
	well    int
	denied  bool
	root    string
	connect bool
	primary string
	through bool
	// gateways are the primary's that it runs with.
	gateways []string
	// exports are exported-services entries. Whoever deletes one gets no answer while cut is true.
	exports []any
	cut     bool
}

func (s *simConsul) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer any
	switch {
	case s.down:
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/v1/status/leader":
		answer = s.leader
	case r.URL.Path == "/v1/status/peers":
		answer = slices.Repeat([]string{"10.0.0.1:8300"}, s.peers)
	case s.denied:
		http.Error(w, "ACL not found", http.StatusForbidden)
		return
	case r.URL.Path == "/v1/agent/self":
		answer = map[string]any{
			"Config":      map[string]any{"Datacenter": "dc2", "NodeName": "s1", "Version": "1.20.6", "Server": true},
			"DebugConfig": map[string]any{"ConnectEnabled": s.connect, "PrimaryDatacenter": s.primary, "ConnectMeshGatewayWANFederationEnabled": s.through, "PrimaryGateways": s.gateways},
		}
	case r.URL.Path == "/v1/health/service/consul":
		list := []any{}
		for range s.well {
			list = append(list, map[string]any{"Node": map[string]any{"Node": "s"}, "Service": map[string]any{"Service": "consul"}, "Checks": []any{map[string]any{"Status": "passing"}}})
		}
		answer = list
	case r.URL.Path == "/v1/connect/ca/roots":
		answer = map[string]any{"ActiveRootID": "r", "TrustDomain": "td.consul", "Roots": []any{map[string]any{"ID": "r", "RootCert": s.root}}}
	case r.Method == http.MethodDelete && r.URL.Path == "/v1/config/exported-services/default":
		s.exports = nil
		if s.cut {
			panic(http.ErrAbortHandler)
		}
		answer = true
	case r.URL.Path == "/v1/config/exported-services":
		answer = append([]any{}, s.exports...)
	case strings.HasPrefix(r.URL.Path, "/v1/config/"), r.URL.Path == "/v1/peerings":
		answer = []any{}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("X-Consul-Index", "1")
	_ = json.NewEncoder(w).Encode(answer)
}

func nullLog() hclog.Logger { return hclog.NewNullLogger() }

func (s *simConsul) set(change func(*simConsul)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// simHost is a host that notes what is done to it.
type simHost struct {
	content  delivery.Content
	pending  delivery.Effect
	restarts int
	// restart is what the command does.
	restart    func() error
	canRestart bool
	refuse     error
}

func (h *simHost) CanWrite() bool   { return true }
func (h *simHost) CanRestart() bool { return h.canRestart }
func (h *simHost) Files() federation.TLSFiles {
	return federation.TLSFiles{CA: "/x/ca", Cert: "/x/cert", Key: "/x/key"}
}

func (h *simHost) Put(_ context.Context, c delivery.Content) (delivery.Effect, error) {
	if h.refuse != nil {
		return 0, h.refuse
	}
	switch {
	case federation.NeedsRestart(h.content.DropIn, c.DropIn):
		h.pending = delivery.EffectRestart
	case string(h.content.CA)+string(h.content.Cert)+string(h.content.Key)+string(h.content.DropIn) != string(c.CA)+string(c.Cert)+string(c.Key)+string(c.DropIn):
		h.pending = max(h.pending, delivery.EffectReload)
	}
	h.content = c
	return h.pending, nil
}

func (h *simHost) Clear(ctx context.Context) (delivery.Effect, error) {
	return h.Put(ctx, delivery.Content{})
}
func (h *simHost) Done(context.Context) error { h.pending = delivery.EffectNone; return nil }

func (h *simHost) Carry(_ context.Context, effect delivery.Effect) error {
	if effect == delivery.EffectReload {
		return nil
	}
	h.restarts++
	return h.restart()
}

// site is one host of dc2, whose agent can be started again at any time.
type site struct {
	t       *testing.T
	consul  *simConsul
	host    *simHost
	client  *consul.Client
	fleet   *identity.FleetKey
	id      *identity.Identity
	primary *identity.Identity
	dir     string
	clock   time.Time
	item    *isthmusv1.FederationSecondary
	payload *isthmusv1.SealedPayload
	courier *agent.Courier
	// config are the agent's flags; follower: another agent leads.
	config   agent.FederationConfig
	follower bool
	// turns are the takings and endings; grant answers takings.
	turns  []string
	grant  func() (*isthmusv1.TakeTurnResponse, error)
	ca     *serverCA
	bundle federation.Bundle
}

func newSite(t *testing.T) *site {
	t.Helper()
	fleet, err := identity.NewFleetKey()
	need(t, err)
	s := &site{
		t: t, consul: &simConsul{leader: "10.0.0.1:8300", peers: 3, well: 3, primary: "dc2", gateways: []string{"10.0.0.20:8443"}}, host: &simHost{canRestart: true}, fleet: fleet,
		id: enrolledBy(t, fleet, "dc2"), primary: enrolledBy(t, fleet, "dc1"), dir: t.TempDir(), clock: time.Now(),
		config: agent.FederationConfig{AllowJoin: []string{"dc1"}, ConfigDir: "/x"},
	}
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.primary, c.through = "dc1", true })
		return nil
	}
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) { return &isthmusv1.TakeTurnResponse{Granted: true}, nil }
	server := httptest.NewServer(s.consul)
	server.Config.ErrorLog = nullLog().StandardLogger(nil)
	t.Cleanup(server.Close)
	s.client, err = consul.New(consul.Settings{Address: server.URL}, hclog.NewNullLogger())
	need(t, err)
	s.ca = newServerCA(t, s.clock, 5*365*24*time.Hour, nil)
	key, err := os.ReadFile(s.ca.config().CAKeyFile)
	need(t, err)
	s.consul.root = s.ca.text(t)
	s.bundle = federation.Bundle{
		Federation: "global", UID: "f1", Mode: "mesh-gateway", PrimaryDatacenter: "dc1", Datacenter: "dc2", Domain: "consul",
		CACertificates: []string{s.ca.text(t)}, CAKey: string(key), PrimaryGateways: []string{"10.0.0.20:8443"},
	}
	s.item = &isthmusv1.FederationSecondary{
		Uid: "f1", Federation: "global", Mode: "mesh-gateway", Primary: "dc1", PrimaryConsulDatacenter: "dc1", Senders: trustedOf(s.primary), Join: true, Fresh: true,
	}
	s.seal(s.bundle, 1)
	s.start()
	return s
}

// seal puts a bundle into the store and names it.
func (s *site) seal(b federation.Bundle, generation int32) {
	s.t.Helper()
	s.sealAs(seal.Draft{
		Kind: seal.KindFederationBundle, UID: "f1", From: s.primary.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: generation, TTL: time.Hour,
	}, s.primary, b)
}

func (s *site) sealAs(d seal.Draft, by *identity.Identity, b federation.Bundle) {
	s.t.Helper()
	text, err := json.Marshal(b)
	need(s.t, err)
	s.payload, err = seal.Seal(d, by.Signer(), []string{s.id.Attestation.GetAgeRecipient()}, text, s.clock)
	need(s.t, err)
	s.item.SecretDigest, s.item.Generation = seal.Digest(s.payload), d.Generation
}

// start is the agent as it starts, after whatever end.
func (s *site) start() {
	s.t.Helper()
	var err error
	s.courier, err = agent.NewCourier(s.client, s.id, s.config, s.host, s.dir, func() time.Time { return s.clock },
		hclog.NewNullLogger(), agent.CourierHub{
			Fetch: func(digest string) (*isthmusv1.SealedPayload, error) {
				if s.payload == nil {
					return nil, fault.New(fault.Unavailable, "the server is away")
				}
				return s.payload, nil
			},
			TakeTurn: func(string) (*isthmusv1.TakeTurnResponse, error) {
				s.turns = append(s.turns, "take")
				return s.grant()
			},
			EndTurn: func(string) error { s.turns = append(s.turns, "end"); return nil },
		})
	need(s.t, err)
}

// pass is one look, a second after the last one.
func (s *site) pass() *isthmusv1.FederationHost {
	s.t.Helper()
	s.clock = s.clock.Add(time.Second)
	state := &isthmusv1.DesiredState{Datacenter: "dc2", ConsulDatacenter: "dc2", Items: []*isthmusv1.DesiredItem{
		{Id: "federation-secondary/f1", Type: "federation-secondary", FederationSecondary: s.item},
	}}
	return s.courier.Deliver(s.t.Context(), state, !s.follower).GetHost()
}

// is proves what the next pass reports.
func (s *site) is(state, reason string) *isthmusv1.FederationHost {
	s.t.Helper()
	h := s.pass()
	if h.GetState() != state || h.GetReason() != reason {
		s.t.Fatalf("state %s, %s (%s); want %s, %s", h.GetState(), h.GetReason(), h.GetMessage(), state, reason)
	}
	return h
}

func TestRestartTakesTheTurn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) { return nil, fault.New(fault.Unavailable, "away") }
	s.is("waiting-turn", "ServerUnreachable")
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) {
		return &isthmusv1.TakeTurnResponse{Holder: "dc2-other"}, nil
	}
	if h := s.is("waiting-turn", "OtherHostRestarts"); !strings.Contains(h.GetMessage(), "dc2-other") || h.GetWritten() != 1 || h.GetApplied() != 0 {
		t.Fatal(h)
	}
	s.consul.set(func(c *simConsul) { c.well = 2 })
	s.is("waiting-turn", "ServersNotWell")
	if s.host.restarts != 0 {
		t.Fatal("it was restarted")
	}
	s.consul.set(func(c *simConsul) { c.well = 3 })
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) { return &isthmusv1.TakeTurnResponse{Granted: true}, nil }
	s.turns = nil
	s.is("restarting", "ConsulNotThere")
	if s.host.restarts != 1 || !slices.Equal(s.turns, []string{"take"}) {
		t.Fatalf("%d restarts, %v", s.host.restarts, s.turns)
	}
	if h := s.is("applied", ""); h.GetApplied() != 1 || !slices.Equal(s.turns, []string{"take", "end"}) {
		t.Fatalf("%v, %v", h, s.turns)
	}
	for range 3 {
		s.is("applied", "")
	}
	if s.host.restarts != 1 {
		t.Fatal("it was restarted again")
	}
}

// Until Consul is what it was before, and runs with what was written, nobody else may restart; the turn is renewed meanwhile.
func TestTurnIsKeptUntilConsulIsWell(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.down, c.leader, c.well, c.peers = true, "", 2, 1 })
		return nil
	}
	s.is("restarting", "ConsulNotThere")
	s.is("restarting", "ConsulNotThere")
	for _, step := range []struct {
		change func(*simConsul)
		reason string
	}{
		{func(c *simConsul) { c.down = false }, "ServersNotWell"},
		{func(c *simConsul) { c.leader = "10.0.0.2:8300" }, "ServersNotWell"},
		{func(c *simConsul) { c.peers = 3 }, "ConfigurationNotTaken"},
		{func(c *simConsul) { c.primary, c.through = "dc1", true }, "ServersNotWell"},
	} {
		s.consul.set(step.change)
		s.is("restarting", step.reason)
	}
	if slices.Contains(s.turns, "end") {
		t.Fatal("the turn was ended")
	}
	s.turns = nil
	for range 10 {
		s.is("restarting", "ServersNotWell")
	}
	if n := len(s.turns); n < 1 || n > 3 {
		t.Errorf("the turn was renewed %d times in 10 s", n)
	}
	s.clock = s.clock.Add(3 * time.Minute)
	s.is("failed", "ServersNotWell")
	s.consul.set(func(c *simConsul) { c.well = 3 })
	s.is("applied", "")
	if s.turns[len(s.turns)-1] != "end" {
		t.Error("the turn is not ended")
	}
}

// A Consul that comes back and does not know the agent's token does not hold the others up for ever, once it has kept its leader and servers.
// Its host has not joined before the token works.
func TestUnknownTokenDoesNotHoldTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.restart = func() error { s.consul.set(func(c *simConsul) { c.denied = true }); return nil }
	s.is("restarting", "ConsulNotThere")
	s.is("restarting", "ServersNotWell")
	for _, change := range []func(*simConsul){
		func(c *simConsul) { c.leader = "10.0.0.2:8300" },
		func(c *simConsul) { c.peers = 2 },
		func(c *simConsul) { c.peers = 3 },
	} {
		s.clock = s.clock.Add(29 * time.Second)
		s.consul.set(change)
		s.is("restarting", "ServersNotWell")
	}
	if slices.Contains(s.turns, "end") {
		t.Fatal("the turn was ended while Consul was not stable")
	}
	s.clock = s.clock.Add(30 * time.Second)
	s.is("failed", "TokenNotKnown")
	if h := s.is("failed", "TokenNotKnown"); h.GetApplied() != 0 || s.turns[len(s.turns)-1] != "end" {
		t.Fatalf("%v, turns %v", h, s.turns)
	}
	s.consul.set(func(c *simConsul) { c.denied, c.primary, c.through = false, "dc1", true })
	s.is("applied", "")
}

// While another host restarts, Consul has an election, or does not answer here: that is no reason to do without a turn.
func TestElectionNeedsTheTurn(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*simConsul){
		"leaderless": func(c *simConsul) { c.leader = "" },
		"down":       func(c *simConsul) { c.down = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.grant = func() (*isthmusv1.TakeTurnResponse, error) {
				return &isthmusv1.TakeTurnResponse{Holder: "dc2-other"}, nil
			}
			s.is("waiting-turn", "OtherHostRestarts")
			s.consul.set(away)
			s.start()
			s.is("waiting-turn", "ServersNotWell")
			s.clock = s.clock.Add(time.Hour)
			s.is("waiting-turn", "OtherHostRestarts")
			if s.host.restarts != 0 {
				t.Fatal("it was restarted while another host had the turn")
			}
			s.grant = func() (*isthmusv1.TakeTurnResponse, error) { return nil, fault.New(fault.Unavailable, "away") }
			s.is("restarting", "ConsulNotThere") // it is down for good, and nobody can tell
		})
	}
}

// A server that autopilot has taken out of Raft is missing all the same, and who may not look has not proven that all are well.
func TestServersThatRaftForgotAreMissed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) {
		return &isthmusv1.TakeTurnResponse{Holder: "dc2-other"}, nil
	}
	s.is("waiting-turn", "OtherHostRestarts")
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) { return &isthmusv1.TakeTurnResponse{Granted: true}, nil }
	s.consul.set(func(c *simConsul) { c.peers, c.well = 2, 2 })
	s.start()
	s.is("waiting-turn", "ServersNotWell")
	s.consul.set(func(c *simConsul) { c.peers, c.well = 3, 0 }) // what a token gets that may not read
	s.is("waiting-turn", "ServersNotWell")
	if s.host.restarts != 0 {
		t.Fatal("it was restarted")
	}
	s.consul.set(func(c *simConsul) { c.well = 3 })
	s.is("restarting", "ConsulNotThere")
}

// While a command that fails is held back the turn is renewed: this host's Consul may be down, and no other shall be.
func TestTurnIsKeptWhileTheCommandFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.down = true })
		return fault.New(fault.Unavailable, "Consul rejects its configuration")
	}
	s.is("failed", "CommandFailed")
	for range 60 {
		before := len(s.turns)
		for range 7 {
			s.pass()
		}
		if len(s.turns) == before {
			t.Fatal("the turn is not renewed")
		}
	}
	if slices.Contains(s.turns, "end") {
		t.Fatal("the turn was ended")
	}
}

// A Consul that does not run has no quorum to lose: neither a turn nor the server is needed.
func TestFreshConsulNeedsNoTurn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.consul.set(func(c *simConsul) { c.down = true })
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.down, c.primary, c.through = false, "dc1", true })
		return nil
	}
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	if len(s.turns) != 0 {
		t.Errorf("turns %v", s.turns)
	}
}

// Wherever the agent ends, it goes on there when it starts again, and the host ends up the same.
func TestCrashesOnTheWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) {
		return &isthmusv1.TakeTurnResponse{Holder: "dc2-other"}, nil
	}
	s.is("waiting-turn", "OtherHostRestarts")
	s.start() // written, not restarted
	s.payload = nil
	s.is("waiting-turn", "OtherHostRestarts") // with the bundle that it kept, sealed
	s.grant = func() (*isthmusv1.TakeTurnResponse, error) { return &isthmusv1.TakeTurnResponse{Granted: true}, nil }
	crash := true
	s.host.restart = func() error {
		if crash {
			panic("the agent is killed")
		}
		s.consul.set(func(c *simConsul) { c.down, c.primary, c.through = false, "dc1", true })
		return nil
	}
	func() {
		defer func() { _ = recover() }()
		s.pass()
	}()
	s.consul.set(func(c *simConsul) { c.down = true }) // in the middle of the restart
	crash = false
	s.start()
	s.is("restarting", "ConsulNotThere")
	s.start() // while it waits
	if s.host.restarts != 2 {
		t.Fatalf("%d restarts", s.host.restarts)
	}
	s.is("applied", "")
	if s.turns[len(s.turns)-1] != "end" {
		t.Errorf("the turn is not ended: %v", s.turns)
	}
	s.start()
	if h := s.is("applied", ""); h.GetApplied() != 1 || s.host.restarts != 2 {
		t.Fatalf("%v after %d restarts", h, s.host.restarts)
	}
}

func TestFailedCommandIsRepeatedAfterAPause(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.restart = func() error {
		return fault.New(fault.Unavailable, "the restart command failed (exit status 1): no such unit")
	}
	if h := s.is("failed", "CommandFailed"); !strings.Contains(h.GetMessage(), "no such unit") {
		t.Fatal(h)
	}
	s.is("failed", "CommandFailed")
	if s.host.restarts != 1 || slices.Contains(s.turns, "end") {
		t.Fatalf("%d restarts, turns %v", s.host.restarts, s.turns)
	}
	s.host.restart = func() error { s.consul.set(func(c *simConsul) { c.primary, c.through = "dc1", true }); return nil }
	s.clock = s.clock.Add(time.Minute)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
}

// Without a restart command a person restarts Consul, and the agent finds that out.
func TestRestartByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.canRestart = false
	for range 3 {
		s.is("restart-required", "RestartRequired")
	}
	s.start()
	s.is("restart-required", "RestartRequired")
	s.consul.set(func(c *simConsul) { c.primary, c.through = "dc1", true })
	if h := s.is("applied", ""); h.GetApplied() != 1 || len(s.turns) != 0 {
		t.Fatalf("%v, turns %v", h, s.turns)
	}
	// What Consul does not tell of itself is believed when it was down in between.
	s.bundle.RetryIntervalWAN = "9s"
	s.seal(s.bundle, 2)
	for range 3 {
		s.is("restart-required", "RestartRequired")
	}
	s.consul.set(func(c *simConsul) { c.down = true })
	s.is("restart-required", "RestartRequired")
	s.consul.set(func(c *simConsul) { c.down = false })
	if h := s.is("applied", ""); h.GetApplied() != 2 {
		t.Fatal(h)
	}
}

// A new bundle that is needed for Consul to come back at all does not wait for the restart with the former one.
func TestNewBundleOvertakesARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.down = s.host.restarts < 2; c.primary, c.through = "dc1", true })
		return nil
	}
	s.is("restarting", "ConsulNotThere")
	s.is("restarting", "ConsulNotThere")
	s.bundle.RetryIntervalWAN = "3s"
	s.seal(s.bundle, 2)
	s.is("restarting", "ConsulNotThere")
	if h := s.is("applied", ""); h.GetApplied() != 2 || s.host.restarts != 2 || s.turns[len(s.turns)-1] != "end" {
		t.Fatalf("%v after %d restarts, turns %v", h, s.host.restarts, s.turns)
	}
}

// A certificate is renewed at two thirds of its life, with a reload.
func TestOwnCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	before, ca := string(s.host.content.Cert), string(s.host.content.CA)
	s.clock = s.clock.Add(240 * 24 * time.Hour)
	s.seal(s.bundle, 2)
	s.is("applied", "")
	if string(s.host.content.Cert) != before {
		t.Fatal("it is renewed too soon")
	}
	s.clock = s.clock.Add(5 * 24 * time.Hour)
	s.is("applied", "")
	if string(s.host.content.Cert) == before || string(s.host.content.CA) != ca || s.host.restarts != 1 {
		t.Fatalf("not renewed, or with %d restarts", s.host.restarts)
	}
	if key := string(s.host.content.Key); !strings.Contains(key, "PRIVATE KEY") {
		t.Fatal("there is no key")
	}
}

// Gateways come and go: Consul is restarted only when none is left of those that it runs with.
func TestFurtherGatewaysRestartNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	for i, gateways := range [][]string{{"10.0.0.20:8443", "10.0.0.21:8443"}, {"10.0.0.20:8443", "10.0.0.22:8443"}, {"10.0.0.20:8443", "10.0.0.22:8443"}} {
		s.bundle.PrimaryGateways = gateways
		s.seal(s.bundle, int32(i+2))
		if h := s.is("applied", ""); s.host.restarts != 1 || int(h.GetApplied()) != i+2 {
			t.Fatalf("%d restarts for %v, applied %d", s.host.restarts, gateways, h.GetApplied())
		}
	}
	if !strings.Contains(string(s.host.content.DropIn), "10.0.0.22:8443") {
		t.Fatal("the further gateway is not written for the next restart")
	}
	// The files said 10.0.0.22 before, too; Consul was never told.
	s.host.restart = func() error {
		s.consul.set(func(c *simConsul) { c.gateways = []string{"10.0.0.22:8443"} })
		return nil
	}
	s.bundle.PrimaryGateways = []string{"10.0.0.22:8443"}
	s.seal(s.bundle, 5)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	if s.host.restarts != 2 {
		t.Fatalf("%d restarts", s.host.restarts)
	}
}
