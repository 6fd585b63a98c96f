package simulate

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// retryEvery is how often agents try again what did not work.
	retryEvery = time.Second
	// clockEvery is how often each agent tells the server how late it is in the beginning, clockTimes apart from its polls, as real ones do.
	clockEvery = time.Minute
	clockTimes = 3
	// workersPerCPU: a worker waits for the server most of the time.
	workersPerCPU = 16
)

// Fleet is a simulated fleet, made by Start. Its methods may be called concurrently.
type Fleet struct {
	config   Config
	layout   layout
	operator *operator
	// key is the fleet key: of this fleet alone, and kept nowhere.
	key *identity.FleetKey
	// authority is the CA of the Consul servers' certificates.
	authority authority
	world     *world
	queue     *queue
	features  []string
	seed      maphash.Seed
	log       hclog.Logger
	now       func() time.Time

	// agents are all, gateways among them, in the order of their datacenters; sites the one that acts in each. They are made before anything
	// works, and never others.
	agents []*agent
	sites  map[string]*agent

	// faults is held while agents are silenced or let live again, which ends with Close.
	faults sync.Mutex
	ctx    context.Context //nolint:containedctx // it is the fleet's life, which Close ends
	end    context.CancelFunc
	lives  sync.WaitGroup
	closed sync.Once
}

// Start declares a fleet at a server, enrols its agents and lets them work, until Close; ctx bounds the start alone. It returns when all is
// declared: see WaitHealthy. Invalid: the configuration. Refused: the server has datacenters already.
func Start(ctx context.Context, config Config) (_ *Fleet, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	f := &Fleet{
		config: config, layout: newLayout(config), features: features(), seed: maphash.MakeSeed(), log: config.Log, now: config.Now,
		sites: map[string]*agent{},
	}
	f.world = newWorld(f.layout, f.now)
	for _, name := range f.Datacenters() {
		f.sites[name] = &agent{fleet: f, site: f.world.sites[name]}
		f.agents = append(f.agents, f.sites[name])
		if config.Gateways {
			f.agents = append(f.agents, &agent{fleet: f, site: f.world.sites[name], gateway: true})
		}
	}
	f.queue = newQueue(len(f.agents))
	if f.key, err = identity.NewFleetKey(); err != nil {
		return nil, err
	}
	if f.authority, err = newAuthority(f.now()); err != nil {
		return nil, err
	}
	if f.operator, err = newOperator(ctx, config); err != nil {
		return nil, err
	}
	f.ctx, f.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	for range workersPerCPU * runtime.GOMAXPROCS(0) {
		f.lives.Go(func() { f.queue.work(f.ctx) })
	}
	f.lives.Go(f.retry)
	if err := f.declare(ctx); err != nil {
		return nil, err
	}
	f.lives.Go(f.tellTime)
	return f, nil
}

// declare brings the fleet about at the server, agents before what connects them: a peering is looked at again whenever an agent of it comes.
func (f *Fleet) declare(ctx context.Context) error {
	if err := f.operator.checkEmpty(ctx); err != nil {
		return err
	}
	if err := f.apply(ctx, StepDeclare, f.layout.datacenters()); err != nil {
		return err
	}
	if err := f.enrol(ctx); err != nil {
		return err
	}
	return f.apply(ctx, StepConnect, f.layout.connections())
}

func (f *Fleet) apply(ctx context.Context, step string, manifests []string) error {
	return f.operator.apply(ctx, manifests, func(done int) {
		f.config.Progress(Progress{Step: step, Done: done, Total: len(manifests)})
	})
}

// enrol makes all agents and lets them live. They share the connection that they enrol over; afterwards each has its own.
func (f *Fleet) enrol(ctx context.Context) error {
	conn, err := f.operator.dial()
	if err != nil {
		return err
	}
	defer conn.Close() // all answers are there
	api := isthmusv1.NewSyncServiceClient(conn)
	var mu sync.Mutex
	enrolled := 0
	return each(ctx, len(f.agents), func(ctx context.Context, i int) error {
		if err := f.agents[i].enrol(ctx, api); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		enrolled++
		f.config.Progress(Progress{Step: StepEnrol, Done: enrolled, Total: len(f.agents)})
		return f.agents[i].start(f.ctx)
	})
}

// poke has the agents of datacenters look at the world again; empty names are nobody's.
func (f *Fleet) poke(datacenters ...string) {
	for _, name := range datacenters {
		if a := f.sites[name]; a != nil {
			f.queue.put(a)
		}
	}
}

// retry has what did not work tried again.
func (f *Fleet) retry() {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-ticker.C:
			f.queue.tick()
		}
	}
}

// tellTime lets each agent tell the time once in clockEvery, one after the other, and ends when all did so clockTimes.
func (f *Fleet) tellTime() {
	ticker := time.NewTicker(max(time.Millisecond, clockEvery/time.Duration(len(f.agents))))
	defer ticker.Stop()
	for i := range clockTimes * len(f.agents) {
		select {
		case <-f.ctx.Done():
			return
		case <-ticker.C:
		}
		a := f.agents[i%len(f.agents)]
		if l := a.connection(); l != nil {
			f.lives.Go(func() { _ = a.tellTime(f.ctx, l) }) // the next one comes in a minute
		}
	}
}

// Datacenters are the names of all datacenters, in order.
func (f *Fleet) Datacenters() []string {
	out := make([]string, 0, len(f.layout.places))
	for _, p := range f.layout.places {
		out = append(out, p.name)
	}
	return out
}

// Peerings are the names of all peerings that were declared, in the order in which they were chosen: those of hubs first.
func (f *Fleet) Peerings() []string {
	out := make([]string, 0, len(f.layout.pairs))
	for _, p := range f.layout.pairs {
		out = append(out, p.name)
	}
	return out
}

// Close ends all agents and waits for them. What was declared stays at the server, whose datacenters are silent from then on.
func (f *Fleet) Close() {
	f.closed.Do(func() {
		f.faults.Lock()
		defer f.faults.Unlock()
		f.end()
		var closing sync.WaitGroup
		for _, a := range f.agents {
			closing.Go(a.silence)
		}
		closing.Wait()
		f.lives.Wait()
		f.operator.close()
	})
}
