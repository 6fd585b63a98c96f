package consul

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Node is a node of the catalog.
type Node struct{ Name, Address string }

// Self is what the Consul agent that we talk to says of itself. A nil flag: it does not say.
type Self struct {
	Datacenter, Version, Node string
	// Server: it is a server, not a client agent.
	Server                             bool
	ACL, TLS, Gossip, Connect, Peering *bool
	// Domain is Consul's, without dots at its ends.
	Domain string
	// PrimaryDatacenter, PrimaryGateways, WANFederation (through mesh gateways) and TokenReplication are what it runs with.
	PrimaryDatacenter               string
	PrimaryGateways                 []string
	WANFederation, TokenReplication *bool
	// DefaultPolicy of ACLs, and of intentions: allow or deny.
	DefaultPolicy, DefaultIntentionPolicy string
}

// Secondary tells that another datacenter is the primary: config entries that are written here go there.
func (s Self) Secondary() bool {
	return s.PrimaryDatacenter != "" && s.PrimaryDatacenter != s.Datacenter
}

// Self asks the Consul agent who it is: the cheapest call that proves that Consul answers and that the token may read it.
func (c *Client) Self(ctx context.Context) (Self, error) {
	var answer map[string]map[string]any
	err := c.do(ctx, "asking Consul who it is", func(ctx context.Context, a *api.Client) error {
		_, err := a.Raw().Query("/v1/agent/self", &answer, options(ctx, Query{}))
		return err
	})
	if err != nil {
		return Self{}, err
	}
	config, debug, stats := answer["Config"], answer["DebugConfig"], answer["Stats"]
	self := Self{
		Datacenter: text(config["Datacenter"]), Version: text(config["Version"]), Node: text(config["NodeName"]),
		Server: isTrue(config["Server"]),
		ACL:    flag(debug["ACLsEnabled"]), Connect: flag(debug["ConnectEnabled"]), Peering: flag(debug["PeeringEnabled"]),
	}
	c.enterprise.Store(strings.Contains(self.Version, "+ent"))
	self.PrimaryDatacenter, self.Domain = text(debug["PrimaryDatacenter"]), strings.Trim(text(debug["DNSDomain"]), ".")
	self.WANFederation, self.TokenReplication = flag(debug["ConnectMeshGatewayWANFederationEnabled"]), flag(debug["ACLTokenReplication"])
	gateways, _ := debug["PrimaryGateways"].([]any)
	for _, g := range gateways {
		self.PrimaryGateways = append(self.PrimaryGateways, text(g))
	}
	if acl, ok := debug["ACLResolverSettings"].(map[string]any); ok {
		self.DefaultPolicy = text(acl["ACLDefaultPolicy"])
	}
	// Consul's own rule: default_intention_policy, or else what ACLs do by default, also when they are off.
	self.DefaultIntentionPolicy = cmp.Or(text(debug["DefaultIntentionPolicy"]), self.DefaultPolicy)
	if lan, ok := stats["serf_lan"].(map[string]any); ok {
		encrypted := text(lan["encrypted"]) == "true"
		self.Gossip = &encrypted
	}
	if tls, ok := debug["TLS"].(map[string]any); ok {
		if rpc, ok := tls["InternalRPC"].(map[string]any); ok {
			self.TLS = flag(rpc["VerifyOutgoing"])
		}
	}
	if self.Datacenter == "" {
		return Self{}, fault.Wrap(fault.Unavailable, &Problem{Reason: Other, Text: "no datacenter in agent/self"}, "Consul does not say which datacenter it is")
	}
	return self, nil
}

func text(v any) string { s, _ := v.(string); return s }

func isTrue(v any) bool { b, _ := v.(bool); return b }

func flag(v any) *bool {
	if b, ok := v.(bool); ok {
		return &b
	}
	return nil
}

// CheckReads proves that the token may read nodes and services. Without these rules Consul answers with empty lists, as if
// there were nothing; but there is always a server's node, and the service consul.
func (c *Client) CheckReads(ctx context.Context) error {
	var nodes []*api.Node
	var services map[string][]string
	err := c.do(ctx, "reading the catalog", func(ctx context.Context, a *api.Client) (err error) {
		if nodes, _, err = a.Catalog().Nodes(options(ctx, Query{})); err != nil {
			return err
		}
		services, _, err = a.Catalog().Services(options(ctx, Query{}))
		return err
	})
	if err != nil {
		return err
	}
	const doing = "reading the catalog: the agent's Consul token lacks the rule "
	if len(nodes) == 0 {
		r := rule("node", "read", "")
		return fault.Wrap(fault.Denied, missing(r, "the catalog shows no nodes"), "%s", doing+r)
	}
	if _, ok := services["consul"]; !ok {
		r := rule("service", "read", "")
		return fault.Wrap(fault.Denied, missing(r, "the catalog shows no service consul"), "%s", doing+r)
	}
	return nil
}

// MeshCA is the CA of the service mesh.
type MeshCA struct {
	TrustDomain string
	// Expires is the end of the active root.
	Expires time.Time
	// Roots are the SHA-256 (hex) of all roots (DER), the active one first.
	Roots []string
}

