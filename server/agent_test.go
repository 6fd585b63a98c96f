package server_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/identity"
	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// agent is a small agent: real keys, real connections, and the world in place of Consul.
type agent struct {
	t     testing.TB
	world *world
	// wan is the federations of the world; nil: the agent knows of none.
	wan   *wan
	dc    string
	id    *identity.Identity
	cred  identity.Credential
	fleet *identity.FleetKey
	conn  *grpc.ClientConn
	sync  isthmusv1.SyncServiceClient

	// sending is held while a report is put together and sent, so that none that says less comes after one that says more.
	sending sync.Mutex

	mu    sync.Mutex
	pulls int
	// quiet: reports are not sent.
	quiet bool
	// services are its catalog's; nil: web.
	services []*isthmusv1.CatalogService
	// did is what it did of each peering, which outlives its Consul's memory.
	did  map[string]deed
	stop func()
}

// deed is the last token that an agent made or used, and what came of it.
type deed struct {
	generation int32
	outcome    string
}

func (a *agent) remember(uid string, d deed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.did[uid] = d
}

func (a *agent) remembered(uid string) deed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.did[uid]
}

// fleetKey makes the fleet key of a test.
func fleetKey(t testing.TB) *identity.FleetKey {
	t.Helper()
	key, err := identity.NewFleetKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// joinToken mints a join token, as the CLI does, and registers it.
func (n *node) joinToken(fleet *identity.FleetKey, dc string, uses int32) *identity.JoinToken {
	n.t.Helper()
	return n.joinTokenFor(fleet, identity.MintOptions{Datacenter: dc, Uses: uses}, time.Now())
}

func (n *node) joinTokenFor(fleet *identity.FleetKey, o identity.MintOptions, now time.Time) *identity.JoinToken {
	n.t.Helper()
	info := n.server()
	o.Address, o.CAFingerprint = info.GetGrpcAddress(), info.GetCaFingerprint()
	token, err := identity.MintJoinToken(fleet, o, now)
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = isthmusv1.NewJoinTokenServiceClient(n.shared()).CreateJoinToken(n.as(n.token), &isthmusv1.CreateJoinTokenRequest{
		JoinToken: &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}},
	})
	if err != nil {
		n.t.Fatalf("registering a join token: %v", err)
	}
	return token
}

// server asks what a client needs to know, which needs no pinned CA: REST on loopback is plain.
func (n *node) server() *isthmusv1.ServerInfo {
	n.t.Helper()
	f := n.want(200, n.call("GET", "/v1/server", "")).fields(n.t)
	return &isthmusv1.ServerInfo{
		GrpcAddress: f["grpcAddress"].(string), CaFingerprint: f["caFingerprint"].(string), Epoch: f["epoch"].(string),
	}
}

// grpc connects to the server without a client certificate.
func (n *node) grpc() *grpc.ClientConn {
	n.t.Helper()
	return n.dial(nil)
}

// as is a context that carries an API token.
func (n *node) as(token string) context.Context {
	return metadata.AppendToOutgoingContext(n.t.Context(), "authorization", "Bearer "+token)
}

func (n *node) dial(certificate *tls.Certificate) *grpc.ClientConn {
	n.t.Helper()
	return dial(n.t, n.GRPCAddr(), n.server().GetCaFingerprint(), certificate)
}

