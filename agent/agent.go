// Package agent is what runs in each datacenter: it pulls the datacenter's desired state from the server, makes the local
// Consul match it, and reports what it sees. It only dials out, and goes on with its last state while the server is away.
//
// Owns: enrolment and renewal of its own identity, its data directory, the long poll, the reconcilers (one file each), the
// leader lock between agents of one datacenter, reports.
// Does not own: how Consul is talked to (agent/consul), how keys are proven (identity), how secrets are sealed (seal), what a
// datacenter shall be (plan).
// Start reading at Agent.Run; then worker.pass, which is one look at everything, and reconciler.
//
//	enrol ─▶ pull ─▶ memory (disk) ─▶ worker ─▶ reconcilers ─▶ Consul
//	           ▲                        ▲ │                       │
//	           │                        │ └─▶ reporter ─▶ server  │
//	         server            watches of Consul ◀────────────────┘
package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/identity"
	"isthmus/resource"
)

const (
	// minPause and maxPause bound the mean pause between calls of a server that does not answer; each is random between
	// nothing and twice that, so that a fleet does not come back in step.
	minPause = 500 * time.Millisecond
	maxPause = 15 * time.Second
	// maxRetryAfter is the longest that a server which has too much to do can send an agent away for.
	maxRetryAfter = time.Minute
)

// Config is everything that an agent can be told.
type Config struct {
	// DataDir holds its identity and its last state.
	DataDir string
	// JoinToken is what it enrols with. Not needed once it is enrolled.
	JoinToken string
	// ServerAddress is dialled in place of the address in the join token.
	ServerAddress string
	// FleetKey is the id (SHA256:…) of the fleet key that it shall believe. Default: the one in the join token. An agent whose
	// token was minted without the fleet key needs it to do peerings.
	FleetKey string
	// EnrolTimeout ends an enrolment that finds no server; 0: never.
	EnrolTimeout time.Duration
	// Consul is where the datacenter's Consul is.
	Consul consul.Settings
	// AllowAdopt lets isthmus take over what somebody else wrote into a config entry, when a policy asks for that and it says the same. From then
	// on the server decides what becomes of it.
	AllowAdopt bool
	// Federation is what this agent may do to its host for a federation, and where the primary's CA is.
	Federation FederationConfig
	// Version is this program's.
	Version string
	// Host names the machine in reports. Default: its host name.
	Host string
	Log  hclog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Hooks are told of progress, for tests.
	Hooks Hooks
}

// FederationConfig is what only flags on the agent's own host allow, never a desired state: it goes beyond Consul's API.
type FederationConfig struct {
	// AllowJoin names the primaries (datacenters, as isthmus calls them; AnyPrimary: any) whose federation this datacenter may join as a
	// secondary, which takes its ACLs and config entries from it, and leave again.
	AllowJoin []string
	// ConfigDir is a directory that this host's Consul server reads its configuration from. Empty: nothing is written.
	ConfigDir string
	// ReloadCommand and RestartCommand are run by a shell after files were written; they return when it is done. Without a restart
	// command the agent says that a restart is required.
	ReloadCommand, RestartCommand string
	// GatewayTokenFile is where the token for the mesh gateway on this host goes. Empty: nowhere.
	GatewayTokenFile string
	// CACertFile and CAKeyFile are the CA of the servers' certificates, which Consul's API does not give. The key is read by the
	// primary's agent only.
	CACertFile, CAKeyFile string
	// AllowedRecipients are age recipients to whom this agent, of a primary, may seal a bundle without a signature of the fleet key.
	AllowedRecipients []string
	// Kubernetes, when set, is where the files go in place of ConfigDir, and the CA comes from.
	Kubernetes KubernetesConfig
}

// AnyPrimary in FederationConfig.AllowJoin allows to join any federation of the fleet. It is no name that a datacenter can have.
const AnyPrimary = "*"

// joins tells whether the flags allow to join a primary, and to leave it.
func (f FederationConfig) joins(primary string) bool {
	return slices.Contains(f.AllowJoin, AnyPrimary) || primary != "" && slices.Contains(f.AllowJoin, primary)
}

// KubernetesConfig is the cluster whose Consul an agent looks after.
type KubernetesConfig struct {
	// Kubeconfig is a file; empty with InCluster.
	Kubeconfig string
	InCluster  bool
	// Namespace that Consul is in. Default: consul.
	Namespace string
	// SecretName is the federation secret's. Default: consul-federation. ServerCertSecret, keyless: server.serverCert.secretName. Default:
	// consul-federation-server.
	SecretName, ServerCertSecret string
	// CACertSecret and CAKeySecret are the primary's, as consul-k8s makes them. Default: consul-ca-cert and consul-ca-key.
	CACertSecret, CAKeySecret string
	// AllowRollout lets the agent roll the StatefulSet of the servers, which is named by StatefulSet. Default: consul-server.
	AllowRollout bool
	StatefulSet  string
}

// Enabled tells whether there is a cluster.
func (k KubernetesConfig) Enabled() bool { return k.InCluster || k.Kubeconfig != "" }

