package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"isthmus/fault"
	"isthmus/identity"
	"isthmus/overview"
	"isthmus/server/agentapi"
	"isthmus/server/api"
	"isthmus/server/controller"
	"isthmus/server/feed"
	"isthmus/server/memory"
	"isthmus/server/observation"
	"isthmus/server/pulse"
	"isthmus/server/session"
	"isthmus/store/postgres"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

const (
	// drainTime is how long open requests may take to end when the server stops.
	drainTime = 5 * time.Second
	// The kernel asks the other end of an idle connection for a sign of life after probeAfter, and closes it when probes of them go unanswered,
	// each for probeEvery: an agent that is cut off is found in 20 s, for next to nothing.
	probeAfter, probeEvery = 10 * time.Second, 5 * time.Second
	probes                 = 2
	// bufconnSize is the buffer between REST and the services, in this process.
	bufconnSize = 1 << 20
)

// Server is one server process, made by New.
type Server struct {
	config Config
	log    hclog.Logger

	store        *sqlstore.Store
	snapshot     *snapshot.Snapshot
	observations *observation.Table
	planner      *agentapi.Planner
	controller   *controller.Controller
	feed         *feed.Feed
	fleets       *api.Fleets
	trends       *api.Trends
	ca           *identity.CA
	key          *identity.ServerKey
	sessions     *session.Service
	pulse        *pulse.Pulse

	httpListener, grpcListener net.Listener
	// inside carries calls from REST to the services.
	inside                  *bufconn.Listener
	insideConn              *grpc.ClientConn
	grpcServer, innerServer *grpc.Server
	httpServer              *http.Server
	certificates            []*certificate

	// stopping is closed when the server begins to stop: long polls end then.
	stopping chan struct{}
	stopOnce sync.Once
	closed   sync.Once
	closeErr error
}

// New opens the store, makes what a first start makes, and listens; Run serves. Close releases it all, whether Run was
// called or not.
func New(ctx context.Context, config Config) (_ *Server, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config, err = config.withDefaults(); err != nil {
		return nil, err
	}
	s := &Server{config: config, log: config.Log, stopping: make(chan struct{}), pulse: pulse.New(quiet, patience, time.Now)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, step := range []struct {
		doing string
		do    func(ctx context.Context) error
	}{
		{"opening the store", s.openStore},
		{"loading the fleet", s.load},
		{"listening", s.listen},
		{"setting up the services", s.assemble},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.doing, err)
		}
	}
	return s, nil
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.config.DataDir, 0o700); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the data directory %s cannot be made", s.config.DataDir)
	}
	if s.config.Store == "" {
		s.store, err = sqlite.Open(ctx, s.config.DataDir, s.log.Named("store"))
	} else {
		s.store, err = postgres.Open(ctx, s.config.Store, s.log.Named("store"))
	}
	if err != nil {
		return err
	}
	s.ca, s.key, err = openCA(ctx, s.store, s.config)
	return err
}

func (s *Server) load(ctx context.Context) (err error) {
	if s.snapshot, err = snapshot.Open(ctx, s.store, s.log.Named("snapshot")); err != nil {
		return err
	}
	if err := makeAdminToken(ctx, s.store, s.snapshot, s.config); err != nil {
		return err
	}
	s.observations, err = observation.Open(ctx, s.store, s.shared(), s.config.Now, s.log.Named("observation"))
	if err != nil {
		return err
	}
	s.planner = agentapi.NewPlanner(s.snapshot)
	digester := overview.NewDigester()
	s.fleets = &api.Fleets{Snapshot: s.snapshot, Observations: s.observations, Now: s.config.Now}
	s.trends = api.NewTrends(s.fleets)
	s.feed = feed.New(s.snapshot, s.observations, func() map[string]uint64 {
		fleet, _ := s.fleets.Get()
		return digester.Digests(fleet)
	})
	s.controller = &controller.Controller{
		Store: s.store, Leaser: s.store, Keeper: s.store, Snapshot: s.snapshot, Observations: s.observations,
		Holder: s.holder(), KeepChanges: s.config.KeepChanges, Now: s.config.Now, Log: s.log.Named("controller"),
	}
	return nil
}

// shared tells whether other servers may use the same store.
func (s *Server) shared() bool { return s.config.Store != "" }

// holder is this server's name for leases. On SQLite there is but one server: after a restart it is the same one, which
// need not wait for its own lease to end.
func (s *Server) holder() string {
	if !s.shared() {
		return "sqlite"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "server"
	}
	return host + "/" + uuid.NewString()
}

