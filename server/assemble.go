package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/tap"
	"google.golang.org/grpc/test/bufconn"

	"isthmus/fault"
	"isthmus/openapi"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/agentapi"
	"isthmus/server/api"
	"isthmus/server/auth"
	"isthmus/server/limit"
	"isthmus/server/profile"
	"isthmus/server/request"
	"isthmus/server/rest"
	"isthmus/server/session"
	"isthmus/web"
)

const (
	// maxSent is the largest gRPC message that agents get: a desired state of many thousand items. maxReceived is the
	// largest that is taken from the network: a report. Within the process REST has bounded what comes in, and what goes
	// out is as large as what it answers.
	maxSent, maxReceived, maxInside = 16 << 20, 4 << 20, 128 << 20
	// maxStreams is how many calls one connection can have open: some hundred blocking queries of one program.
	maxStreams = 256
	// handshakeTime is how long a connection may take to become one.
	handshakeTime = 20 * time.Second
	// A connection that is cut is found by the kernel's probes, see listen. quiet is how long nothing may come over one before the agent itself
	// has to answer, within patience: it may have stopped, or a proxy in between may hide that it is gone. gRPC asks nobody in between. Who does not
	// answer counts as silent a moment after that: to ask more often would only ask a fleet at rest more.
	quiet, patience = 40 * time.Second, 10 * time.Second
	// idleConnection is how long a connection without calls is kept: an agent always has one open.
	idleConnection = 15 * time.Minute
	// minPing is the least time between an agent's own pings.
	minPing = 5 * time.Second

	// Enrolment is the one call that anybody may make: how many unknown or refused ones a second reach the store.
	strangersPerSecond, strangersBurst = 20, 50

	// readTimeout is for a request's head (package rest bounds the body), idleTimeout between requests. An answer may take
	// as long as a blocking query waits, with its jitter.
	readTimeout  = 20 * time.Second
	idleTimeout  = 2 * time.Minute
	writeTimeout = 12 * time.Minute
	// maxHeader: a request has a token and little else.
	maxHeader = 32 << 10
	// window is what a caller may send before it is asked for more: reports and manifests are small, and there are thousands of connections.
	window = 256 << 10
)

// assemble puts the services together: one set, behind the same interceptors, served to the network and to REST.
func (s *Server) assemble(ctx context.Context) error {
	own, err := s.grpcCertificate()
	if err != nil {
		return err
	}
	fingerprint, err := rootFingerprint(own.current.Load())
	if err != nil {
		return err
	}
	registry := newRegistry(s.store, s.snapshot, s.controller.Leading)
	observer := request.NewObserver(s.log.Named("request"), s.config.Now, registry)
	guard := auth.NewGuard(s.snapshot, s.ca.Pool(), s.config.RenewalWindow, s.config.Now)
	limiter := limit.New(s.config.Limits, s.config.Now, registry)
	s.httpListener, s.grpcListener = limiter.Listen(s.httpListener), limiter.Listen(s.grpcListener)
	keeper, err := session.NewKeeper(s.key, s.config.SessionIdle, s.config.Now)
	if err != nil {
		return err
	}
	inside := guard.Inside(keeper)
	s.sessions = &session.Service{
		Keeper: keeper, Guard: guard, Store: s.store, Journal: s.store, Snapshot: s.snapshot, Now: s.config.Now, Log: s.log.Named("session"),
	}
	if err := s.sessions.Load(ctx); err != nil {
		return err
	}
	s.grpcServer = grpc.NewServer(
		grpc.ChainUnaryInterceptor(observer.Unary, guard.Unary, limiter.Unary),
		grpc.ChainStreamInterceptor(observer.Stream, guard.Stream, limiter.Stream),
		grpc.MaxRecvMsgSize(maxReceived), grpc.MaxSendMsgSize(maxSent), grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeader), grpc.ConnectionTimeout(handshakeTime),
		// Of ten thousand connections nearly all are idle: they read from TLS's own buffer, and remember no headers.
		grpc.ReadBufferSize(0), grpc.HeaderTableSize(0),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			next, err := tapped(ctx, guard, limiter, info.FullMethodName)
			if err != nil {
				return nil, observer.Refused(ctx, info.FullMethodName, err)
			}
			return next, nil
		}),
		grpc.Creds(newHandshaker(serverTLS(own, tls.RequestClientCert), guard.Meet, limiter.Guest, s.pulse.Watch)),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleConnection}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
	)
	s.innerServer = grpc.NewServer(grpc.ChainUnaryInterceptor(observer.Unary, inside.Unary, limiter.Inside),
		grpc.MaxRecvMsgSize(maxInside), grpc.MaxSendMsgSize(maxInside))
	for _, g := range []*grpc.Server{s.grpcServer, s.innerServer} {
		s.register(g, fingerprint)
	}
	s.registerAgents(s.grpcServer)
	isthmusv1.RegisterSessionServiceServer(s.innerServer, s.sessions)
	return s.assembleREST(ctx, rest.Options{
		Guard: guard, Sessions: keeper, Limiter: limiter, Profiler: &profile.Profiler{Store: s.store, Now: s.config.Now},
		Refused: func(ctx context.Context, err error) { _ = observer.Refused(ctx, "/rest", err) },
		Ready:   s.ready, Metrics: registry, OpenAPI: openapi.Document(), Log: s.log.Named("rest"),
	})
}

