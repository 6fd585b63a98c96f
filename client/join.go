package client

import (
	"context"
	"time"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// JoinTokenOptions say what a join token is good for.
type JoinTokenOptions struct {
	Datacenter string
	// Kind is agent (default) or gateway.
	Kind string
	// TTL and Uses: default 15 minutes, one use.
	TTL  time.Duration
	Uses int32
	// Address is the host:port at which the server is reached. Default: what the server says of itself.
	Address string
}

// CreateJoinToken mints a join token with the fleet key, registers its public half, and returns the token: a secret that
// only the caller has.
func (c *Client) CreateJoinToken(ctx context.Context, fleet *identity.FleetKey, o JoinTokenOptions, now time.Time) (string, error) {
	info, err := c.Server(ctx)
	if err != nil {
		return "", err
	}
	if o.Address == "" {
		o.Address = info.GetGrpcAddress()
	}
	token, err := identity.MintJoinToken(fleet, identity.MintOptions{
		Datacenter: o.Datacenter, Kind: o.Kind, TTL: o.TTL, Uses: o.Uses, Address: o.Address, CAFingerprint: info.GetCaFingerprint(),
	}, now)
	if err != nil {
		return "", err
	}
	_, err = c.Create(ctx, &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}})
	if err != nil {
		return "", err
	}
	return token.String(), nil
}
