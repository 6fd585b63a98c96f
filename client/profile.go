package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Profile is one of the server process, in pprof's format: profile (of the processor's time, watched for so long), heap or goroutine. Admins
// only.
func (c *Client) Profile(ctx context.Context, name string, watch time.Duration) ([]byte, error) {
	query := url.Values{"seconds": {strconv.Itoa(int(watch.Seconds()))}}
	a, err := c.raw(ctx, call{method: http.MethodGet, path: "/debug/pprof/" + url.PathEscape(name), query: query, wait: watch})
	return a.data, err
}
