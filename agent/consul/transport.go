package consul

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"isthmus/fault"
)

// guard lets no call become another one. Names of services, config entries and peerings stand in the paths of Consul's API, and may have been
// thought up by anybody: Consul takes a service-resolver named ../../acl/policy/ID, answers the path of it with a redirect to what it comes to,
// and Go follows that with the same method and token. So a path has to be what it seems, and no redirect is followed: Consul needs none.
type guard struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper. The error is a *fault.Error with a *Problem inside.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if p := r.URL.Path; path.Clean("/"+p) != "/"+strings.TrimPrefix(p, "/") {
		return nil, strange("the path %.200q of a call is not what it seems: a name in it is none", p)
	}
	response, err := g.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // the client's own error
	}
	if response.StatusCode/100 == 3 && response.StatusCode != http.StatusNotModified {
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10)) // so that the connection can be used again
		_ = response.Body.Close()
		return nil, strange("Consul answers with a redirect (%d), which is not followed; is its address right?", response.StatusCode)
	}
	return response, nil
}

func strange(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return fault.Wrap(fault.Refused, &Problem{Reason: Strange, Text: text}, "%s", text)
}
