package client

import (
	"context"
	"net/http"
	"net/url"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// ConnectionOptions choose connections; what is empty chooses all.
type ConnectionOptions struct {
	// Datacenter is one of both; Kind is peering or federation, Name that of the Peering or Federation.
	Datacenter, Kind, Name string
	// Verdict is healthy, pending, stale, one-sided, failing, deleting or unknown.
	Verdict string
}

// Connections are the pairs of datacenters that are connected, with the verdict on each and its evidence.
func (c *Client) Connections(ctx context.Context, options ConnectionOptions) ([]*isthmusv1.Connection, error) {
	query := url.Values{}
	for key, value := range map[string]string{
		"datacenter": options.Datacenter, "kind": options.Kind, "name": options.Name, "verdict": options.Verdict,
	} {
		if value != "" {
			query.Set(key, value)
		}
	}
	out := &isthmusv1.ListConnectionsResponse{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/connections", query: query}, out)
	return out.GetConnections(), err
}
