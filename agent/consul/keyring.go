package consul

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/consul/api"
)

// KeyringRow is one gossip pool's keys: that of a datacenter's nodes, or (WAN) that of all servers.
type KeyringRow struct {
	WAN bool
	// Datacenter is Consul's name of whose answer this is.
	Datacenter string
	// Keys and PrimaryKeys are on how many nodes each key (base64) is installed, and encrypts.
	Keys, PrimaryKeys map[Secret]int
	// Nodes are all that answered.
	Nodes int
}

// Primary is the key that every node of the pool encrypts with; false while they differ, as during a rotation.
func (r KeyringRow) Primary() (Secret, bool) {
	if len(r.PrimaryKeys) != 1 {
		return "", false
	}
	for key, nodes := range r.PrimaryKeys {
		return key, nodes == r.Nodes && nodes > 0
	}
	return "", false
}

// Complete tells whether every node of the pool has the key.
func (r KeyringRow) Complete(key Secret) bool { return r.Nodes > 0 && r.Keys[key] == r.Nodes }

// All are the keys that some node has, sorted.
func (r KeyringRow) All() []Secret { return slices.Sorted(maps.Keys(r.Keys)) }

// Keyring lists gossip keys: of every pool that the server can reach, other datacenters' included, or with localOnly of its own
// datacenter's nodes alone. Where gossip is not encrypted Consul answers with an error: see Self.Gossip.
func (c *Client) Keyring(ctx context.Context, localOnly bool) ([]KeyringRow, error) {
	var out []KeyringRow
	err := c.do(ctx, "reading the gossip keyring", func(ctx context.Context, a *api.Client) error {
		o := options(ctx, Query{})
		o.LocalOnly = localOnly
		list, err := a.Operator().KeyringList(o)
		for _, r := range list {
			out = append(out, KeyringRow{WAN: r.WAN, Datacenter: r.Datacenter, Keys: secretKeys(r.Keys), PrimaryKeys: secretKeys(r.PrimaryKeys), Nodes: r.NumNodes})
		}
		return err
	})
	return out, err
}

func secretKeys(in map[string]int) map[Secret]int {
	out := make(map[Secret]int, len(in))
	for key, nodes := range in {
		out[Secret(key)] = nodes
	}
	return out
}

// InstallKey gives a key to every node, of all pools that the server can reach: Consul has no local-only writes. In a datacenter that
// is in no WAN pool these are its own nodes. It may fail after some nodes have it: see KeyringRow.Complete.
func (c *Client) InstallKey(ctx context.Context, key Secret) error {
	return c.keyring(ctx, "installing a gossip key", key, (*api.Operator).KeyringInstall)
}

// UseKey makes every node encrypt with a key that all have. As wide as InstallKey.
func (c *Client) UseKey(ctx context.Context, key Secret) error {
	return c.keyring(ctx, "changing to a gossip key", key, (*api.Operator).KeyringUse)
}

// RemoveKey takes a key, which nobody encrypts with, from every node. As wide as InstallKey.
func (c *Client) RemoveKey(ctx context.Context, key Secret) error {
	return c.keyring(ctx, "removing a gossip key", key, (*api.Operator).KeyringRemove)
}

func (c *Client) keyring(ctx context.Context, doing string, key Secret, change func(*api.Operator, string, *api.WriteOptions) error) error {
	return c.do(ctx, doing, func(ctx context.Context, a *api.Client) error {
		return change(a.Operator(), key.Reveal(), writing(ctx))
	})
}
