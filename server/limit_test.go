package server_test

import (
	"bufio"
	"context"
	"database/sql" //nolint:depguard // it plays somebody else who has the database.
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server"
	"isthmus/server/limit"
	"isthmus/store/sqlite"
)

// busy expects that a limit was reached: which one, what changes it, and when to come again.
func (n *node) busy(a answer, words ...string) {
	n.t.Helper()
	n.want(http.StatusTooManyRequests, a)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 60 || a.header.Get("X-Isthmus-Fault") != "busy" {
		n.t.Errorf("Retry-After: %v, headers %v", err, a.header)
	}
	var body struct {
		Code    int
		Message string
		Details []struct {
			Type       string `json:"@type"`
			RetryDelay string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Code != int(codes.ResourceExhausted) || len(body.Details) != 1 ||
		body.Details[0].Type != "type.googleapis.com/google.rpc.RetryInfo" || body.Details[0].RetryDelay == "" {
		n.t.Errorf("the body does not say when to come again: %v %s", err, a.body)
	}
	for _, word := range words {
		if !strings.Contains(body.Message, word) {
			n.t.Errorf("%q does not say %q", body.Message, word)
		}
	}
}

// exhausted expects the same over gRPC.
func exhausted(t *testing.T, err error, words ...string) {
	t.Helper()
	st := status.Convert(err)
	var retry *errdetails.RetryInfo
	for _, d := range st.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			retry = r
		}
	}
	if st.Code() != codes.ResourceExhausted || retry.GetRetryDelay().AsDuration() < time.Second {
		t.Errorf("%v does not say when to come again: %v", err, retry)
	}
	for _, word := range words {
		if !strings.Contains(st.Message(), word) {
			t.Errorf("%q does not say %q", st.Message(), word)
		}
	}
}

// refused waits until so many calls were refused because of a limit.
func (n *node) refused(limit string, count int) {
	n.t.Helper()
	n.shows(fmt.Sprintf("isthmus_limit_refused_total{limit=%q} %d\n", limit, count))
}

// shows waits for a line of the metrics.
func (n *node) shows(line string) {
	n.t.Helper()
	eventually(n.t, line, func() (bool, string) {
		return strings.Contains(n.callAs("", http.MethodGet, "/metrics", "").body, line), ""
	})
}

// holds opens reads as somebody, which end with the context; path is one that blocks. It returns when all of them count as they shall.
func (n *node) holds(ctx context.Context, token, path string, count int, line string) (over *sync.WaitGroup) {
	n.t.Helper()
	return n.opens(ctx, count, line, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+path, http.NoBody)
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return r, err
	})
}

// writes is holds for calls that work until the store is free; a store that is busy for long refuses them, and they are made again.
func (n *node) writes(ctx context.Context, token string, count int, line string) (over *sync.WaitGroup) {
	n.t.Helper()
	return n.opens(ctx, count, line, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL()+"/v1/datacenters", strings.NewReader(`{"name":"held","spec":{"runtime":"vm"}}`))
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", jsonType)
		}
		return r, err
	})
}

func (n *node) opens(ctx context.Context, count int, line string, request func() (*http.Request, error)) (over *sync.WaitGroup) {
	n.t.Helper()
	over = &sync.WaitGroup{}
	for range count {
		over.Go(func() {
			r, err := request()
			for ; err == nil; r, err = request() {
				resp, err := http.DefaultClient.Do(r)
				if err == nil {
					_ = resp.Body.Close()
				}
				if ctx.Err() != nil || r.Method == http.MethodGet {
					return
				}
			}
			n.t.Error(err)
		})
	}
	n.shows(line)
	return over
}

// occupied keeps everybody from writing to the store until free is called.
func (n *node) occupied() (free func()) {
	n.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(n.dir, sqlite.File)+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		n.t.Fatal(err)
	}
	tx, err := db.BeginTx(n.t.Context(), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			n.t.Error(err)
		}
	}
}

// far is a read of what this replica does not know yet: it waits some seconds for a write that does not come.
const far = "/v1/datacenters?min-index=1000000"