func (s *Server) listen(ctx context.Context) (err error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes}}
	if s.httpListener, err = lc.Listen(ctx, "tcp", s.config.HTTPAddr); err != nil {
		return fault.Wrap(fault.Unavailable, err, "REST cannot listen on %s", s.config.HTTPAddr)
	}
	if s.grpcListener, err = lc.Listen(ctx, "tcp", s.config.GRPCAddr); err != nil {
		return fault.Wrap(fault.Unavailable, err, "gRPC cannot listen on %s", s.config.GRPCAddr)
	}
	return nil
}

// HTTPAddr is where REST listens, host:port.
func (s *Server) HTTPAddr() string { return s.httpListener.Addr().String() }

// URL is the base of the REST API.
func (s *Server) URL() string {
	if s.config.HTTPCertFile != "" {
		return "https://" + s.HTTPAddr()
	}
	return "http://" + s.HTTPAddr()
}

// GRPCAddr is where gRPC listens, host:port.
func (s *Server) GRPCAddr() string { return s.grpcListener.Addr().String() }

// advertised is where agents are told to reach gRPC.
func (s *Server) advertised() string {
	if s.config.GRPCAdvertise != "" {
		return s.config.GRPCAdvertise
	}
	host, port, err := net.SplitHostPort(s.GRPCAddr())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return s.GRPCAddr()
	}
	// Listening everywhere is no address that others could dial.
	if name, err := os.Hostname(); err == nil {
		host = name
	}
	return net.JoinHostPort(host, port)
}

// AdminTokenFile is where the first start wrote the admin token.
func (s *Server) AdminTokenFile() string { return filepath.Join(s.config.DataDir, AdminTokenFile) }

// Run serves until ctx ends, then lets open requests end. It returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	s.log.Info("serving", "version", s.config.Version, "rest", s.URL(), "grpc", s.GRPCAddr(), "ca", s.ca.Fingerprint(),
		"epoch", s.snapshot.View().Revision().Epoch, "index", s.snapshot.View().Revision().Index)
	// What works in the background outlives the listeners: an open request may still need it.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	group, failed := errgroup.WithContext(background)
	for _, work := range []func(context.Context) error{
		s.snapshot.Run, s.observations.Run, s.planner.Run, s.controller.Run, s.feed.Run, s.trends.Run, s.sessions.Run, s.pulse.Run, memory.New().Run,
		func(ctx context.Context) error { return s.observations.Follow(ctx, s.snapshot) },
	} {
		group.Go(func() error { return endedBy(background, work(background)) })
	}
	for _, c := range s.certificates {
		group.Go(func() error { return c.run(background) })
	}
	group.Go(func() error { return served(s.grpcServer.Serve(s.grpcListener)) })
	group.Go(func() error { return served(s.innerServer.Serve(s.inside)) })
	group.Go(s.serveHTTP)
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	s.log.Info("stopping")
	s.drain()
	stopBackground()
	return group.Wait()
}

// endedBy takes an error for an orderly end when ctx is over.
func endedBy(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end was asked for.
	}
	return err
}

// served takes the error of a server that was stopped before it served for an orderly end.
func served(err error) error {
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

func (s *Server) serveHTTP() error {
	serve := func() error { return s.httpServer.Serve(s.httpListener) }
	if s.httpServer.TLSConfig != nil {
		serve = func() error { return s.httpServer.ServeTLS(s.httpListener, "", "") }
	}
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain ends long polls, lets other requests end for a while, and then cuts them off.
func (s *Server) drain() {
	s.stopOnce.Do(func() { close(s.stopping) })
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		if s.httpServer.Shutdown(ctx) != nil {
			_ = s.httpServer.Close()
		}
	})
	graceful := make(chan struct{})
	wait.Go(func() {
		defer close(graceful)
		s.grpcServer.GracefulStop()
	})
	wait.Go(func() {
		select {
		case <-graceful:
		case <-ctx.Done():
			s.grpcServer.Stop()
		}
	})
	wait.Wait()
	s.innerServer.Stop()
}

// Close releases everything. It may be called more than once; while Run works, it cuts off what is open.
func (s *Server) Close() error {
	s.closed.Do(func() {
		s.stopOnce.Do(func() { close(s.stopping) })
		var errs []error
		ignore := func(err error) {
			if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				errs = append(errs, err)
			}
		}
		if s.httpServer != nil {
			ignore(s.httpServer.Close())
		}
		if s.grpcServer != nil {
			s.grpcServer.Stop()
			s.innerServer.Stop()
		}
		if s.insideConn != nil {
			ignore(s.insideConn.Close())
		}
		for _, l := range []net.Listener{s.httpListener, s.grpcListener} {
			if l != nil {
				ignore(l.Close())
			}
		}
		if s.store != nil {
			ignore(s.store.Close())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}
