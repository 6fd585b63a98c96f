package agent_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// hub is a server of the test's own: it does what it is told, which a real one never would. Whoever wants to see an agent
// and a real server together looks at test/.
type hub struct {
	isthmusv1.UnimplementedSyncServiceServer
	t     *testing.T
	ca    *identity.CA
	fleet *identity.FleetKey
	addr  string

	mu       sync.Mutex
	epoch    string
	index    uint64
	changed  chan struct{}
	states   map[string]*isthmusv1.DesiredState
	agents   map[string]*isthmusv1.TrustedAgent
	secrets  map[string]*isthmusv1.SealedPayload
	claims   map[string]int32
	stored   []*isthmusv1.SealedPayload
	external []*isthmusv1.StoreTokenRequest
	reports  map[string]*isthmusv1.ReportRequest
	bundles  []*isthmusv1.StoreBundleRequest
	// turn is the agent that may restart its Consul; turns counts how often it went to whom.
	turn   string
	turns  map[string]int
	enrols int
	renews int
	// refuse answers every call with this error; fetch replaces what FetchSecrets finds.
	refuse error
	// made are the generations whose token is stored: as a real server, the hub gives no claim to them, since another token would void it.
	made map[string]bool
	// gone is an agent that was deleted; now is the hub's clock.
	gone string
	now  func() time.Time
	// hold keeps stored tokens from the dialers until release.
	hold bool
	// pulled is called with each answer to a Pull.
	pulled func()
	fetch  func(digest string) *isthmusv1.SealedPayload
	server *grpc.Server
	// old: it has no Follow. follows is how often it was asked for that.
	old     bool
	follows int
	// mute is how many calls to Follow end without an answer.
	mute int
}

func newHub(t *testing.T) *hub {
	t.Helper()
	ca, err := identity.NewCA(time.Now())
	need(t, err)
	fleet, err := identity.NewFleetKey()
	need(t, err)
	h := &hub{
		t: t, ca: ca, fleet: fleet, epoch: "e1", changed: make(chan struct{}), states: map[string]*isthmusv1.DesiredState{},
		agents: map[string]*isthmusv1.TrustedAgent{}, secrets: map[string]*isthmusv1.SealedPayload{}, claims: map[string]int32{},
		reports: map[string]*isthmusv1.ReportRequest{}, turns: map[string]int{}, made: map[string]bool{}, now: time.Now,
	}
	h.start("127.0.0.1:0")
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *hub) start(address string) {
	h.t.Helper()
	certificate, err := h.ca.ServerCertificate([]string{"127.0.0.1"}, h.now())
	need(h.t, err)
	listener, err := new(net.ListenConfig).Listen(h.t.Context(), "tcp", address)
	need(h.t, err)
	h.addr = listener.Addr().String()
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert,
		})),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	isthmusv1.RegisterSyncServiceServer(server, h)
	h.server = server // whoever serves keeps its own: this one is replaced by the next start
	go func() { _ = server.Serve(listener) }()
}

func (h *hub) stop() { h.server.Stop() }

// token mints a join token of the fleet for this hub.
func (h *hub) token(datacenter string) *identity.JoinToken {
	h.t.Helper()
	token, err := identity.MintJoinToken(h.fleet, identity.MintOptions{
		Datacenter: datacenter, Address: h.addr, CAFingerprint: h.ca.Fingerprint(), Uses: 10,
	}, time.Now())
	need(h.t, err)
	return token
}

// edit changes what the hub says, and wakes who waits.
func (h *hub) edit(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	h.index++
	close(h.changed)
	h.changed = make(chan struct{})
}

// want gives a datacenter its items.
func (h *hub) want(datacenter string, items ...*isthmusv1.DesiredItem) {
	h.edit(func() {
		h.states[datacenter] = &isthmusv1.DesiredState{Datacenter: datacenter, ConsulDatacenter: datacenter, Drift: "correct", Items: items}
		h.showStored() // the acceptor may have stored a token before the dialer is told of its generation
	})
}

func (h *hub) caller(ctx context.Context) (identity.AgentName, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return identity.AgentName{}, h.refuse
	}
	p, _ := peer.FromContext(ctx)
	chain := p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates //nolint:forcetypeassert // TLS always
	if len(chain) == 0 {
		return identity.AgentName{}, fault.New(fault.Unauthenticated, "no certificate")
	}
	who, err := identity.VerifyClient(chain[0], h.ca.Pool())
	if err == nil {
		_, err = who.At(h.now(), 90*24*time.Hour)
	}
	switch {
	case err != nil:
		return identity.AgentName{}, err
	case who.Name == h.gone:
		return identity.AgentName{}, refusedFor(fault.Denied, identity.ReasonAgentDeleted)
	}
	return who.AgentName, nil
}