// frozen is a clock that stands still until it is moved.
type frozen struct {
	mu sync.Mutex
	at time.Time
}

func (f *frozen) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *frozen) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(d)
}

func limited(l limit.Limits) func(*server.Config) {
	return func(c *server.Config) { c.Limits = l }
}

func TestRatesOfTokens(t *testing.T) {
	t.Parallel()
	clock := &frozen{at: time.Now()}
	n := start(t, limited(limit.Limits{Reads: 1, Writes: 1}), func(c *server.Config) { c.Now = clock.now })
	operator, viewer := n.apiToken("operator"), n.apiToken("viewer")
	create := func(token string, i int) answer {
		return n.callAs(token, http.MethodPost, "/v1/datacenters", fmt.Sprintf(`{"name":"dc%d","spec":{"runtime":"vm"}}`, i), "Content-Type", jsonType)
	}
	for i := range 10 {
		n.want(http.StatusOK, n.callAs(operator, http.MethodGet, "/v1/datacenters", ""))
		n.want(http.StatusOK, create(operator, i))
		n.want(http.StatusOK, n.callAs(viewer, http.MethodGet, "/v1/datacenters", ""))
	}
	n.busy(n.callAs(operator, http.MethodGet, "/v1/datacenters", ""), "api-token/", "reads too often", "at most 1 times a second", "--reads-per-second")
	n.busy(create(operator, 10), "writes too often", "--writes-per-second")
	n.busy(n.callAs(viewer, http.MethodGet, "/v1/nothing", ""), "--reads-per-second")
	_, err := isthmusv1.NewDatacenterServiceClient(n.shared()).ListDatacenters(n.as(viewer), &isthmusv1.ListRequest{})
	exhausted(t, err, "--reads-per-second")
	// What a login does is its own, what an admin does fifty times as much; and who may not write does not use up what others may.
	b := n.browse(viewer)
	n.want(http.StatusOK, b.call(http.MethodGet, "/v1/datacenters", ""))
	for range 50 {
		n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters", ""))
	}
	n.want(http.StatusOK, create(n.token, 10))
	n.want(http.StatusForbidden, create(viewer, 11))
	n.refused("reads", 3)
	n.refused("writes", 1)
	clock.advance(time.Second)
	n.want(http.StatusOK, create(operator, 11))
	n.busy(create(operator, 12), "--writes-per-second")
}

func TestRatesOfAgents(t *testing.T) {
	t.Parallel()
	clock := &frozen{at: time.Now()}
	n := start(t, limited(limit.Limits{AgentCalls: 1}), func(c *server.Config) { c.Now = clock.now })
	fleet := fleetKey(t)
	one, other := n.enrolAt(clock.now(), fleet, "dc1", identity.KindAgent), n.enrolAt(clock.now(), fleet, "dc2", identity.KindAgent)
	report := func(a *agent) error {
		_, err := a.sync.Report(t.Context(), &isthmusv1.ReportRequest{})
		return err
	}
	for range 10 {
		if err := report(one); err != nil {
			t.Fatal(err)
		}
	}
	exhausted(t, report(one), "agent/dc1", "calls too often", "--agent-calls-per-second")
	if err := report(other); err != nil {
		t.Errorf("another agent: %v", err)
	}
	n.refused("agent-calls", 1)
}