// MeshCA reads it; one without a trust domain means that Connect is off or not ready.
func (c *Client) MeshCA(ctx context.Context) (MeshCA, error) {
	var out MeshCA
	err := c.do(ctx, "reading the mesh CA", func(ctx context.Context, a *api.Client) error {
		roots, _, err := a.Connect().CARoots(options(ctx, Query{}))
		if err != nil {
			return err
		}
		out = MeshCA{TrustDomain: roots.TrustDomain}
		for _, r := range roots.Roots {
			block, _ := pem.Decode([]byte(r.RootCertPEM))
			if block == nil {
				continue
			}
			sum := sha256.Sum256(block.Bytes)
			out.Roots = append(out.Roots, hex.EncodeToString(sum[:]))
			if r.ID != roots.ActiveRootID {
				continue
			}
			last := len(out.Roots) - 1
			out.Roots[0], out.Roots[last] = out.Roots[last], out.Roots[0]
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
				out.Expires = cert.NotAfter
			}
		}
		if len(out.Roots) > 0 {
			slices.Sort(out.Roots[1:])
		}
		return nil
	})
	return out, err
}

// Replication is the state of ACL replication from a primary datacenter.
type Replication struct {
	Enabled, Running bool
	Source           string
	// Healthy: the last success is later than the last error, which Consul never clears.
	Healthy bool
	// LastError is Consul's text, LastSuccess when it went well last; zero: never.
	LastError   string
	LastSuccess time.Time
}

// Replication reads it. Not enabled when ACLs are off.
func (c *Client) Replication(ctx context.Context) (Replication, error) {
	var out Replication
	err := c.do(ctx, "reading the state of ACL replication", func(ctx context.Context, a *api.Client) error {
		status, _, err := a.ACL().Replication(options(ctx, Query{}))
		var refused api.StatusError
		if errors.As(err, &refused) && refused.Code == http.StatusUnauthorized {
			return nil // ACLs are off
		}
		if err != nil {
			return err
		}
		out = Replication{
			Enabled: status.Enabled, Running: status.Running, Source: status.SourceDatacenter,
			Healthy:   status.Enabled && status.LastSuccess.After(status.LastError),
			LastError: strings.ToValidUTF8(sources.ReplaceAllString(status.LastErrorMessage, "$1 "), "\uFFFD"), LastSuccess: status.LastSuccess,
		}
		return nil
	})
	return out, err
}

// Service is a service of the catalog, or one imported from a peer.
type Service struct {
	Name, Peer string
	// Kind is empty for an ordinary one: mesh-gateway, connect-proxy, …
	Kind      string
	Instances int
	// Troubled: some check of some instance does not pass.
	Troubled bool
	// Mesh: it has a sidecar proxy, or is Connect-native.
	Mesh bool
}

// Services are all services, imported ones included, as Consul's own dashboard gets them: one call, whatever their number.
func (c *Client) Services(ctx context.Context, q Query) ([]Service, uint64, error) {
	var list []struct {
		Name, PeerName, Kind              string
		InstanceCount                     int
		ChecksWarning, ChecksCritical     int
		ConnectedWithProxy, ConnectNative bool
	}
	index, err := c.read(ctx, "listing services", q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		return a.Raw().Query("/v1/internal/ui/services", &list, o)
	})
	out := make([]Service, 0, len(list))
	for _, s := range list {
		if s.InstanceCount == 0 {
			continue // mentioned by a gateway or a proxy, but not there
		}
		out = append(out, Service{
			Name: s.Name, Peer: s.PeerName, Kind: s.Kind, Instances: s.InstanceCount,
			Troubled: s.ChecksWarning+s.ChecksCritical > 0, Mesh: s.ConnectedWithProxy || s.ConnectNative,
		})
	}
	return out, index, err
}

// Instance is one instance of a service.
type Instance struct {
	ID, Node string
	Address  string
	Port     int
	// WAN is the address for other datacenters; empty when none is registered.
	WAN     string
	WANPort int
	Meta    map[string]string
	// Health is Consul's aggregate of its checks: passing, warning, critical or maintenance.
	Health string
}

// Instances are those of a service, of a peer unless peer is empty.
func (c *Client) Instances(ctx context.Context, service, peer string) ([]Instance, error) {
	var out []Instance
	err := c.do(ctx, "reading the instances of "+service, func(ctx context.Context, a *api.Client) error {
		o := options(ctx, Query{})
		o.Peer = peer
		list, _, err := a.Health().Service(service, "", false, o)
		for _, e := range list {
			out = append(out, instanceOf(e))
		}
		return err
	})
	return out, err
}

func instanceOf(e *api.ServiceEntry) Instance {
	i := Instance{
		ID: e.Service.ID, Node: e.Node.Node, Address: e.Service.Address, Port: e.Service.Port,
		Meta: e.Service.Meta, Health: e.Checks.AggregatedStatus(),
	}
	if i.Address == "" {
		i.Address = e.Node.Address
	}
	if wan, ok := e.Service.TaggedAddresses["wan"]; ok {
		i.WAN, i.WANPort = wan.Address, wan.Port
	}
	return i
}