// Hooks are called when something was done; nil ones are not.
type Hooks struct {
	// Enrolled is told the agent's name.
	Enrolled func(agent string)
	// Applied is told of each desired state that was worked through for the first time.
	Applied func(digest string, index uint64)
	// Renewed is told of each new certificate's end.
	Renewed func(expires time.Time)
}

func (h Hooks) enrolled(agent string) {
	if h.Enrolled != nil {
		h.Enrolled(agent)
	}
}

func (h Hooks) applied(digest string, index uint64) {
	if h.Applied != nil {
		h.Applied(digest, index)
	}
}

func (h Hooks) renewed(expires time.Time) {
	if h.Renewed != nil {
		h.Renewed(expires)
	}
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname() // without a name it is an agent without a host in reports
	}
}

// Agent is one agent of one datacenter.
type Agent struct {
	tether
	consul     *consul.Client
	reconciler *reconciler
	worker     *worker
}

// New makes an agent. Nothing runs until Run.
func New(config Config) (*Agent, error) {
	config.setDefaults()
	if config.DataDir == "" {
		return nil, fault.Violated(fault.Violation{Field: "dataDir", Reason: "Required", Message: "an agent needs a directory for its identity and state"})
	}
	config.Consul.OwnTokenFile, config.Consul.OwnCAFile = filepath.Join(config.DataDir, fileToken), filepath.Join(config.DataDir, fileCA)
	c, err := consul.New(config.Consul, config.Log.Named("consul"))
	if err != nil {
		return nil, err
	}
	a := &Agent{tether: tether{config: config, log: config.Log, kind: identity.KindAgent, features: features()}, consul: c}
	a.news = func() { a.worker.kick(); a.worker.kickAmend() }
	return a, nil
}

// Run enrols if need be and works until ctx ends, which is no error. Other errors have an ExitCode.
func (a *Agent) Run(ctx context.Context) error { return a.live(ctx, a.life) }

// life is the agent's life with one identity.
func (a *Agent) life(ctx context.Context) error {
	if err := a.prepare(ctx); err != nil {
		return err
	}
	defer a.link.close()
	defer a.reconciler.prover.wait()
	defer a.reconciler.dials.prover.wait()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.follow(ctx) })
	g.Go(func() error { return a.renewals(ctx) })
	g.Go(func() error { return a.worker.run(ctx) })
	g.Go(func() error { return a.worker.amends(ctx) })
	g.Go(func() error { return a.report(ctx) })
	g.Go(func() error { return a.watch(ctx) })
	return g.Wait() //nolint:wrapcheck // each says what it was doing
}

// prepare brings the agent to where it knows who it is and what it did last.
func (a *Agent) prepare(ctx context.Context) (err error) {
	if a.self, a.link, err = a.enrol(ctx); err != nil {
		return err
	}
	a.memory = openMemory(a.config.DataDir, a.log)
	kept, err := openRecords(a.config.DataDir)
	if err != nil {
		return err
	}
	a.reconciler = &reconciler{
		consul: a.consul, hub: a.link, self: a.self, records: kept,
		now: a.config.Now, log: a.log, pauses: map[string]*pause{}, federation: a.config.Federation,
	}
	if a.reconciler.host, err = newHost(a.config); err != nil {
		return err
	}
	courier, err := newCourier(a.reconciler, a.config.DataDir, a.config.Host)
	if err != nil {
		return err
	}
	a.reporter = newReporter(a.link.report, a.log)
	a.worker = newWorker(a)
	a.worker.courier, a.reconciler.exports.kept = courier, a.worker.mender.kept
	a.reconciler.exports.allowAdopt = a.config.AllowAdopt
	a.reconciler.prover.changed, a.reconciler.dials.prover.changed = a.worker.kick, a.worker.kick
	if state, from, _ := a.memory.current(); state != nil {
		a.log.Info("going on with the last desired state", "digest", from.Digest, "index", from.Index, "items", len(state.GetItems()))
	}
	return nil
}

// watch wakes the worker when something in Consul changes that it looks after.
func (a *Agent) watch(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error {
		consul.Watch(ctx, func(ctx context.Context, q consul.Query) (uint64, error) {
			_, index, err := a.consul.Peerings(ctx, q)
			return index, err
		}, a.worker.kick)
		return nil
	})
	a.worker.watchEntries(ctx, &g)
	g.Go(func() error {
		consul.Watch(ctx, func(ctx context.Context, q consul.Query) (uint64, error) {
			_, index, err := a.consul.Services(ctx, q)
			consul.Wait(ctx, catalogCalm)
			return index, err
		}, a.worker.kickCatalog)
		return nil
	})
	return g.Wait() //nolint:wrapcheck // the watches return none
}

// catalogCalm is the least time between two looks at the catalog, which in a busy datacenter changes all the time.
const catalogCalm = time.Second

// features are the types of desired items that this binary does.
func features() []string {
	return []string{
		resource.ItemPeeringAcceptor, resource.ItemPeeringDialer, resource.ItemExportedServices, resource.ItemMesh,
		resource.ItemProxyDefaults, resource.ItemFederationPrimary, resource.ItemFederationSecondary, resource.ItemProbes,
		resource.ItemConfigEntries,
	}
}

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = minPause, maxPause, 1
	return b
}