func TestWaits(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{Waits: 16, WaitsPerToken: 3}))
	const path = "/v1/intentions?index=1&wait=1m" // there are none, and come none
	short := strings.Replace(path, "1m", "10ms", 1)
	n.apply(datacenters("dc1", "dc2"))
	one, other, third, operator := n.apiToken("viewer"), n.apiToken("viewer"), n.apiToken("viewer"), n.apiToken("operator")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held := n.holds(ctx, one, path, 3, `isthmus_requests_waiting{class="viewer"} 3`)
	n.busy(n.callAs(one, http.MethodGet, path, ""), "waits for changes in 3 calls", "--max-waits-per-token")
	n.busy(n.browse(one).call(http.MethodGet, path, ""), "--max-waits-per-token")
	var waiting answer
	eventually(t, "nothing to tell of after the login's event", func() (bool, string) {
		waiting = n.callAs(one, http.MethodGet, "/v1/changes?wait=1m&cursor="+n.changesAs(one, "", "0s").GetCursor(), "")
		return waiting.status != http.StatusOK, waiting.body
	})
	n.busy(waiting, "--max-waits-per-token")
	n.want(http.StatusOK, n.callAs(one, http.MethodGet, "/v1/datacenters", ""))
	n.refused("token-waits", 3)
	// People have half of all, agents the rest, without what is operators' and admins'.
	more := n.holds(ctx, other, path, 3, `isthmus_requests_waiting{class="viewer"} 6`)
	n.busy(n.callAs(third, http.MethodGet, path, ""), "as many calls wait for changes as may", "--max-waits of the server, 16")
	fleet := fleetKey(t)
	for i, a := range []*agent{n.enrol(newWorld(), fleet, "dc1"), n.enrol(newWorld(), fleet, "dc2")} {
		for j := range 4 {
			held.Go(func() { a.polls(ctx) })
			n.shows(fmt.Sprintf(`isthmus_requests_waiting{class="agent"} %d`, 4*i+j+1))
		}
	}
	last := n.enrol(newWorld(), fleet, "dc1")
	eventually(t, "no room for another poll", func() (bool, string) {
		_, err := last.sync.Pull(t.Context(), &isthmusv1.PullRequest{Version: "test"})
		return strings.Contains(status.Convert(err).Message(), "--max-waits of the server"), fmt.Sprint(err)
	})
	n.want(http.StatusOK, n.callAs(operator, http.MethodGet, short, ""))
	n.want(http.StatusOK, n.call(http.MethodGet, short, ""))
	n.want(http.StatusOK, n.callAs(third, http.MethodGet, "/v1/datacenters", ""))
	cancel()
	held.Wait()
	more.Wait()
	n.shows(`isthmus_requests_waiting{class="viewer"} 0`)
	n.shows(`isthmus_requests_waiting{class="agent"} 0`)
	n.shows(`isthmus_requests_working{class="viewer"} 0`)
	n.want(http.StatusOK, n.callAs(third, http.MethodGet, short, ""))
}

// polls keeps one Pull open until the context ends.
func (a *agent) polls(ctx context.Context) {
	request := &isthmusv1.PullRequest{Version: "test", Wait: "1m"}
	for ctx.Err() == nil {
		if response, err := a.sync.Pull(ctx, request); err == nil {
			request.Epoch, request.MinIndex, request.Have = response.GetEpoch(), response.GetIndex(), response.GetDigest()
		} else {
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func TestPlacesToWork(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{Requests: 8, RequestsPerToken: 2}))
	one, other, third, viewer := n.apiToken("operator"), n.apiToken("operator"), n.apiToken("operator"), n.apiToken("viewer")
	login := n.browse(one)
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	free := n.occupied()
	n.writes(ctx, one, 2, `isthmus_requests_working{class="operator"} 2`)
	n.busy(n.callAs(one, http.MethodGet, "/v1/datacenters", ""), "has 2 calls under way", "--max-requests-per-token")
	n.busy(login.call(http.MethodGet, "/v1/datacenters", ""), "has 2 calls under way", "--max-requests-per-token")
	n.refused("token-requests", 2)
	n.writes(ctx, other, 2, `isthmus_requests_working{class="operator"} 4`)
	// The places that operators may take are taken: one more stands in line, and admins, viewers, agents and health checks do not.
	n.writes(ctx, third, 2, `isthmus_requests_in_line{class="operator"} 1`)
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters", ""))
	n.want(http.StatusOK, n.callAs(viewer, http.MethodGet, "/v1/datacenters", ""))
	n.want(http.StatusOK, n.callAs("", http.MethodGet, "/readyz", ""))
	n.want(http.StatusOK, n.callAs("", http.MethodGet, "/healthz", ""))
	if _, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Version: "test"}); err != nil {
		t.Errorf("an agent's poll: %v", err)
	}
	cancel()
	free()
	n.shows(`isthmus_requests_in_line{class="operator"} 0`)
	n.shows(`isthmus_requests_working{class="operator"} 0`)
	n.want(http.StatusOK, n.callAs(third, http.MethodGet, "/v1/datacenters", ""))
}

