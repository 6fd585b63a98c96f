package consul

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
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
	// Imported and Exported are the names of the services that come and go over the stream, as its leader knows them.
	Imported, Exported []string
	// Heartbeat is when the last heartbeat came, which each end sends every 15 s, and not before. Received is the latest of a heartbeat,
	// something to store, and an error of receiving; Sent is when something to store was sent, or could not be. Zero: never, since the
	// stream's leader leads. (peerstream.Tracker in Consul)
	Heartbeat, Received, Sent time.Time
	// Deleting: marked for deletion, whatever State says.
	Deleting bool
	// Dialer: this end used a token; the other role's ends have no addresses to dial.
	Dialer bool
	// ServerName and ServerAddresses are the name that the peer's servers are asked for, and where they are dialled; set at the dialer.
	ServerName      string
	ServerAddresses []string
	// Roots are the roots of the peer's mesh CA that this end trusts: SHA-256 (hex) of their DER, sorted.
	Roots []string
}

func peeringOf(p *api.Peering) Peering {
	out := Peering{
		ID: p.ID, PeerID: p.PeerID, Name: p.Name, Meta: p.Meta, State: string(p.State),
		Imported: p.StreamStatus.ImportedServices, Exported: p.StreamStatus.ExportedServices,
		Heartbeat: timeOf(p.StreamStatus.LastHeartbeat), Received: timeOf(p.StreamStatus.LastReceive), Sent: timeOf(p.StreamStatus.LastSend),
		Deleting: p.DeletedAt != nil && !p.DeletedAt.IsZero(),
		Dialer:   len(p.PeerServerAddresses) > 0 || p.PeerID != "",

		ServerName: p.PeerServerName, ServerAddresses: p.PeerServerAddresses,
	}
	for _, text := range p.PeerCAPems {
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			sum := sha256.Sum256(block.Bytes)
			out.Roots = append(out.Roots, hex.EncodeToString(sum[:]))
		}
	}
	slices.Sort(out.Roots)
	return out
}

// timeOf is a time of Consul's, which has two ways of saying never: nothing, and the beginning of time.
func timeOf(t *time.Time) time.Time {
	if t == nil || t.Unix() <= 0 {
		return time.Time{}
	}
	return *t
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

// TransferLeader has Raft's leader hand over to another server, and returns when that leads, or when Consul says that it cannot be. It needs
// operator:write. Refused: there is no other server that could lead.
func (c *Client) TransferLeader(ctx context.Context) error {
	return c.lead(ctx, "transferring the leadership of Consul's servers", func(ctx context.Context, a *api.Client) error {
		answer, err := a.Operator().RaftLeaderTransfer("", options(ctx, Query{}))
		if err == nil && !answer.Success {
			return errors.New("Consul did not do it, and does not say why") //nolint:staticcheck // Consul is a name
		}
		return err
	})
}
