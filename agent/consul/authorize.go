package consul

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// Question asks whether the token may do something, in Consul's words: resource intention, access write, of service api.
type Question struct {
	Resource, Segment, Access string
}

// pathAuthorize takes only POST, which consul/api offers for no path of one's own.
const pathAuthorize = "/v1/internal/acl/authorize"

// questioner sends what is for that path by POST.
type questioner struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (q questioner) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == pathAuthorize {
		r = r.Clone(r.Context())
		r.Method = http.MethodPost
	}
	return q.RoundTripper.RoundTrip(r) //nolint:wrapcheck // the client's own error
}

// maxQuestions is how many Consul answers at once.
const maxQuestions = 64

// Authorize tells which questions Consul says yes to, in their order. Any token that Consul knows may ask for itself. Without ACLs everything
// is allowed. This is the way to find out about rights to read: without them, lists are empty rather than refused.
func (c *Client) Authorize(ctx context.Context, questions []Question) ([]bool, error) {
	out := make([]bool, 0, len(questions))
	for len(out) < len(questions) {
		some := questions[len(out):min(len(questions), len(out)+maxQuestions)]
		var answers []struct{ Allow bool }
		err := c.do(ctx, "asking Consul what the token may do", func(ctx context.Context, a *api.Client) error {
			answers = nil
			_, err := a.Raw().Write(pathAuthorize, some, &answers, writing(ctx))
			return err
		})
		var p *Problem
		if errors.As(err, &p) && p.status == http.StatusUnauthorized {
			answers, err = make([]struct{ Allow bool }, len(some)), nil // ACLs are off
			for i := range answers {
				answers[i].Allow = true
			}
		}
		if err != nil {
			return nil, err
		}
		for i := range some {
			out = append(out, i < len(answers) && answers[i].Allow)
		}
	}
	return out, nil
}