// Who reads what this replica does not know yet waits, and works on nothing.
func TestReadsAheadTakeNoPlace(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{Requests: 8, RequestsPerToken: 1}))
	viewer := n.apiToken("viewer")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 3 {
		n.holds(ctx, viewer, far, 1, fmt.Sprintf(`isthmus_requests_waiting{class="viewer"} %d`, i+1))
	}
	n.want(http.StatusOK, n.callAs(viewer, http.MethodGet, "/v1/datacenters", ""))
	cancel()
	n.shows(`isthmus_requests_waiting{class="viewer"} 0`)
	n.shows(`isthmus_requests_working{class="viewer"} 0`)
}

// sends opens a request whose body does not come.
func (n *node) sends(head string) net.Conn {
	n.t.Helper()
	connection, err := new(net.Dialer).DialContext(n.t.Context(), "tcp", n.HTTPAddr())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = connection.Close() })
	if _, err := io.WriteString(connection, head); err != nil {
		n.t.Fatal(err)
	}
	return connection
}

// hears reads what is answered to a request that was opened.
func (n *node) hears(connection net.Conn) answer {
	n.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// Large bodies that come slowly take half of the room that there is for such, whoever sends them.
func TestRoomForBodies(t *testing.T) {
	t.Parallel()
	n := start(t)
	one, other := n.apiToken("operator"), n.apiToken("operator")
	apply := func(token string, size int) string {
		return fmt.Sprintf("POST /v1/apply HTTP/1.1\r\nHost: test\r\nContent-Type: application/yaml\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", token, size)
	}
	var open []net.Conn
	for range 4 {
		open = append(open, n.sends(apply(one, 8<<20)))
	}
	n.shows("isthmus_request_bodies_bytes 3.3554432e+07\n")
	n.busy(n.hears(n.sends(apply(one, 8<<20))), "large requests", "no flag changes")
	n.want(http.StatusOK, n.callAs(one, http.MethodPost, "/v1/apply", datacenters("dc1"), "Content-Type", "application/yaml"))
	n.want(http.StatusOK, n.callAs(other, http.MethodPost, "/v1/apply", datacenters("dc2")+strings.Repeat("# comment\n", 50_000), "Content-Type", "application/yaml"))
	for _, c := range open {
		_ = c.Close()
	}
	eventually(t, "room again", func() (bool, string) {
		a := n.callAs(one, http.MethodPost, "/v1/apply", datacenters("dc3")+strings.Repeat("# comment\n", 50_000), "Content-Type", "application/yaml")
		return a.status == http.StatusOK, a.body
	})
}

// Who may not apply takes no room for it, and bodies that operators send slowly leave some to admins.
func TestRoomForBodiesIsTakenByWhoMay(t *testing.T) {
	t.Parallel()
	n := start(t)
	viewer, one, other := n.apiToken("viewer"), n.apiToken("operator"), n.apiToken("operator")
	announced := func(token, path string, size int) net.Conn {
		return n.sends(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/yaml\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", path, token, size))
	}
	for _, path := range []string{"/v1/apply", "/v1/peerings/dc1-dc2:import"} {
		if body := n.want(http.StatusForbidden, n.hears(announced(viewer, path, 1<<20))).body; !strings.Contains(body, "role viewer may not call") {
			t.Errorf("%s: %s", path, body)
		}
	}
	n.shows("isthmus_request_bodies_bytes 0\n")
	for range 4 {
		announced(one, "/v1/apply", 8<<20)
	}
	for range 2 {
		announced(other, "/v1/apply", 8<<20)
	}
	n.shows("isthmus_request_bodies_bytes 5.0331648e+07\n")
	n.busy(n.hears(announced(other, "/v1/apply", 1<<20)), "large requests", "a quarter for admins")
	n.want(http.StatusOK, n.call(http.MethodPost, "/v1/apply", datacenters("dc1")+strings.Repeat("# comment\n", 50_000), "Content-Type", "application/yaml"))
}

// What only reads or deletes has no body that could be kept while it waits.
func TestNoBodies(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		for _, length := range []string{"Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"} {
			got := n.hears(n.sends(fmt.Sprintf("%s /v1/datacenters/dc1 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\n%s", method, n.token, length)))
			n.want(http.StatusRequestEntityTooLarge, got)
		}
	}
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/dc1", ""))
}

// Logins that come slowly keep nobody from logging in.
func TestSlowLogins(t *testing.T) {
	t.Parallel()
	n := start(t)
	for range 300 {
		n.sends("POST /v1/session HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	}
	n.want(http.StatusOK, n.login(n.token))
}

// refusedAtLast does something until a limit has been reached.
func (n *node) refusedAtLast(limit string, do func()) {
	n.t.Helper()
	eventually(n.t, limit, func() (bool, string) {
		do()
		return strings.Contains(n.callAs("", http.MethodGet, "/metrics", "").body, fmt.Sprintf("isthmus_limit_refused_total{limit=%q}", limit)), ""
	})
}

func TestConnections(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{Connections: 8}))
	var open []net.Conn
	// answered: a connection that is there is answered on, and stays.
	answered := func() bool {
		c := n.sends("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		open = append(open, c)
		return true
	}
	for range 8 {
		if !answered() {
			t.Fatalf("%d connections are all that there may be", len(open))
		}
	}
	if answered() {
		t.Error("there is one connection too many")
	}
	for _, c := range open {
		_ = c.Close()
	}
	eventually(t, "room again", func() (bool, string) { return answered(), "" })
	n.refusedAtLast("connections", func() {})
}

// Whatever some do with all that they have: an operator and an agent go on, and nothing is left over.
func TestAbuse(t *testing.T) {
	t.Parallel()
	n := start(t, limited(limit.Limits{Requests: 16, RequestsPerToken: 8, WaitsPerToken: 8, Waits: 64, Reads: 500, Writes: 500}))
	n.apply(datacenters("dc0"))
	operator, a := n.apiToken("operator"), n.enrol(newWorld(), fleetKey(t), "dc0")
	ctx, cancel := context.WithCancel(t.Context())
	var abuse sync.WaitGroup
	for i := range 3 {
		token := n.apiToken([]string{"viewer", "viewer", "operator"}[i])
		for j := range 24 {
			path := []string{"/v1/fleet", "/v1/datacenters?index=1000000&wait=1m", far, "/v1/doctor", "/v1/changes?wait=1m", "/v1/nothing"}[j%6]
			abuse.Go(func() {
				for range 200 {
					r, err := http.NewRequestWithContext(ctx, []string{http.MethodGet, http.MethodPost}[j%2], n.URL()+path, strings.NewReader("{}"))
					if err != nil {
						return
					}
					r.Header.Set("Authorization", "Bearer "+token)
					if resp, err := http.DefaultClient.Do(r); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					} else if ctx.Err() != nil {
						return
					}
				}
			})
		}
	}
	for i := range 20 {
		n.want(http.StatusOK, n.callAs(operator, http.MethodPost, "/v1/datacenters", fmt.Sprintf(`{"name":"own%d","spec":{"runtime":"vm"}}`, i), "Content-Type", jsonType))
		n.want(http.StatusOK, n.callAs(operator, http.MethodGet, "/v1/datacenters", ""))
		n.want(http.StatusOK, n.callAs("", http.MethodGet, "/readyz", ""))
		if _, err := a.sync.Report(t.Context(), &isthmusv1.ReportRequest{}); err != nil {
			t.Fatalf("report %d: %v", i, err)
		}
		if _, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Version: "test"}); err != nil {
			t.Fatalf("pull %d: %v", i, err)
		}
	}
	cancel()
	abuse.Wait()
	for _, class := range []string{"viewer", "agent", "operator", "admin"} {
		for _, what := range []string{"working", "in_line", "waiting"} {
			n.shows(fmt.Sprintf("isthmus_requests_%s{class=%q} 0\n", what, class))
		}
	}
}
