// Package kube is the Kubernetes side of a federation: what a datacenter's Consul servers get is a Secret that the Helm chart of Consul
// reads, and the CA of a primary is in Secrets that the chart made.
//
// Owns: the Kubernetes API, as far as an agent may use it (deploy/kubernetes has the exact rights): Secrets by their names, and the
// StatefulSet of the servers. Does not own: what is in the Secret (federation), who may restart when (agent), Consul's configuration,
// which is made of Helm values and cannot be written from here.
// Start reading at Host.
//
//	bundle ─▶ Put ─▶ Secret consul-federation ──(volumes, environment)──▶ StatefulSet consul-server
//	                 Secret of --server-cert-secret (keyless)                  ▲
//	                 annotation isthmus.io/running ◀─ Done     Carry ──────────┘ rolls it, where that is allowed
package kube

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
)

// Names that Consul's Helm chart gives, with its release's name being consul.
const (
	defaultNamespace   = "consul"
	defaultCACert      = "consul-ca-cert"
	defaultCAKey       = "consul-ca-key"
	defaultStatefulSet = "consul-server"
)

// Flags of isthmus agent that messages name.
const (
	flagSecret     = "--federation-secret"
	flagServerCert = "--server-cert-secret"
	flagCACert     = "--ca-cert-secret"
	flagCAKey      = "--ca-key-secret"
	flagRollout    = "--allow-rollout"
)

const (
	// callTimeout bounds one call of the Kubernetes API. The longest calls here are small reads and writes.
	callTimeout = 15 * time.Second
	// rolloutPoll is how often a rollout is looked at: servers take tens of seconds each.
	rolloutPoll = 2 * time.Second
	// rolloutTimeout is generous for five servers that each wait for a volume. The next try goes on with the same rollout.
	rolloutTimeout = 15 * time.Minute
)

// Config says which cluster, what is in it, and what may be done to it. Exactly one of Kubeconfig and InCluster is set.
type Config struct {
	// Kubeconfig is a file; its current context is used.
	Kubeconfig string
	// InCluster: the agent runs in the cluster, with a service account.
	InCluster bool
	// Namespace that Consul is in. Default: consul.
	Namespace string
	// Secret is the federation Secret. Default: consul-federation.
	Secret string
	// ServerCertSecret is the one that the Helm value server.serverCert.secretName names, for a keyless federation. Default:
	// consul-federation-server.
	ServerCertSecret string
	// CACertSecret and CAKeySecret are of a primary. Default: consul-ca-cert and consul-ca-key.
	CACertSecret, CAKeySecret string
	// StatefulSet of the Consul servers. Default: consul-server.
	StatefulSet string
	// AllowRollout lets Carry roll it.
	AllowRollout bool
	// RolloutPoll is how often a rollout is looked at. Default: 2 s.
	RolloutPoll time.Duration
	Log         hclog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	for field, value := range map[*string]string{
		&c.Namespace: defaultNamespace, &c.Secret: federation.DefaultSecretName, &c.ServerCertSecret: federation.DefaultServerCertSecret,
		&c.CACertSecret: defaultCACert, &c.CAKeySecret: defaultCAKey,
		&c.StatefulSet: defaultStatefulSet,
	} {
		if *field == "" {
			*field = value
		}
	}
	if c.RolloutPoll == 0 {
		c.RolloutPoll = rolloutPoll
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Host is the Consul servers of one Kubernetes cluster. It is a delivery.Host, and a source of the CA. Its errors hold a *Problem.
type Host struct {
	config Config
	api    api
	log    hclog.Logger

	mu sync.Mutex
	// put is what the last Put left, and for whom: Carry and Done are about that.
	put   state
	owner string
}

// state is digests of what Secrets hold; empty: nothing.
type state struct{ federation, serverCert string }

var _ delivery.Host = (*Host)(nil)

// NewHost makes one. Nothing is called before it is used.
func NewHost(c Config) (*Host, error) {
	c.setDefaults()
	if c.InCluster == (c.Kubeconfig != "") {
		return nil, fault.New(fault.Invalid, "the Kubernetes cluster is either the one that the agent runs in, or that of a kubeconfig: not both")
	}
	if c.Secret == c.ServerCertSecret {
		return nil, fault.New(fault.Invalid, "%s and %s are two Secrets: give them two names", flagSecret, flagServerCert)
	}
	config, err := c.rest()
	if err != nil {
		return nil, err
	}
	config.Timeout = callTimeout
	config.UserAgent = "isthmus-agent"
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the way to the Kubernetes API is not usable; the log tells why")
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the address of the Kubernetes API is not usable; the log tells why")
	}
	return &Host{config: c, api: newAPI(client, base, c.Namespace), log: c.Log}, nil
}

func newAPI(client *http.Client, base *url.URL, namespace string) api {
	return api{client: client, base: base, namespace: namespace}
}

func (c *Config) rest() (*rest.Config, error) {
	if c.InCluster {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "this agent does not run in a pod with a service account: mount its token, or give a kubeconfig")
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the kubeconfig %s is not usable; the log tells why", c.Kubeconfig)
	}
	return config, nil
}

// CanWrite implements delivery.Host. The Kubernetes API alone knows whether it may: Put tells.
func (h *Host) CanWrite() bool { return true }

// CanRestart implements delivery.Host.
func (h *Host) CanRestart() bool { return h.config.AllowRollout }

// Files implements delivery.Host: where the chart mounts what its values name. Drop-ins are not delivered to Kubernetes.
func (h *Host) Files() federation.TLSFiles {
	return federation.TLSFiles{CA: "/consul/tls/ca/tls.crt", Cert: "/consul/tls/server/tls.crt", Key: "/consul/tls/server/tls.key"}
}

// ReadCA gives the CA of the primary's server certificates and its key (PEM), from the Secrets that the chart keeps them in.
func (h *Host) ReadCA(ctx context.Context) (cert, key []byte, err error) {
	if cert, err = h.readKey(ctx, h.config.CACertSecret, "tls.crt", flagCACert); err != nil {
		return nil, nil, err
	}
	key, err = h.readKey(ctx, h.config.CAKeySecret, "tls.key", flagCAKey)
	return cert, key, err
}

func (h *Host) readKey(ctx context.Context, name, key, option string) ([]byte, error) {
	s, err := h.api.secret(ctx, name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, because(SecretMissing, fault.Refused, "there is no Secret %s in namespace %s, which is to hold the CA of Consul's servers: name the right one with %s", name, h.config.Namespace, option)
	}
	if len(s.Data[key]) == 0 {
		return nil, because(SecretMissing, fault.Refused, "the Secret %s in namespace %s has no %s, which is to hold the CA of Consul's servers: name the right one with %s", name, h.config.Namespace, key, option)
	}
	return s.Data[key], nil
}
