package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/demo/child"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// How many datacenters a demo has. With one there is nothing to peer; more than eight Consul servers need more than a
// laptop.
const (
	MinDatacenters     = 2
	MaxDatacenters     = 8
	DefaultDatacenters = 3
)

const (
	// startTimeout is for a server, an agent or a gateway of isthmus, ten times what a busy machine with two cores needs.
	startTimeout = 60 * time.Second
	// healthyTimeout is for everything from apply to healthy.
	healthyTimeout = 3 * time.Minute
	// pollInterval is how often what cannot be waited for is asked for.
	pollInterval = 100 * time.Millisecond
)

// Config says how the demo runs.
type Config struct {
	// Executable is the isthmus binary that the children run.
	Executable string
	// HTTPAddr and GRPCAddr are where the server listens if nobody else does: its usual addresses, so that the demo's
	// address is the one in all examples.
	HTTPAddr, GRPCAddr string
	// Datacenters is how many there are: MinDatacenters to MaxDatacenters.
	Datacenters int
	// Keep is a directory, empty or missing, that everything is written to and that stays; empty: a temporary one that goes.
	Keep string
	// Break is how one datacenter is broken when everything is healthy: BreakCut, BreakConsul or BreakGateway; empty: none is.
	Break string
	// Exit ends the demo when it has shown everything; otherwise it runs until ctx ends. With Break it waits before until isthmus says what is
	// broken.
	Exit bool
	// Progress is told how each step comes along. Calls may come from several goroutines.
	Progress func(step, state, message string, done bool)
	// Healthy gets the result when everything is healthy, before anything is broken: nothing is until it returns. nil: nobody wants to know.
	Healthy func(Result) error
	// Ready gets the result when everything is healthy, and then broken if that was asked for.
	Ready func(Result) error
	// Log gets what happens to the Consul servers.
	Log hclog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Result is what the demo shows at its end.
type Result struct {
	// Address and TokenFile are how to log in.
	Address   string
	TokenFile string
	// Dir holds data and logs.
	Dir      string
	Peerings []*isthmusv1.Peering
	// Members and Reachability are the federation's; nil when there is none.
	Members      *isthmusv1.ListMembersResponse
	Reachability *isthmusv1.Reachability
	// Doctor is everything that was asked of the fleet, all of which passes.
	Doctor *isthmusv1.DoctorReport
	// Explanation is the way of a call within the federation; nil when there is none.
	Explanation *isthmusv1.Explanation
	// Discovered are the answers of the other datacenters' Consul when asked for the service.
	Discovered []Discovery
	// Healthy is how long it took from apply until everything was healthy.
	Healthy time.Duration
	// Broken is what was broken after all that was seen; nil when nothing was.
	Broken *Broken
}

// Discovery is one instance of a service of another datacenter, as Consul itself answers.
type Discovery struct {
	Datacenter string
	Service    string
	// From is how it was asked for: ?dc=dc1 within the federation, ?peer=dc1 of a peer.
	From    string
	Node    string
	Address string
	Status  string
}

// Run plays the whole demo. When it returns, everything that it started has ended, and its files are gone unless
// Config.Keep asks for them. The error is nil only when everything became healthy, and with Config.Break and Config.Exit when isthmus said of
// the datacenter that was broken what it is that broke.
func Run(ctx context.Context, c Config) (err error) {
	if c.Datacenters < MinDatacenters || c.Datacenters > MaxDatacenters {
		return fault.New(fault.Invalid, "a demo has %d to %d datacenters, not %d", MinDatacenters, MaxDatacenters, c.Datacenters)
	}
	if err := checkBreak(c.Break, c.Datacenters); err != nil {
		return err
	}
	binary, err := consulrun.Binary(ctx)
	if err != nil {
		return err
	}
	dir, remove, err := makeDir(c.Keep)
	if err != nil {
		return err
	}
	d := &demo{Config: c, dir: dir, consul: binary, sites: sites(c.Datacenters), consuls: map[string]*consulrun.Server{}}
	defer func() { err = errors.Join(err, d.stop(), remove()) }()
	if err := d.play(ctx); err != nil {
		return err
	}
	if c.Exit {
		return nil
	}
	return d.watchOver(ctx)
}

// makeDir makes the directory, and tells how to take it away again.
func makeDir(keep string) (dir string, remove func() error, err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "isthmus-demo-")
		if err != nil {
			return "", nil, fault.Wrap(fault.Internal, err, "make a directory for the demo")
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	dir, err = filepath.Abs(keep)
	if err != nil {
		return "", nil, fault.Wrap(fault.Invalid, err, "make %s", keep)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fault.Wrap(fault.Invalid, err, "make %s", keep)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, fault.Wrap(fault.Invalid, err, "look into %s", keep)
	}
	if len(entries) > 0 {
		return "", nil, fault.New(fault.Refused, "%s is not empty: name a directory that is, or one that does not exist", keep)
	}
	return dir, func() error { return nil }, nil
}

// demo is a demo that runs.
type demo struct {
	Config
	dir    string
	consul string
	sites  []site

	server    *child.Process
	client    *client.Client
	tokenFile string
	fleet     *identity.FleetKey

	mu      sync.Mutex
	consuls map[string]*consulrun.Server
	// agents are the gateways, too.
	agents []enrolled
	// paused is the Consul of a datacenter that was cut off; nil: none was.
	paused *consulrun.Server
}

// enrolled is an agent or a gateway that runs, and of which datacenter.
type enrolled struct {
	*child.Process
	site, kind string
}

// play runs the steps. What does not depend on each other happens at the same time.
func (d *demo) play(ctx context.Context) error {
	d.Progress("isthmus server", "starting", "", false)
	for _, s := range d.sites {
		d.Progress("Consul "+s.name, "waiting", "", false)
	}
	steps, stepsCtx := errgroup.WithContext(ctx)
	steps.Go(func() error {
		return d.step(stepsCtx, "isthmus server", func() (string, error) { return d.startServer(stepsCtx) })
	})
	steps.Go(func() error { return d.startConsuls(stepsCtx) })
	if err := steps.Wait(); err != nil {
		return err
	}
	agents, agentsCtx := errgroup.WithContext(ctx)
	for _, s := range d.sites {
		d.begin(agentsCtx, agents, "agent "+s.name, s, d.startAgent)
		if s.inFederation() {
			d.begin(agentsCtx, agents, "gateway "+s.name, s, d.startGateway)
		}
	}
	if err := agents.Wait(); err != nil {
		return err
	}
	return d.connect(ctx)
}

// begin does a step for a datacenter while others are done.
func (d *demo) begin(ctx context.Context, group *errgroup.Group, name string, s site, start func(context.Context, site) (string, error)) {
	d.Progress(name, "starting", "", false)
	group.Go(func() error {
		return d.step(ctx, name, func() (string, error) { return start(ctx, s) })
	})
}

// startConsuls starts as many Consul servers at a time as there are processors: starting one is computing, mostly.
func (d *demo) startConsuls(ctx context.Context) error {
	consuls, ctx := errgroup.WithContext(ctx)
	consuls.SetLimit(max(2, runtime.NumCPU()))
	for _, s := range d.sites {
		consuls.Go(func() error {
			d.Progress("Consul "+s.name, "starting", "", false)
			return d.step(ctx, "Consul "+s.name, func() (string, error) { return d.startConsul(ctx, s) })
		})
	}
	return consuls.Wait()
}

// step does one step and shows what came of it. Of steps that were cut off, nothing is shown.
func (d *demo) step(ctx context.Context, name string, do func() (string, error)) error {
	said, err := do()
	if err != nil {
		if ctx.Err() == nil {
			d.Progress(name, "failed", "", false)
		}
		return err
	}
	d.Progress(name, said, "", true)
	return nil
}

// watchOver waits for ctx to end. A child that ends before is an error, but for an agent that was deleted, as with its datacenter: that is what it
// has to do.
func (d *demo) watchOver(ctx context.Context) error {
	ended := make(chan *child.Process)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	children := []*child.Process{d.server}
	for _, one := range d.agents {
		children = append(children, one.Process)
	}
	for _, one := range children {
		go func() {
			select {
			case <-one.Done():
			case <-watching.Done():
				return
			}
			if one.ExitCode() == int(agent.ExitAgentDeleted) {
				return
			}
			select {
			case ended <- one:
			case <-watching.Done():
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case one := <-ended:
		return one.Ended()
	}
}

// stop ends everything, agents first: they would only complain. One that was stopped where it was goes on for that, and so does its Consul, which
// an agent may ask a last thing.
func (d *demo) stop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.paused != nil {
		err = d.paused.Resume()
	}
	var stopping errgroup.Group
	for _, agent := range d.agents {
		stopping.Go(func() error { return agent.End(stopTimeout) })
	}
	err = errors.Join(err, stopping.Wait())
	if d.server != nil {
		err = errors.Join(err, d.server.End(stopTimeout))
	}
	var consuls errgroup.Group
	for _, consul := range d.consuls {
		consuls.Go(consul.Stop)
	}
	return errors.Join(err, consuls.Wait())
}