func dial(t testing.TB, address, fingerprint string, certificate *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	config := identity.PinnedTLS(fingerprint, host, time.Now)
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// enrol enrols an agent; it does nothing until run.
func (n *node) enrol(w *world, fleet *identity.FleetKey, dc string) *agent {
	n.t.Helper()
	return n.enrolWith(w, fleet, n.joinToken(fleet, dc, 1))
}

// enrolAt enrols at a time of the server's clock.
func (n *node) enrolAt(now time.Time, fleet *identity.FleetKey, dc, kind string) *agent {
	n.t.Helper()
	return n.enrolWith(newWorld(), fleet, n.joinTokenFor(fleet, identity.MintOptions{Datacenter: dc, Kind: kind}, now))
}

func (n *node) enrolWith(w *world, fleet *identity.FleetKey, token *identity.JoinToken) *agent {
	n.t.Helper()
	id, err := identity.NewIdentity(token, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	a := &agent{t: n.t, world: w, dc: token.Grant.GetDatacenter(), id: id, fleet: fleet, stop: func() {}, did: map[string]deed{}}
	answer, err := isthmusv1.NewSyncServiceClient(dial(n.t, token.Address, token.CAFingerprint, nil)).Enrol(n.t.Context(), a.enrolment())
	if err != nil {
		n.t.Fatalf("enrolling: %v", err)
	}
	if a.cred, err = id.Accept(n.t.TempDir(), answer.GetCertificate(), answer.GetCa()); err != nil {
		n.t.Fatalf("accepting the certificate: %v", err)
	}
	a.connect(token.Address)
	return a
}

func (a *agent) enrolment() *isthmusv1.EnrolRequest {
	a.t.Helper()
	csr, err := a.id.CSR()
	if err != nil {
		a.t.Fatal(err)
	}
	return &isthmusv1.EnrolRequest{Attestation: a.id.Attestation, Csr: csr, Version: "test", Features: plan.Features(), Host: "h"}
}

func (a *agent) connect(address string) {
	a.t.Helper()
	a.conn = dial(a.t, address, a.id.CAFingerprint, &a.cred.Certificate)
	a.sync = isthmusv1.NewSyncServiceClient(a.conn)
}

// run pulls, does and reports until the test ends or stop is called.
func (a *agent) run() *agent {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.loop(ctx)
	}()
	a.stop = func() {
		cancel()
		<-done
	}
	a.t.Cleanup(func() { a.stop() })
	return a
}

// loop keeps one Pull open, and does its part whenever the state or the world has changed.
func (a *agent) loop(ctx context.Context) {
	states := make(chan *isthmusv1.PullResponse)
	var pulling sync.WaitGroup
	pulling.Go(func() { a.pulling(ctx, states) })
	defer pulling.Wait()
	var state *isthmusv1.PullResponse
	for {
		changed := a.world.watch()
		if state != nil {
			a.reconcile(ctx, state)
		}
		select {
		case <-ctx.Done():
			return
		case state = <-states:
		case <-changed:
		}
	}
}

func (a *agent) pulling(ctx context.Context, states chan<- *isthmusv1.PullResponse) {
	request := &isthmusv1.PullRequest{Version: "test", Features: plan.Features()}
	for ctx.Err() == nil {
		response, err := a.sync.Pull(ctx, request)
		if err != nil {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		a.mu.Lock()
		a.pulls++
		a.mu.Unlock()
		request.Epoch, request.MinIndex, request.Have = response.GetEpoch(), response.GetIndex(), response.GetDigest()
		if response.GetState() == nil {
			continue
		}
		select {
		case states <- response:
		case <-ctx.Done():
		}
	}
}

// pause waits; for what is tried again, never for what a test expects.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (a *agent) reconcile(ctx context.Context, state *isthmusv1.PullResponse) {
	for _, item := range state.GetState().GetItems() {
		var err error
		switch item.GetType() {
		case resource.ItemFederationPrimary, resource.ItemFederationSecondary:
			err = a.federate(ctx, item)
		case resource.ItemPeeringAcceptor:
			err = a.accept(ctx, item.GetPeeringAcceptor())
		case resource.ItemPeeringDialer:
			err = a.dialOut(ctx, item.GetPeeringDialer())
		case resource.ItemExportedServices:
			a.world.mu.Lock()
			a.world.exports[a.dc] = item.GetExportedServices()
			a.world.mu.Unlock()
		}
		if err != nil && ctx.Err() == nil && status.Code(err) != codes.Aborted && status.Code(err) != codes.NotFound {
			a.t.Logf("%s: %s: %v", a.dc, item.GetId(), err)
		}
	}
	if err := a.report(ctx, state); err != nil && ctx.Err() == nil {
		a.t.Logf("%s: report: %v", a.dc, err)
	}
}

func (a *agent) accept(ctx context.Context, p *isthmusv1.PeeringAcceptor) error {
	if p.GetDelete() {
		a.drop(p.GetPeerName(), p.GetUid())
		return nil
	}
	if p.GetGeneration() == 0 || p.GetTokenStored() || len(p.GetRecipients()) == 0 {
		return nil
	}
	var recipients []string
	for _, t := range p.GetRecipients() {
		if err := identity.VerifyTrusted(t, a.fleet.Public()); err != nil {
			return err
		}
		recipients = append(recipients, t.GetAttestation().GetAgeRecipient())
	}
	claim, err := a.sync.ClaimToken(ctx, &isthmusv1.ClaimTokenRequest{Uid: p.GetUid(), Generation: p.GetGeneration()})
	if err != nil {
		return err
	}
	token := a.world.generate(a.dc, p.GetPeerName(), p.GetUid())
	a.remember(p.GetUid(), deed{generation: p.GetGeneration()})
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindPeeringToken, UID: p.GetUid(), From: a.id.Agent(), FromDatacenter: a.dc, ToDatacenter: p.GetDialer(),
		Generation: p.GetGeneration(), Attempt: claim.GetAttempt(), TTL: time.Hour,
	}, a.id.Signer(), recipients, []byte(token), time.Now())
	if err != nil {
		return err
	}
	_, err = a.sync.StoreToken(ctx, &isthmusv1.StoreTokenRequest{Payload: payload})
	return err
}

func (a *agent) dialOut(ctx context.Context, p *isthmusv1.PeeringDialer) error {
	if p.GetDelete() {
		a.drop(p.GetPeerName(), p.GetUid())
		return nil
	}
	if p.GetSecretDigest() == "" || a.remembered(p.GetUid()).generation >= p.GetGeneration() {
		return nil
	}
	got, err := a.sync.FetchSecrets(ctx, &isthmusv1.FetchSecretsRequest{Digests: []string{p.GetSecretDigest()}})
	if err != nil {
		return err
	}
	token, err := seal.Open(got.GetPayloads()[0], seal.Expect{
		Kind: seal.KindPeeringToken, UID: p.GetUid(), FromDatacenter: p.GetAcceptor(), ToDatacenter: a.dc, Generation: p.GetGeneration(),
	}, p.GetSenders(), a.fleet.Public(), a.id.Opener(), time.Now())
	if err != nil {
		return err
	}
	outcome := a.world.establish(a.dc, p.GetPeerName(), p.GetUid(), string(token))
	a.remember(p.GetUid(), deed{p.GetGeneration(), outcome})
	a.world.change(func() {})
	return nil
}

