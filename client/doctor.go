package client

import (
	"context"
	"net/http"
	"net/url"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Doctor has the server ask all checks of the fleet, or only those of some ids, about one datacenter when it is not empty. Invalid: there is
// no such id. NotFound: there is no such datacenter.
func (c *Client) Doctor(ctx context.Context, only []string, datacenter string) (*isthmusv1.DoctorReport, error) {
	query := url.Values{}
	if len(only) > 0 {
		query["only"] = only
	}
	if datacenter != "" {
		query.Set("datacenter", datacenter)
	}
	out := &isthmusv1.DoctorReport{}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/doctor", query: query}, out)
	return out, err
}
