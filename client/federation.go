package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// bundleWait is how long the server waits for a bundle when the request does not say.
const bundleWait = 30 * time.Second

// FederationPlan is what a Federation means for each of its datacenters: what each loses, what restarts, what it becomes. With
// deleting, what deleting the Federation means.
func (c *Client) FederationPlan(ctx context.Context, name string, deleting bool) (*isthmusv1.FederationPlan, error) {
	query := url.Values{}
	if deleting {
		query.Set("delete", "true")
	}
	out := &isthmusv1.FederationPlan{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: federationPath(name) + "/plan", query: query}, out)
	return out, err
}

// RequestBundle has the primary's agent make a bundle for a datacenter without an agent, and waits for it. Refused: the agent says
// why it does not. Timeout: it has not made it in time; asking again goes on waiting for the same one.
func (c *Client) RequestBundle(ctx context.Context, r *isthmusv1.RequestBundleRequest) (*isthmusv1.RequestBundleResponse, error) {
	wait := bundleWait
	if asked, err := time.ParseDuration(r.GetWait()); err == nil {
		wait = asked // the server says what is wrong with any other
	}
	out := &isthmusv1.RequestBundleResponse{}
	_, err := c.do(ctx, call{method: http.MethodPost, path: federationPath(r.GetName()) + ":bundle", body: r, wait: wait}, out)
	return out, err
}

// Members are the servers in the WAN gossip pools as all datacenters together see them: of one federation, or of all when it is empty.
func (c *Client) Members(ctx context.Context, federation string) (*isthmusv1.ListMembersResponse, error) {
	out := &isthmusv1.ListMembersResponse{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/members", query: ofFederation(federation)}, out)
	return out, err
}

// Reachability is who reaches whose gateways: in one federation, or in all when it is empty.
func (c *Client) Reachability(ctx context.Context, federation string) (*isthmusv1.Reachability, error) {
	out := &isthmusv1.Reachability{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/reachability", query: ofFederation(federation)}, out)
	return out, err
}

func federationPath(name string) string { return pathOf(kindOf[*isthmusv1.Federation](), name) }

func ofFederation(name string) url.Values {
	if name == "" {
		return nil
	}
	return url.Values{resource.KindOf(&isthmusv1.Federation{}).Singular: {name}}
}
