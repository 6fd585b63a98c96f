package agent

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// FollowerConfig is everything that a Follower can be told; the fields are those of Config.
type FollowerConfig struct {
	DataDir, JoinToken, ServerAddress, FleetKey string
	// Kind is what it enrols as: identity.KindGateway.
	Kind          string
	EnrolTimeout  time.Duration
	Version, Host string
	Log           hclog.Logger
	Now           func() time.Time
	Hooks         Hooks
}

// Follower is a process that the server tells what to do, and that tells the server how it is, but that is no agent of a datacenter's
// Consul: a gateway. It enrols, renews its certificate and remembers its last state as agents do.
type Follower struct {
	tether
	// updates has room for one: the state may be another.
	updates chan struct{}
}

// NewFollower makes one. Nothing runs until Run.
func NewFollower(config FollowerConfig) (*Follower, error) {
	if config.DataDir == "" {
		return nil, fault.Violated(fault.Violation{Field: "dataDir", Reason: "Required", Message: "a " + config.Kind + " needs a directory for its identity and state"})
	}
	c := Config{
		DataDir: config.DataDir, JoinToken: config.JoinToken, ServerAddress: config.ServerAddress, FleetKey: config.FleetKey,
		EnrolTimeout: config.EnrolTimeout, Version: config.Version, Host: config.Host, Log: config.Log, Now: config.Now, Hooks: config.Hooks,
	}
	c.setDefaults()
	f := &Follower{
		tether:  tether{config: c, log: c.Log, kind: config.Kind, features: featuresOf(config.Kind)},
		updates: make(chan struct{}, 1),
	}
	f.news = f.kick
	f.reporter = newReporter(func(ctx context.Context, r *isthmusv1.ReportRequest) error { return f.link.report(ctx, r) }, f.log)
	return f, nil
}

// featuresOf are the types of desired items that something of a kind does.
func featuresOf(kind string) []string {
	if kind == identity.KindGateway {
		return []string{resource.ItemGatewayRoutes}
	}
	return features()
}

// Enrolled tells whether the data directory holds somebody whom the server knew.
func (f *Follower) Enrolled() bool { return f.enrolledBefore() }

// Report is sent when it is news, as soon as the server can be reached. It must not be changed after.
func (f *Follower) Report(r *isthmusv1.ReportRequest) { f.reporter.set(r) }

// Run enrols if need be and tells apply of the last state that is known, and of each new one, until ctx ends, which is no error. Other
// errors have an ExitCode: the server will not have it. apply is called by one goroutine, with a state that nobody changes.
func (f *Follower) Run(ctx context.Context, apply func(state *isthmusv1.DesiredState)) error {
	// What is remembered counts before there is a server: it may be the only way to it.
	f.memory = openMemory(f.config.DataDir, f.log)
	f.apply(apply)
	return f.live(ctx, func(ctx context.Context) error { return f.life(ctx, apply) })
}

func (f *Follower) life(ctx context.Context, apply func(state *isthmusv1.DesiredState)) (err error) {
	if f.self, f.link, err = f.enrol(ctx); err != nil {
		return err
	}
	defer f.link.close()
	f.reporter.resend()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.follow(ctx) })
	g.Go(func() error { return f.renewals(ctx) })
	g.Go(func() error { return f.report(ctx) })
	g.Go(func() error {
		for f.apply(apply); ; f.apply(apply) {
			select {
			case <-ctx.Done():
				return nil
			case <-f.updates:
			}
		}
	})
	return g.Wait() //nolint:wrapcheck // each says what it was doing
}

// apply hands over the state of now and says so to the server.
func (f *Follower) apply(apply func(state *isthmusv1.DesiredState)) {
	state, from, held := f.memory.current()
	report := &isthmusv1.AgentReport{
		Version: f.config.Version, Features: f.features, Host: f.config.Host, Epoch: from.Epoch, HeldRemovals: int32(held),
	}
	if state != nil {
		apply(state)
		report.AppliedDigest, report.AppliedIndex, report.UnknownItems = from.Digest, from.Index, unknownItems(state, f.features)
	}
	f.reporter.set(&isthmusv1.ReportRequest{Agent: report})
}

func (f *Follower) kick() {
	select {
	case f.updates <- struct{}{}:
	default:
	}
}
