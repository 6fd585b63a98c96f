package client

import (
	"context"
	"net/http"
	"net/url"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Explain is the way of a call from one service to another, hop by hop; both as service@datacenter or namespace/service@datacenter. Invalid:
// they are not, or there is no such datacenter.
func (c *Client) Explain(ctx context.Context, source, destination string) (*isthmusv1.Explanation, error) {
	out := &isthmusv1.Explanation{}
	query := url.Values{"source": {source}, "destination": {destination}}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/explain", query: query}, out)
	return out, err
}