func (h *hub) Enrol(_ context.Context, r *isthmusv1.EnrolRequest) (*isthmusv1.EnrolResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	a := r.GetAttestation()
	if err := identity.VerifyAttestation(a); err != nil {
		return nil, err
	}
	h.enrols++
	h.agents[a.GetAgent()] = &isthmusv1.TrustedAgent{Attestation: a}
	issued, err := h.ca.Issue(r.GetCsr(), identity.AgentName{Name: a.GetAgent(), Datacenter: a.GetGrant().GetDatacenter(), Kind: a.GetGrant().GetKind()}, h.now())
	if err != nil {
		return nil, err
	}
	return &isthmusv1.EnrolResponse{Agent: a.GetAgent(), Certificate: issued.PEM, Ca: string(h.ca.CertificatePEM())}, nil
}

func (h *hub) Renew(ctx context.Context, r *isthmusv1.RenewRequest) (*isthmusv1.RenewResponse, error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	issued, err := h.ca.Issue(r.GetCsr(), who, h.now())
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renews++
	return &isthmusv1.RenewResponse{Certificate: issued.PEM, Ca: string(h.ca.CertificatePEM())}, nil
}

func (h *hub) Pull(ctx context.Context, r *isthmusv1.PullRequest) (*isthmusv1.PullResponse, error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	for {
		h.mu.Lock()
		state, changed := proto.CloneOf(h.states[who.Datacenter]), h.changed
		answer := &isthmusv1.PullResponse{Epoch: h.epoch, Index: h.index}
		h.mu.Unlock()
		if state == nil {
			state = &isthmusv1.DesiredState{Datacenter: who.Datacenter, ConsulDatacenter: who.Datacenter}
		}
		answer.Digest = resource.Digest(state)
		if answer.GetDigest() != r.GetHave() || answer.GetEpoch() != r.GetEpoch() {
			answer.State = state
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.pulled != nil {
				h.pulled()
			}
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Follow implements the RPC, unless the hub is old.
func (h *hub) Follow(r *isthmusv1.PullRequest, stream isthmusv1.SyncService_FollowServer) error {
	h.mu.Lock()
	old, mute := h.old, h.mute > 0
	h.follows++
	h.mute--
	h.mu.Unlock()
	switch {
	case old:
		return h.UnimplementedSyncServiceServer.Follow(r, stream)
	case mute:
		return nil
	}
	for r = proto.CloneOf(r); ; {
		answer, err := h.Pull(stream.Context(), r)
		if err == nil {
			err = stream.Send(answer)
		}
		if err != nil {
			return err
		}
		r.Epoch, r.Have = answer.GetEpoch(), answer.GetDigest()
	}
}

func (h *hub) FetchSecrets(ctx context.Context, r *isthmusv1.FetchSecretsRequest) (*isthmusv1.FetchSecretsResponse, error) {
	if _, err := h.caller(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out := &isthmusv1.FetchSecretsResponse{}
	for _, digest := range r.GetDigests() {
		p := h.secrets[digest]
		if h.fetch != nil {
			p = h.fetch(digest)
		}
		if p != nil {
			out.Payloads = append(out.Payloads, p)
		}
	}
	return out, nil
}

func (h *hub) ClaimToken(ctx context.Context, r *isthmusv1.ClaimTokenRequest) (*isthmusv1.ClaimTokenResponse, error) {
	if _, err := h.caller(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := fmt.Sprint(r.GetUid(), r.GetGeneration())
	h.claims[key]++
	if h.made[key] {
		return nil, fault.New(fault.Refused, "the token of generation %d is made", r.GetGeneration())
	}
	return &isthmusv1.ClaimTokenResponse{Attempt: h.claims[key]}, nil
}

func (h *hub) StoreToken(ctx context.Context, r *isthmusv1.StoreTokenRequest) (*isthmusv1.StoreTokenResponse, error) {
	if _, err := h.caller(ctx); err != nil {
		return nil, err
	}
	if r.GetExternal() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.external = append(h.external, r)
		return &isthmusv1.StoreTokenResponse{}, nil
	}
	digest := seal.Digest(r.GetPayload())
	h.edit(func() {
		h.secrets[digest] = r.GetPayload()
		h.stored = append(h.stored, r.GetPayload())
		h.made[fmt.Sprint(r.GetUid(), r.GetGeneration())] = true
		h.show(r.GetPayload())
	})
	return &isthmusv1.StoreTokenResponse{Digest: digest}, nil
}

// StoreBundle keeps a bundle. What comes of it in the states is up to the test.
func (h *hub) StoreBundle(ctx context.Context, r *isthmusv1.StoreBundleRequest) (*isthmusv1.StoreBundleResponse, error) {
	if _, err := h.caller(ctx); err != nil {
		return nil, err
	}
	digest := seal.Digest(r.GetPayload())
	h.edit(func() {
		h.secrets[digest] = r.GetPayload()
		h.bundles = append(h.bundles, r)
	})
	return &isthmusv1.StoreBundleResponse{Digest: digest}, nil
}

func (h *hub) TakeTurn(ctx context.Context, _ *isthmusv1.TakeTurnRequest) (*isthmusv1.TakeTurnResponse, error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.turn == "" {
		h.turn = who.Name
		h.turns[who.Name]++
	}
	return &isthmusv1.TakeTurnResponse{Granted: h.turn == who.Name, Holder: h.turn, ExpireTime: timestamppb.New(h.now().Add(time.Minute))}, nil
}

func (h *hub) EndTurn(ctx context.Context, _ *isthmusv1.EndTurnRequest) (*isthmusv1.EndTurnResponse, error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.turn == who.Name {
		h.turn = ""
	}
	return &isthmusv1.EndTurnResponse{}, nil
}

// show writes a stored token into the states, as the plan would. h.mu is held.
func (h *hub) show(p *isthmusv1.SealedPayload) {
	for _, s := range h.states {
		for _, item := range s.GetItems() {
			if a := item.GetPeeringAcceptor(); a.GetUid() == p.GetUid() && a.GetGeneration() == p.GetGeneration() {
				a.TokenStored = true
			}
			if d := item.GetPeeringDialer(); d.GetUid() == p.GetUid() && d.GetGeneration() == p.GetGeneration() && !h.hold {
				d.SecretDigest = seal.Digest(p)
			}
		}
	}
}

// showStored shows all that is stored. h.mu is held.
func (h *hub) showStored() {
	for _, p := range h.stored {
		h.show(p)
	}
}

// release shows what was held.
func (h *hub) release() {
	h.edit(func() {
		h.hold = false
		h.showStored()
	})
}

// operators is the digest of a token that an operator brought in, signed with the fleet key.
func (h *hub) operators(token, uid, from, to string, generation int32) string {
	h.t.Helper()
	var recipients []string
	for _, a := range h.trusted(to) {
		recipients = append(recipients, a.GetAttestation().GetAgeRecipient())
	}
	p, err := seal.Seal(seal.Draft{
		Kind: seal.KindPeeringToken, UID: uid, From: seal.Operator, FromDatacenter: from, ToDatacenter: to,
		Generation: generation, Attempt: 1, TTL: time.Hour,
	}, h.fleet.Signer(), recipients, []byte(token), time.Now())
	need(h.t, err)
	h.edit(func() { h.secrets[seal.Digest(p)] = p })
	return seal.Digest(p)
}

func (h *hub) Report(ctx context.Context, r *isthmusv1.ReportRequest) (*isthmusv1.ReportResponse, error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range []string{who.Datacenter, who.Name} {
		seen := h.reports[key]
		if seen == nil {
			seen = &isthmusv1.ReportRequest{}
			h.reports[key] = seen
		}
		proto.Merge(without(seen, r), r)
	}
	return &isthmusv1.ReportResponse{}, nil
}

// without takes out of seen what r replaces.
func without(seen, r *isthmusv1.ReportRequest) *isthmusv1.ReportRequest {
	if r.GetAgent() != nil {
		seen.Agent = nil
	}
	if r.GetInventory() != nil {
		seen.Inventory = nil
	}
	if r.GetPeerings() != nil {
		seen.Peerings = nil
	}
	if r.GetExports() != nil {
		seen.Exports = nil
	}
	if r.GetServices() != nil {
		seen.Services = nil
	}
	if r.GetDelivery() != nil {
		seen.Delivery = nil
	}
	if r.GetFederation() != nil {
		seen.Federation = nil
	}
	if r.GetGateway() != nil {
		seen.Gateway = nil
	}
	if r.GetPolicy() != nil {
		seen.Policy = nil
	}
	if r.GetEntries() != nil {
		seen.Entries = nil
	}
	if r.GetRights() != nil {
		seen.Rights = nil
	}
	return seen
}

// reported is what was reported last, by a datacenter or by an agent.
func (h *hub) reported(who string) *isthmusv1.ReportRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return proto.CloneOf(h.reports[who])
}

// observed is what a datacenter said last of a peering.
func (h *hub) observed(datacenter, uid string) *isthmusv1.ObservedPeering {
	for _, p := range h.reported(datacenter).GetPeerings().GetPeerings() {
		if p.GetUid() == uid {
			return p
		}
	}
	return nil
}

// workedThrough waits until an agent says that it has worked through what its datacenter is told. What it reports of the datacenter comes
// before this word of its own.
func (h *hub) workedThrough(datacenter string, r *running) {
	h.t.Helper()
	h.mu.Lock()
	digest := resource.Digest(h.states[datacenter])
	h.mu.Unlock()
	eventually(h.t, "worked through", func() bool { return h.reported(r.name).GetAgent().GetAppliedDigest() == digest })
}

// trusted are the agents of a datacenter, as they enrolled.
func (h *hub) trusted(datacenter string) []*isthmusv1.TrustedAgent {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*isthmusv1.TrustedAgent
	for _, a := range maps.All(h.agents) {
		if a.GetAttestation().GetGrant().GetDatacenter() == datacenter {
			out = append(out, a)
		}
	}
	return out
}

// peer wants a peering of two datacenters with a token generation.
func (h *hub) peer(uid, acceptor, dialer string, generation int32) {
	h.t.Helper()
	h.want(acceptor, h.acceptor(uid, dialer, generation))
	h.want(dialer, h.dialer(uid, acceptor, generation))
}

func (h *hub) acceptor(uid, dialer string, generation int32) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: "peering-acceptor/" + uid, Type: "peering-acceptor", PeeringAcceptor: &isthmusv1.PeeringAcceptor{
		Uid: uid, Peering: "p-" + uid, PeerName: dialer, Dialer: dialer, Generation: generation, Recipients: h.trusted(dialer),
	}}
}

func (h *hub) dialer(uid, acceptor string, generation int32) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: "peering-dialer/" + uid, Type: "peering-dialer", PeeringDialer: &isthmusv1.PeeringDialer{
		Uid: uid, Peering: "p-" + uid, PeerName: acceptor, Acceptor: acceptor, Generation: generation, Senders: h.trusted(acceptor),
	}}
}

