package control_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/gateway"
	"isthmus/gateway/control"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

func need(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	consultest.Await(t, what, func() error {
		if !so() {
			return errors.New("not so yet")
		}
		return nil
	})
}

// plane is a control plane: what it pushes, and what was reported to it.
type plane struct {
	states  chan *isthmusv1.DesiredState
	refusal chan error
	known   bool

	mu       sync.Mutex
	reported *isthmusv1.GatewayReport
}

func newPlane() *plane {
	return &plane{states: make(chan *isthmusv1.DesiredState), refusal: make(chan error, 1)}
}

func (p *plane) Run(ctx context.Context, apply func(*isthmusv1.DesiredState)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-p.states:
			apply(s)
		case err := <-p.refusal:
			return err
		}
	}
}

func (p *plane) Report(r *isthmusv1.ReportRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported = r.GetGateway()
}

func (p *plane) Enrolled() bool { return p.known }

func (p *plane) last() *isthmusv1.GatewayReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return proto.CloneOf(p.reported)
}

func (p *plane) push(consulDatacenter string, routes ...*isthmusv1.GatewayRoute) {
	p.states <- &isthmusv1.DesiredState{ConsulDatacenter: consulDatacenter, Items: []*isthmusv1.DesiredItem{
		{Id: "gateway-routes", Type: "gateway-routes", GatewayRoutes: &isthmusv1.GatewayRoutes{Routes: routes}},
	}}
}

// steered is a gateway that runs with all that steers it.
type steered struct {
	*gateway.Gateway
	*plane
	stop func() error

	mu       sync.Mutex
	table    *gateway.Table
	replaced int
}

// launch runs a gateway of a cluster (nil: of none).
func launch(t testing.TB, cluster *consultest.Cluster, change func(c *control.Config)) *steered {
	t.Helper()
	return launchAt(t, "127.0.0.1:0", cluster, change)
}

// launchAt is launch with an address to listen on.
func launchAt(t testing.TB, listen string, cluster *consultest.Cluster, change func(c *control.Config)) *steered {
	t.Helper()
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: logWriter{t}})
	table, err := gateway.NewTable()
	need(t, err)
	s := &steered{plane: newPlane(), table: table}
	s.Gateway, err = gateway.New(t.Context(), gateway.Config{Listen: listen, DrainTimeout: time.Millisecond, Log: log}, table)
	need(t, err)
	config := control.Config{
		Replace: func(table *gateway.Table) {
			s.mu.Lock()
			s.table = table
			s.replaced++
			s.mu.Unlock()
			s.Gateway.Replace(table)
		},
		Follower: s.plane, LAN: s.Addr(), WAN: s.Addr(), Log: log,
	}
	if cluster != nil {
		config.Consul = client(t, cluster.Env(cluster.MintToken("gateway-"+strings.NewReplacer(".", "-", ":", "-").Replace(s.Addr()), policy(t))))
	}
	if change != nil {
		change(&config)
	}
	steering, err := control.New(config)
	need(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	serving, drain := context.WithCancel(context.WithoutCancel(t.Context()))
	var wait sync.WaitGroup
	var failed, served error
	wait.Go(func() { served = s.Run(serving) })
	wait.Go(func() { defer drain(); failed = steering.Run(ctx) })
	s.stop = func() error {
		cancel()
		wait.Wait()
		return errors.Join(failed, served)
	}
	t.Cleanup(func() { _ = s.stop() })
	return s
}

// Run is the gateway's.
func (s *steered) Run(ctx context.Context) error { return s.Gateway.Run(ctx) }

func client(t testing.TB, env []string) *consul.Client {
	t.Helper()
	settings, err := consul.FromEnv(func(name string) (string, bool) {
		for _, pair := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	})
	need(t, err)
	c, err := consul.New(settings, hclog.NewNullLogger())
	need(t, err)
	return c
}

// leads tells where a name leads.
func (s *steered) leads(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.table.Lookup(name)
	return e.Addresses
}

func (s *steered) replacements() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replaced
}

// metric is the value of one series, 0 when there is none.
func (s *steered) metric(t testing.TB, series string) float64 {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			need(t, err)
			return n
		}
	}
	return 0
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	need(t, err)
	return n
}

// standing is one mesh gateway of the catalog.
type standing struct {
	Service struct {
		ID              string
		Meta            map[string]string
		TaggedAddresses map[string]struct {
			Address string
			Port    int
		}
		CreateIndex, ModifyIndex int
	}
	Checks []struct{ CheckID, Status string }
}

func meshGateways(c *consultest.Cluster) []standing {
	var list []standing
	c.Do(http.MethodGet, "/v1/health/service/mesh-gateway", nil, &list)
	return list
}

func policy(t testing.TB) string {
	t.Helper()
	rules, err := agent.Policy(agent.PurposeGateway)
	need(t, err)
	return rules
}

// proxy stands before a Consul, and answers some paths itself.
type proxy struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request) bool
	next   http.Handler
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	if answer == nil || !answer(w, r) {
		p.next.ServeHTTP(w, r)
	}
}

func (p *proxy) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// before runs a proxy before a cluster and gives its address.
func before(t testing.TB, c *consultest.Cluster, transport http.RoundTripper) (*proxy, string) {
	t.Helper()
	target, err := url.Parse("http://consul")
	need(t, err)
	p := &proxy{next: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	need(t, err)
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return p, listener.Addr().String()
}

// socket dials a Consul's unix socket.
func socket(path string) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
}

func tokenFile(t testing.TB) (path string, write func(token string)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "token")
	return path, func(token string) { need(t, os.WriteFile(path, []byte(token+"\n"), 0o600)) }
}

// logWriter is a test's log. What comes after the test is lost.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}
