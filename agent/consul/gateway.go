package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

const (
	// gatewayCheckInterval is how often Consul connects to a gateway: one that died is noticed soon, and by all datacenters.
	gatewayCheckInterval = 2 * time.Second
	gatewayCheckTimeout  = 2 * time.Second
	// gatewayGoneAfter is how long one that does not answer stays registered: Consul's own minimum.
	gatewayGoneAfter = time.Minute
	// metaWANFederation is how Consul marks a gateway that servers of other datacenters may use.
	metaWANFederation = "consul-wan-federation"
)

// MeshGateway is how a mesh gateway stands in the catalog.
type MeshGateway struct {
	// ID is unique on the Consul agent, Name the service's.
	ID, Name string
	// LAN and WAN are host:port: what its own datacenter dials, and the others.
	LAN, WAN string
}

// registration is what Consul's agent is told. Its health is whether LAN can be connected to.
func (g MeshGateway) registration() (*api.AgentServiceRegistration, error) {
	lan, err := serviceAddress(g.LAN)
	if err != nil {
		return nil, err
	}
	wan, err := serviceAddress(g.WAN)
	if err != nil {
		return nil, err
	}
	return &api.AgentServiceRegistration{
		Kind: api.ServiceKindMeshGateway, ID: g.ID, Name: g.Name, Address: lan.Address, Port: lan.Port,
		TaggedAddresses: map[string]api.ServiceAddress{"lan": lan, "wan": wan},
		Meta:            map[string]string{metaWANFederation: "1"},
		Check: &api.AgentServiceCheck{
			CheckID: g.checkID(), Name: fmt.Sprintf("Accepts connections (isthmus, every %s)", gatewayCheckInterval), TCP: g.LAN,
			Interval: gatewayCheckInterval.String(), Timeout: gatewayCheckTimeout.String(),
			DeregisterCriticalServiceAfter: gatewayGoneAfter.String(),
		},
	}, nil
}

func (g MeshGateway) checkID() string { return "isthmus:" + g.ID }

func serviceAddress(address string) (api.ServiceAddress, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return api.ServiceAddress{}, fault.Wrap(fault.Invalid, err, "%q is not host:port", address)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || host == "" {
		return api.ServiceAddress{}, fault.New(fault.Invalid, "%q is not host:port", address)
	}
	return api.ServiceAddress{Address: host, Port: int(port)}, nil
}

// EnsureMeshGateway registers a gateway at the Consul agent that we talk to, unless it stands there as it should already. With a note that
// it did not have before it is registered even then, with the token of now: Consul tells the catalog at once only of what is another.
func (c *Client) EnsureMeshGateway(ctx context.Context, g MeshGateway, note string) (registered bool, err error) {
	want, err := g.registration()
	if err != nil {
		return false, err
	}
	err = c.do(ctx, "registering the mesh gateway", func(ctx context.Context, a *api.Client) error {
		same, err := stands(ctx, a, want)
		if err != nil || same && note == "" {
			return err
		}
		want.Check.Notes = note
		registered = true
		return a.Agent().ServiceRegisterOpts(want, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx))
	})
	return registered && err == nil, err
}

// MeshGatewayInCatalog tells whether the catalog, and with it other datacenters, says of a gateway what the Consul agent says. The agent
// brings it there with the token that the gateway was registered with: when that is no more, it cannot.
func (c *Client) MeshGatewayInCatalog(ctx context.Context, g MeshGateway) (bool, error) {
	same := false
	err := c.do(ctx, "comparing the mesh gateway with the catalog", func(ctx context.Context, a *api.Client) error {
		checks, err := a.Agent().ChecksWithFilterOpts("ServiceID == "+strconv.Quote(g.ID), options(ctx, Query{}))
		if err != nil {
			return err
		}
		list, _, err := a.Health().Service(g.Name, "", false, options(ctx, Query{}))
		for _, e := range list {
			own, known := checks[g.checkID()]
			for _, check := range e.Checks {
				same = same || known && e.Service.ID == g.ID && check.CheckID == own.CheckID && check.Status == own.Status
			}
		}
		return err
	})
	return same, err
}

// stands tells whether Consul's agent has the service with that content, and its check.
func stands(ctx context.Context, a *api.Client, want *api.AgentServiceRegistration) (bool, error) {
	have, _, err := a.Agent().Service(want.ID, options(ctx, Query{}))
	var refused api.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if have.Kind != want.Kind || have.Service != want.Name || have.Address != want.Address || have.Port != want.Port || !maps.Equal(have.Meta, want.Meta) {
		return false, nil
	}
	for tag, address := range want.TaggedAddresses {
		if have.TaggedAddresses[tag] != address {
			return false, nil
		}
	}
	checks, err := a.Agent().ChecksWithFilterOpts("ServiceID == "+strconv.Quote(want.ID), options(ctx, Query{}))
	if err != nil {
		return false, err
	}
	check, ok := checks[want.Check.CheckID]
	return ok && check.Name == want.Check.Name && check.Type == "tcp", nil
}

// RemoveMeshGateway takes a gateway out of the Consul agent that we talk to. One that is not there is no error.
func (c *Client) RemoveMeshGateway(ctx context.Context, id string) error {
	return c.do(ctx, "deregistering the mesh gateway", func(ctx context.Context, a *api.Client) error {
		err := a.Agent().ServiceDeregisterOpts(id, options(ctx, Query{}))
		var refused api.StatusError
		if errors.As(err, &refused) && refused.Code == http.StatusNotFound {
			return nil
		}
		return err
	})
}