// running is an agent that works in the background.
type running struct {
	t      *testing.T
	config agent.Config
	name   string
	cancel context.CancelFunc
	done   chan error
}

// config is a new agent's.
func (h *hub) config(datacenter string, settings consul.Settings) agent.Config {
	return agent.Config{
		DataDir: h.t.TempDir(), JoinToken: h.token(datacenter).String(), Consul: settings, Version: "test", Host: "host",
		Log: hclog.New(&hclog.LoggerOptions{Name: datacenter, Level: hclog.Debug, Output: logWriter{h.t}}),
	}
}

// run starts an agent and waits until it has enrolled (or was enrolled before).
func run(t *testing.T, config agent.Config) *running {
	t.Helper()
	r := &running{t: t, config: config, done: make(chan error, 1)}
	a, err := agent.New(config)
	need(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.cancel = cancel
	go func() { r.done <- a.Run(ctx) }()
	t.Cleanup(r.stop)
	eventually(t, "enrolled", func() bool {
		id, err := identity.LoadIdentity(config.DataDir)
		if err != nil {
			return false
		}
		r.name = id.Agent()
		_, err = id.LoadCredential(config.DataDir)
		return err == nil
	})
	return r
}

func (r *running) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		r.t.Errorf("agent: %v", err)
	}
}

// agentOf runs an agent for a Consul cluster, with rules as the documentation gives them.
func (h *hub) agentOf(c *consultest.Cluster) *running {
	h.t.Helper()
	return run(h.t, h.config(c.Datacenter, h.settings(c)))
}

func (h *hub) settings(c *consultest.Cluster) consul.Settings {
	h.t.Helper()
	rules, err := agent.Policy(agent.PurposePeering)
	need(h.t, err)
	return settings(h.t, c.Env(c.MintToken("isthmus", rules))...)
}