// tapped lets a call's message be read, or refuses it.
func tapped(ctx context.Context, guard *auth.Guard, limiter *limit.Limiter, method string) (context.Context, error) {
	next, err := guard.Tap(ctx, method)
	if err != nil {
		if fault.CodeOf(err) == fault.Busy {
			limiter.Refused("strangers")
		}
		return nil, err
	}
	return limiter.Tap(next, method)
}

func (s *Server) grpcCertificate() (*certificate, error) {
	renew := ownCertificate(s.ca, grpcHosts(s.config, s.grpcListener.Addr()), s.config.Now)
	if s.config.GRPCCertFile != "" {
		renew = fileCertificate(s.config.GRPCCertFile, s.config.GRPCKeyFile)
	}
	c, err := newCertificate(renew, s.log)
	if err != nil {
		return nil, err
	}
	s.certificates = append(s.certificates, c)
	return c, nil
}

// register adds what operators and programs call.
func (s *Server) register(g *grpc.Server, fingerprint string) {
	core := &api.Core{
		Store: s.store, Snapshot: s.snapshot, Stopping: s.stopping, Log: s.log.Named("api"), Now: s.config.Now,
		Observations: s.observations,
	}
	isthmusv1.RegisterServerServiceServer(g, &api.ServerService{
		Core: core, Version: s.config.Version, GRPCAddress: s.advertised, CAFingerprint: fingerprint,
	})
	isthmusv1.RegisterDatacenterServiceServer(g, &api.DatacenterService{Core: core})
	isthmusv1.RegisterGatewayServiceServer(g, &api.GatewayService{Core: core})
	isthmusv1.RegisterPeeringServiceServer(g, &api.PeeringService{Core: core})
	isthmusv1.RegisterPeeringGroupServiceServer(g, &api.PeeringGroupService{Core: core})
	isthmusv1.RegisterFederationServiceServer(g, &api.FederationService{Core: core, Vault: s.store})
	isthmusv1.RegisterServiceExportServiceServer(g, &api.ServiceExportService{Core: core})
	isthmusv1.RegisterIntentionServiceServer(g, &api.IntentionService{Core: core})
	isthmusv1.RegisterTrafficPolicyServiceServer(g, &api.TrafficPolicyService{Core: core})
	isthmusv1.RegisterDiagnosisServiceServer(g, &api.DiagnosisService{Core: core, Version: s.config.Version})
	isthmusv1.RegisterOverviewServiceServer(g, &api.OverviewService{Core: core, Fleets: s.fleets, Trends: s.trends, Journal: s.store, Feed: s.feed})
	isthmusv1.RegisterJoinTokenServiceServer(g, &api.JoinTokenService{Core: core, Address: s.advertised, CAFingerprint: fingerprint})
	isthmusv1.RegisterAgentServiceServer(g, &api.AgentService{Core: core, Forget: s.observations.ForgetAgent})
	isthmusv1.RegisterAPITokenServiceServer(g, &api.APITokenService{Core: core})
	isthmusv1.RegisterEventServiceServer(g, &api.EventService{Core: core, Journal: s.store})
}

// registerAgents adds what agents call, and what is of use on the network only.
func (s *Server) registerAgents(g *grpc.Server) {
	isthmusv1.RegisterSyncServiceServer(g, &agentapi.Service{
		Store: s.store, Journal: s.store, Vault: s.store, Leaser: s.store, Snapshot: s.snapshot, Observations: s.observations,
		Planner: s.planner, CA: s.ca, Strangers: rate.NewLimiter(strangersPerSecond, strangersBurst), RenewalWindow: s.config.RenewalWindow,
		Stopping: s.stopping, Now: s.config.Now, Log: s.log.Named("agents"),
	})
	healthv1.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
}

func (s *Server) assembleREST(ctx context.Context, options rest.Options) error {
	s.inside = bufconn.Listen(bufconnSize)
	conn, err := grpc.NewClient("passthrough:///inside",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.inside.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxInside), grpc.MaxCallSendMsgSize(maxInside), grpc.ForceCodecV2(rest.Codec{})))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "connecting REST to the services")
	}
	s.insideConn, options.Conn = conn, conn
	if app, ok := web.App(); ok {
		options.Dashboard = app
	}
	options.TLS = s.config.HTTPCertFile != ""
	handler, err := rest.New(ctx, options)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "setting up REST")
	}
	s.httpServer = &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: s.log.Named("rest").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	if !options.TLS {
		return nil
	}
	c, err := newCertificate(fileCertificate(s.config.HTTPCertFile, s.config.HTTPKeyFile), s.log)
	if err != nil {
		return err
	}
	s.certificates = append(s.certificates, c)
	s.httpServer.TLSConfig = serverTLS(c, tls.NoClientCert)
	return nil
}

// ready tells why the server cannot serve: the store does not answer, or the snapshot cannot follow it.
func (s *Server) ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		return err
	}
	return s.snapshot.Catchup(ctx)
}