// drop removes an end, as Consul does: the other one turns TERMINATED.
func (a *agent) drop(peer, uid string) {
	a.world.mu.Lock()
	e := a.world.of(a.dc)[peer]
	a.world.mu.Unlock()
	if e == nil || e.uid != uid {
		return
	}
	a.world.change(func() {
		delete(a.world.of(a.dc), peer)
		for _, ends := range a.world.ends {
			for _, other := range ends {
				if other.peerID == e.peerID {
					other.state = peering.StateTerminated
				}
			}
		}
	})
}

func (a *agent) report(ctx context.Context, state *isthmusv1.PullResponse) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	a.mu.Lock()
	quiet, services := a.quiet, a.services
	a.mu.Unlock()
	if quiet {
		return nil
	}
	if services == nil {
		services = []*isthmusv1.CatalogService{{Name: "web", Instances: 1, Healthy: 1}}
	}
	r := &isthmusv1.ReportRequest{
		Agent: &isthmusv1.AgentReport{
			Leader: true, Version: "test", Features: plan.Features(), Host: "h",
			AppliedDigest: state.GetDigest(), AppliedIndex: state.GetIndex(), Epoch: state.GetEpoch(),
		},
		Inventory: &isthmusv1.InventoryReport{
			ConsulDatacenter: a.dc, ConsulVersion: "1.20.6", Servers: 1, Leader: "s1", PeeringEnabled: new(true), ConnectEnabled: new(true),
			Gateways: []*isthmusv1.ObservedGateway{{ServiceId: "mesh-gateway", Node: "s1", WanAddress: "192.0.2.1:8443", LanAddress: "10.0.0.1:8443", Health: "passing"}},
		},
		Services: &isthmusv1.ServicesReport{Services: services},
		Peerings: &isthmusv1.PeeringsReport{}, Exports: &isthmusv1.ExportsReport{}, Entries: &isthmusv1.EntriesReport{},
	}
	for _, item := range state.GetState().GetItems() {
		switch item.GetType() {
		case resource.ItemPeeringAcceptor:
			p := item.GetPeeringAcceptor()
			r.Peerings.Peerings = append(r.Peerings.Peerings, a.observe(p.GetPeerName(), p.GetUid(), "acceptor", p.GetDelete()))
		case resource.ItemPeeringDialer:
			p := item.GetPeeringDialer()
			r.Peerings.Peerings = append(r.Peerings.Peerings, a.observe(p.GetPeerName(), p.GetUid(), "dialer", p.GetDelete()))
		case resource.ItemExportedServices:
			for _, s := range item.GetExportedServices().GetServices() {
				r.Exports.Exports = append(r.Exports.Exports, &isthmusv1.ObservedExport{
					Name: s.GetName(), Namespace: s.GetNamespace(), Peers: s.GetPeers(), State: "applied",
				})
			}
		}
	}
	if a.wan != nil {
		a.wan.tell(a, state.GetState(), r)
	}
	_, err := a.sync.Report(ctx, r)
	return err
}

// offers has one service of the mesh in its catalog from now on, tells so, and tells it again with whatever else it reports.
func (a *agent) offers(service string) {
	a.t.Helper()
	services := []*isthmusv1.CatalogService{{Name: service, Instances: 1, Healthy: 1, Mesh: true}}
	a.sending.Lock()
	defer a.sending.Unlock()
	a.mu.Lock()
	a.services = services
	a.mu.Unlock()
	a.reports(&isthmusv1.ReportRequest{Services: &isthmusv1.ServicesReport{Services: services}, Entries: &isthmusv1.EntriesReport{}})
}

// reports sends a report that is not of what it sees, and expects it to be taken.
func (a *agent) reports(r *isthmusv1.ReportRequest) {
	a.t.Helper()
	if _, err := a.sync.Report(a.t.Context(), r); err != nil {
		a.t.Fatalf("%s: report: %v", a.dc, err)
	}
}

func (a *agent) observe(peer, uid, role string, deleting bool) *isthmusv1.ObservedPeering {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	did := a.remembered(uid)
	o := &isthmusv1.ObservedPeering{Uid: uid, PeerName: peer, Role: role, Origin: "own", Generation: did.generation, Outcome: did.outcome}
	e := a.world.of(a.dc)[peer]
	if e == nil || e.uid != uid {
		o.Deleted = deleting
		return o
	}
	o.State, o.PeerId = e.state, e.peerID
	if e.state == peering.StateActive {
		o.Heartbeat = resource.HeartbeatFresh
	}
	if a.world.hangs {
		o.Heartbeat, o.HeartbeatTime = resource.HeartbeatStale, timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return o
}
