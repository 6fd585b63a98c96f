package consul

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Consul's own words for the state of a peering.
const (
	StatePending      = string(api.PeeringStatePending)
	StateEstablishing = string(api.PeeringStateEstablishing)
	StateActive       = string(api.PeeringStateActive)
	StateFailing      = string(api.PeeringStateFailing)
	StateDeleting     = string(api.PeeringStateDeleting)
	StateTerminated   = string(api.PeeringStateTerminated)
)

// Peering is one end of a cluster peering, as Consul shows it.
type Peering struct {
	// ID is the end's own, PeerID the one that the other end gave it: set at the dialer.
	ID, PeerID string
	Name       string
	Meta       map[string]string
	State      string
	// Imported and Exported are numbers of services.
	Imported, Exported int
	// LastHeard is the newer of the last heartbeat and the last message received; zero when there was none.
	LastHeard time.Time
	// Deleting: marked for deletion, whatever State says.
	Deleting bool
	// Dialer: this end used a token; the other role's ends have no addresses to dial.
	Dialer bool
	// ServerName and ServerAddresses are the name that the peer's servers are asked for, and where they are dialled; set at the dialer.
	ServerName      string
	ServerAddresses []string
}

func peeringOf(p *api.Peering) Peering {
	out := Peering{
		ID: p.ID, PeerID: p.PeerID, Name: p.Name, Meta: p.Meta, State: string(p.State),
		Imported: len(p.StreamStatus.ImportedServices), Exported: len(p.StreamStatus.ExportedServices),
		Deleting: p.DeletedAt != nil && !p.DeletedAt.IsZero(),
		Dialer:   len(p.PeerServerAddresses) > 0 || p.PeerID != "",

		ServerName: p.PeerServerName, ServerAddresses: p.PeerServerAddresses,
	}
	for _, t := range []*time.Time{p.StreamStatus.LastHeartbeat, p.StreamStatus.LastReceive} {
		// Consul has two ways of saying never: nothing, and the beginning of time.
		if t != nil && t.Unix() > 0 && t.After(out.LastHeard) {
			out.LastHeard = *t
		}
	}
	return out
}

// Peerings are all of the datacenter. A blocking query wakes on what is stored; live states (failing, heartbeats) are
// computed when it is read, so callers poll too.
func (c *Client) Peerings(ctx context.Context, q Query) ([]Peering, uint64, error) {
	var list []*api.Peering
	index, err := c.read(ctx, "listing peerings", q, func(a *api.Client, o *api.QueryOptions) (meta *api.QueryMeta, err error) {
		list, meta, err = a.Peerings().List(o.Context(), o)
		return meta, err
	})
	out := make([]Peering, 0, len(list))
	for _, p := range list {
		out = append(out, peeringOf(p))
	}
	return out, index, err
}

// Peering reads one; NotFound when there is none.
func (c *Client) Peering(ctx context.Context, name string) (Peering, error) {
	var found *api.Peering
	_, err := c.read(ctx, "reading peering "+name, Query{}, func(a *api.Client, o *api.QueryOptions) (meta *api.QueryMeta, err error) {
		found, meta, err = a.Peerings().Read(o.Context(), name, o)
		return meta, err
	})
	switch {
	case err != nil:
		return Peering{}, err
	case found == nil:
		return Peering{}, fault.New(fault.NotFound, "Consul has no peering %s", name)
	}
	return peeringOf(found), nil
}

// TokenRequest asks for a peering token.
type TokenRequest struct {
	Name string
	Meta map[string]string
	// ExternalAddresses are what the dialer tries first.
	ExternalAddresses []string
}

// GenerateToken makes a new token for a peering, which it creates when there is none. An earlier token that nobody used is
// void from then on. Meta of a peering that exists stays as it is.
func (c *Client) GenerateToken(ctx context.Context, r TokenRequest) (Secret, error) {
	var token Secret
	err := c.lead(ctx, "making a token for peering "+r.Name, func(ctx context.Context, a *api.Client) error {
		answer, _, err := a.Peerings().GenerateToken(ctx, api.PeeringGenerateTokenRequest{
			PeerName: r.Name, Meta: r.Meta, ServerExternalAddresses: r.ExternalAddresses,
		}, writing(ctx))
		if err == nil {
			token = Secret(answer.PeeringToken)
		}
		return err
	})
	return token, err
}

// EstablishRequest uses a peering token.
type EstablishRequest struct {
	Name  string
	Token Secret
	// Meta replaces that of a peering that exists, even when Establish fails: always all of it.
	Meta map[string]string
}

// Establish uses a token. When it fails, a peering that did not exist before may have been left behind as PENDING.
func (c *Client) Establish(ctx context.Context, r EstablishRequest) error {
	return c.lead(ctx, "establishing peering "+r.Name, func(ctx context.Context, a *api.Client) error {
		_, _, err := a.Peerings().Establish(ctx, api.PeeringEstablishRequest{
			PeerName: r.Name, PeeringToken: r.Token.Reveal(), Meta: r.Meta,
		}, writing(ctx))
		return err
	})
}

// DeletePeering marks one for deletion; Consul removes it soon after. One that is not there is no error.
func (c *Client) DeletePeering(ctx context.Context, name string) error {
	return c.lead(ctx, "deleting peering "+name, func(ctx context.Context, a *api.Client) error {
		_, err := a.Peerings().Delete(ctx, name, writing(ctx))
		var status api.StatusError
		if errors.As(err, &status) && status.Code == http.StatusNotFound {
			return nil
		}
		return err
	})
}
