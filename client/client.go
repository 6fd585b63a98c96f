package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/resource"
)

// DefaultAddress is where a server listens when nobody said otherwise.
const DefaultAddress = "http://127.0.0.1:8700"

const (
	// requestTimeout is for everything but the time that a blocking query waits.
	requestTimeout = 30 * time.Second
	// maxBody bounds an answer: the server's own limit for messages is 16 MiB, and JSON is larger than protobuf.
	maxBody = 64 << 20
	// maxTries is how often a request is sent that the server has no room for, maxRetryAfter the longest time that it is put off by.
	maxTries      = 6
	maxRetryAfter = 15 * time.Second
)

// Config says which server, and who is asking.
type Config struct {
	// Address is a URL or host:port; a host:port is http on this machine and without CACert, else https.
	// Default: DefaultAddress.
	Address string
	// AllowPlain sends the token without TLS to another machine: only behind something else that encrypts.
	AllowPlain bool
	// Token is the secret of an API token.
	Token string
	// CACert is a file (PEM) with the authority of the server's certificate. Default: those of the system.
	CACert string
	// UserAgent is sent along, for the server's logs.
	UserAgent string
	// Busy hears why the server has no room for a request now, before it is sent again after a pause; nil: nobody needs to know.
	Busy func(why error, pause time.Duration)
}

// Client is a connection to one server (or to many replicas behind one address). It may be used concurrently.
type Client struct {
	base      *url.URL
	token     string
	userAgent string
	http      *http.Client
	busy      func(why error, pause time.Duration)
	// written is the highest index that this client's own writes got.
	written atomic.Uint64
}

// New makes a client; it does not connect yet. Invalid: the address or the CA file is no good.
func New(c Config) (*Client, error) {
	base, err := parseAddress(c.Address, c.CACert != "")
	if err != nil {
		return nil, err
	}
	if base.Scheme == "http" && c.Token != "" && !c.AllowPlain && !loopback(base.Hostname()) {
		return nil, fault.New(fault.Refused, "%s is another machine, and without TLS the API token would cross the network in the clear: "+
			"use https:// (and ISTHMUS_CACERT), or say ISTHMUS_ALLOW_PLAIN=true when something else encrypts the way", base.Host)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CACert != "" {
		pool, err := loadPool(c.CACert)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &Client{base: base, token: c.Token, userAgent: c.UserAgent, busy: c.Busy, http: &http.Client{
		Transport: transport,
		// A server answers itself; who sends elsewhere would have the token sent there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func parseAddress(address string, secure bool) (*url.URL, error) {
	switch {
	case address == "":
		address = DefaultAddress
	case !strings.Contains(address, "://"):
		scheme := "https://"
		if bare, err := url.Parse("//" + address); err == nil && !secure && loopback(bare.Hostname()) {
			scheme = "http://"
		}
		address = scheme + address
	}
	base, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "%q is not the address of a server; expected one like %s or https://isthmus.example.com",
			address, DefaultAddress)
	}
	if base.User != nil {
		return nil, fault.New(fault.Invalid, "the server's address carries a user name or password; use an API token (ISTHMUS_TOKEN_FILE)")
	}
	return base, nil
}

// loopback tells whether a host is this machine for sure: a name other than localhost may point anywhere.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func loadPool(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "read the CA certificate")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fault.New(fault.Invalid, "%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// Address is the URL of the server.
func (c *Client) Address() string { return c.base.String() }

// call is one request.
type call struct {
	method string
	// path is below the base, its segments escaped.
	path  string
	query url.Values
	body  proto.Message
	// wait is how long the server may block.
	wait time.Duration
}

// do sends a request and decodes the answer into out, which may be nil. It returns the index that the answer is as of, 0
// when the server gave none.
func (c *Client) do(ctx context.Context, r call, out proto.Message) (uint64, error) {
	a, err := c.raw(ctx, r)
	if err != nil || out == nil {
		return a.index, err
	}
	if err := a.decode(out); err != nil {
		return 0, err
	}
	return a.index, nil
}

// raw sends a request and returns the successful answer. What the server has no room for it has not begun to do: it is sent
// again when the server says, a few times.
func (c *Client) raw(ctx context.Context, r call) (reply, error) {
	for tries := 1; ; tries++ {
		a, err := c.once(ctx, r)
		pause, again := putOff(err)
		if !again || tries == maxTries {
			return a, err
		}
		if c.busy != nil {
			c.busy(err, pause)
		}
		if !rest(ctx, pause) {
			return reply{}, err
		}
	}
}

// putOff is how long to wait before a request is sent again that was refused with err, if that is worth it. Of those that were told the same
// not all come back at once.
func putOff(err error) (pause time.Duration, again bool) {
	after := fault.RetryAfter(err)
	if fault.CodeOf(err) != fault.Busy || after <= 0 || after > maxRetryAfter {
		return 0, false
	}
	return after + rand.N(after/4+1), true //nolint:gosec // spreads load; nobody gains by guessing it.
}

// once sends a request once.
func (c *Client) once(ctx context.Context, r call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+r.wait)
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return reply{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, c.transportError(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return reply{}, c.transportError(ctx, err)
	}
	if len(data) > maxBody { // what is cut off could pass for less
		return reply{}, fault.New(fault.TooLarge, "the answer of %s is larger than %d MiB", c.base, maxBody>>20)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return reply{}, decodeError(res, data)
	}
	index, _ := strconv.ParseUint(res.Header.Get(resource.IndexHeader), 10, 64)
	if r.method != http.MethodGet {
		c.remember(index)
	}
	return reply{data: data, encoded: isProtobuf(res.Header), index: index}, nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		data, err := protojson.Marshal(r.body)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "encode the request")
		}
		body = bytes.NewReader(data)
	}
	target := c.base.String() + r.path
	query := r.query
	if written := c.written.Load(); r.method == http.MethodGet && written > 0 {
		query = cloneValues(query)
		query.Set("minIndex", strconv.FormatUint(written, 10))
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "make a request")
	}
	req.Header.Set("Accept", accepted)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	return req, nil
}

func cloneValues(v url.Values) url.Values {
	out := make(url.Values, len(v)+1)
	maps.Copy(out, v)
	return out
}

// remember keeps the index of an own write, so that later reads are not older.
func (c *Client) remember(index uint64) {
	for {
		old := c.written.Load()
		if index <= old || c.written.CompareAndSwap(old, index) {
			return
		}
	}
}

// transportError explains why no answer came: the message says what to do, the cause is Go's own.
func (c *Client) transportError(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.Wrap(fault.Canceled, ctx.Err(), "ask %s", c.base)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, ctx.Err(), "%s did not answer in time", c.base)
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fault.Wrap(fault.Unavailable, err, "the certificate of %s is of an unknown authority: name its CA certificate with ISTHMUS_CACERT", c.base)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the URL and method say nothing that the message does not
	}
	return fault.Wrap(fault.Unavailable, err, "cannot reach the server at %s (ISTHMUS_ADDR)", c.base)
}
