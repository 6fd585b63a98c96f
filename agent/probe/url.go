package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// URL tries to get an answer, whatever it says, from an HTTPS API. Its certificate is not verified: the CA is its cluster's own, and
// nothing is sent to it.
func URL(ctx context.Context, address string) Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil {
		return failed(ReasonInvalid, "it is not https://host:port")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return failed(ReasonInvalid, "it is not https://host:port")
	}
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,                                           // as Consul does
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
		DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	start := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return urlFailure(parsed.Host, err)
	}
	_ = response.Body.Close() // it is not read
	return Result{OK: true, Latency: time.Since(start)}
}

func urlFailure(host string, err error) Result {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return failed(ReasonNotTLS, "what answers at %s does not speak TLS", host)
	}
	if r := dialFailure(host, err); r.Reason != ReasonUnreachable {
		return r
	}
	if isClosed(err) {
		return failed(ReasonHandshake, "%s closes the connection without an answer", host)
	}
	return dialFailure(host, err)
}
