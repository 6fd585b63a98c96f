package limit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/server/auth"
	"isthmus/server/limit"
)

func newLimiter(t rapid.TB, l limit.Limits) (*limit.Limiter, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return limit.New(l, time.Now, registry), registry
}

func caller(role auth.Role, name string) auth.Caller {
	return auth.Caller{Role: role, Name: name, UID: name}
}

// reads is a gauge or a counter of the limiter, by the label's value.
func reads(t rapid.TB, registry *prometheus.Registry, name, label string) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return int(m.GetGauge().GetValue() + m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func arrive(t rapid.TB, l *limit.Limiter, c auth.Caller) *limit.Call {
	t.Helper()
	call, err := l.Arrive(c, false)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

func begin(t rapid.TB, l *limit.Limiter, c auth.Caller) *limit.Call {
	t.Helper()
	call := arrive(t, l, c)
	if err := call.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	return call
}

// within runs f with a context in which limit.Wait knows a call, as the services do for REST.
func within(t rapid.TB, l *limit.Limiter, c *limit.Call, f func(ctx context.Context)) {
	t.Helper()
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(limit.CallKey, c.Name()))
	_, err := l.Inside(ctx, nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, _ any) (any, error) {
		f(ctx)
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// elapse lets time go by, in a bubble.
func elapse(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// No place came free in time: who stands in line is told so, and takes none later.
func TestTheLineHasAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, registry := newLimiter(t, limit.Limits{Requests: 8})
		var held []*limit.Call
		for range 4 {
			held = append(held, begin(t, l, caller(auth.Viewer, "one")))
		}
		late := arrive(t, l, caller(auth.Viewer, "two"))
		start := time.Now()
		err := late.Begin(t.Context())
		if fault.CodeOf(err) != fault.Busy || fault.RetryAfter(err) < time.Second || time.Since(start) != 5*time.Second || !strings.Contains(err.Error(), "--max-requests") {
			t.Errorf("after %s: %v, again after %s", time.Since(start), err, fault.RetryAfter(err))
		}
		late.End()
		// The first in line is the first to go on.
		order := make(chan int, 2)
		for i := range 2 {
			next := arrive(t, l, caller(auth.Viewer, "two"))
			go func() {
				if next.Begin(t.Context()) == nil {
					order <- i
				}
				next.End()
			}()
			synctest.Wait()
		}
		held[0].End()
		synctest.Wait()
		if first, second := <-order, <-order; first != 0 || second != 1 {
			t.Errorf("%d before %d", first, second)
		}
		for _, c := range held {
			c.End()
			c.End()
		}
		if n := reads(t, registry, "isthmus_requests_working", "viewer"); n != 0 {
			t.Errorf("%d places are taken", n)
		}
	})
}

// The line is as long as it may be; who comes then is put off at once, and not all by the same time.
func TestTheLineIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimiter(t, limit.Limits{Requests: 8})
		ctx, cancel := context.WithCancel(t.Context())
		for range 4 {
			begin(t, l, caller(auth.Viewer, "one"))
		}
		var inLine sync.WaitGroup
		for i := range 128 {
			inLine.Go(func() {
				c := arrive(t, l, caller(auth.Viewer, fmt.Sprint("n", i)))
				defer c.End()
				if err := c.Begin(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("in line: %v", err)
				}
			})
		}
		synctest.Wait()
		start, put := time.Now(), map[time.Duration]bool{}
		for range 20 {
			c := arrive(t, l, caller(auth.Viewer, "last"))
			err := c.Begin(ctx)
			if fault.CodeOf(err) != fault.Busy || time.Since(start) != 0 {
				t.Fatalf("after %s: %v", time.Since(start), err)
			}
			put[fault.RetryAfter(err)] = true
			c.End()
		}
		if len(put) < 2 {
			t.Error("all of them come again at the same time")
		}
		begin(t, l, caller(auth.Agent, "agent")).End()
		begin(t, l, caller(auth.Operator, "operator")).End()
		cancel()
		inLine.Wait()
	})
}

// Each class has what the others cannot take.
func TestShares(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]auth.Role{
		"viewers first":   {auth.Viewer, auth.Agent, auth.Operator},
		"agents first":    {auth.Agent, auth.Viewer, auth.Operator},
		"operators first": {auth.Operator, auth.Agent, auth.Viewer},
		"admins first":    {auth.Admin, auth.Viewer, auth.Gateway, auth.Operator},
		"admins last":     {auth.Operator, auth.Agent, auth.Viewer, auth.Admin},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := newLimiter(t, limit.Limits{Requests: 32, RequestsPerToken: 1})
			ctx, cancel := context.WithCancel(t.Context())
			got := map[auth.Role]int{}
			var mu sync.Mutex
			for _, role := range order {
				for i := range 40 {
					c := arrive(t, l, caller(role, fmt.Sprint(role, i)))
					go func() {
						if c.Begin(ctx) == nil {
							mu.Lock()
							got[role]++
							mu.Unlock()
						}
					}()
				}
				synctest.Wait()
			}
			for _, role := range order {
				if got[role] == 0 {
					t.Errorf("%s: %s has no place: %v", name, role, got)
				}
			}
			cancel()
		})
	}
}

// Whatever callers do in whichever order: counts are those of what is under way, shares hold, and nothing is left in the end.
func TestCallsOfAllKinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := limit.Limits{Requests: 8, RequestsPerToken: 3, Waits: 16, WaitsPerToken: 8, Reads: -1, AgentCalls: -1}
		l, _ := newLimiter(t, limits)
		callers := []auth.Caller{
			caller(auth.Viewer, "v1"), caller(auth.Viewer, "v2"), caller(auth.Agent, "a1"), caller(auth.Operator, "o1"), caller(auth.Operator, "o2"), caller(auth.Admin, "ad"),
		}
		type open struct {
			*limit.Call
			who  auth.Caller
			done func()
		}
		var calls []*open
		gone, cancel := context.WithCancel(context.Background())
		cancel() // nobody stands in line here: one goroutine could not go on
		pick := func(t *rapid.T) *open {
			if len(calls) == 0 {
				t.Skip("no call is open")
			}
			return rapid.SampledFrom(calls).Draw(t, "call")
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				who := rapid.SampledFrom(callers).Draw(t, "caller")
				if c, err := l.Arrive(who, rapid.Bool().Draw(t, "write")); err == nil {
					calls = append(calls, &open{Call: c, who: who})
				} else if fault.CodeOf(err) != fault.Busy || fault.RetryAfter(err) <= 0 {
					t.Fatalf("refused with %v", err)
				}
			},
			"begin": func(t *rapid.T) { _ = pick(t).Begin(gone) },
			"body":  func(t *rapid.T) { _ = pick(t).Body(rapid.Int64Range(0, 40<<20).Draw(t, "size")) },
			"wait": func(t *rapid.T) {
				c := pick(t)
				if c.done != nil {
					return
				}
				within(t, l, c.Call, func(ctx context.Context) {
					done, err := limit.Wait(ctx)
					if err == nil {
						c.done = done
					} else if fault.CodeOf(err) != fault.Busy || fault.RetryAfter(err) <= 0 {
						t.Fatalf("refused with %v", err)
					}
				})
			},
			"end": func(t *rapid.T) {
				c := pick(t)
				c.End()
				if c.done != nil {
					c.done() // the service may be behind
				}
			},
			"": func(t *rapid.T) {
				working, line, waiting := l.Counts()
				for class := range working {
					if working[class] < 0 || waiting[class] < 0 || line[class] != 0 {
						t.Fatalf("working: %v, in line: %v, waiting: %v", working, line, waiting)
					}
				}
				if viewers, agents, operators, admins := working[0], working[1], working[2], working[3]; viewers > 4 || agents > 5 || operators > 5 || admins > 5 || viewers+agents+operators+admins > 8 {
					t.Fatalf("working: %v", working)
				}
				if viewers, agents, operators, admins := waiting[0], waiting[1], waiting[2], waiting[3]; viewers > 6 || agents > 14 || viewers+operators+admins > 8 || viewers+agents+operators+admins > 16 {
					t.Fatalf("waiting: %v", waiting)
				}
			},
		})
		for _, c := range calls {
			c.End()
			if c.done != nil {
				c.done()
			}
		}
		if working, line, waiting := l.Counts(); working != [4]int{} || line != [4]int{} || waiting != [4]int{} {
			t.Fatalf("in the end %v work, %v are in line, %v wait", working, line, waiting)
		}
		for _, who := range callers {
			c := begin(t, l, who)
			if err := c.Body(32 << 20); err != nil {
				t.Fatalf("room for bodies is left over: %v", err)
			}
			c.End()
		}
		if n := l.Holders(); n != 0 {
			t.Fatalf("%d callers are remembered to have calls under way", n)
		}
	})
}

// logged is a caller in one of its logins.
func logged(role auth.Role, name, session string) auth.Caller {
	return auth.Caller{Role: role, Name: name, UID: name, Session: session}
}

// However often a token logs in: it has the places of one, in line too, and an admin finds one.
func TestLoginsShareThePlacesOfTheirToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimiter(t, limit.Limits{})
		ctx, cancel := context.WithCancel(t.Context())
		for token := range 4 {
			refused := 0
			for login := range 3 {
				for range 64 {
					c := arrive(t, l, logged(auth.Operator, fmt.Sprint("o", token), fmt.Sprint(login)))
					go func() {
						defer c.End()
						if err := c.Begin(ctx); fault.CodeOf(err) == fault.Busy {
							refused++
							return
						}
						<-ctx.Done()
					}()
					synctest.Wait()
				}
			}
			if refused != 128 {
				t.Errorf("of 192 calls of a token %d are refused", refused)
			}
		}
		// Three tokens have 160 places and 32 in line, the fourth has 64 there: an eighth each is left for the others.
		if working, line, _ := l.Counts(); working[2] != 160 || line[2] != 96 {
			t.Errorf("operators have %d places, and %d stand in line", working[2], line[2])
		}
		start := time.Now()
		begin(t, l, caller(auth.Admin, "admin")).End()
		if time.Since(start) != 0 {
			t.Errorf("the admin stood in line for %s", time.Since(start))
		}
		cancel()
		synctest.Wait()
	})
}

// An agent's certificates of now and of before share its places.
func TestCertificatesShareThePlacesOfTheirAgent(t *testing.T) {
	t.Parallel()
	l, _ := newLimiter(t, limit.Limits{AgentCalls: -1})
	got := 0
	for range 50 {
		for _, role := range []auth.Role{auth.ExpiredAgent, auth.Agent} {
			if _, err := l.Arrive(caller(role, "agent"), true); err == nil {
				got++
			}
		}
	}
	if got != 32 {
		t.Errorf("%d calls of one agent arrive at a time", got)
	}
}

// A quarter of the room for large bodies is for admins, and a token's logins share what it may take of the rest.
func TestRoomForBodiesOfAdmins(t *testing.T) {
	t.Parallel()
	l, _ := newLimiter(t, limit.Limits{})
	taken := 0
	for _, token := range []string{"one", "other"} {
		for login := range 2 {
			for range 4 {
				if arrive(t, l, logged(auth.Operator, token, fmt.Sprint(login))).Body(8<<20) == nil {
					taken += 8
				}
			}
		}
		if want := map[string]int{"one": 32, "other": 48}[token]; taken != want {
			t.Errorf("with those of %s, %d MiB are taken", token, taken)
		}
	}
	for range 2 {
		if err := arrive(t, l, caller(auth.Admin, "admin")).Body(8 << 20); err != nil {
			t.Error(err)
		}
	}
	if err := arrive(t, l, caller(auth.Admin, "admin")).Body(8 << 20); fault.CodeOf(err) != fault.Busy {
		t.Errorf("more than there is room for: %v", err)
	}
}

// Viewers and agents leave waits to operators and admins, and a token's logins share what it may have.
func TestSharesOfWaits(t *testing.T) {
	t.Parallel()
	l, _ := newLimiter(t, limit.Limits{Waits: 32, WaitsPerToken: 8})
	waits := func(c auth.Caller) (ok bool) {
		within(t, l, begin(t, l, c), func(ctx context.Context) {
			_, err := limit.Wait(ctx)
			ok = err == nil
		})
		return ok
	}
	count := func(role auth.Role, names, logins int) (n int) {
		for name := range names {
			for i := range 10 {
				if waits(logged(role, fmt.Sprint(role, name), fmt.Sprint(i%logins))) {
					n++
				}
			}
		}
		return n
	}
	if n := count(auth.Viewer, 1, 3); n != 8 {
		t.Errorf("one viewer waits in %d calls", n)
	}
	if n := count(auth.Viewer, 3, 1); n != 4 {
		t.Errorf("viewers wait in %d calls more", n)
	}
	if n := count(auth.Agent, 3, 1); n != 16 {
		t.Errorf("agents wait in %d calls", n)
	}
	for _, role := range []auth.Role{auth.Operator, auth.Admin} {
		if n := count(role, 1, 1); n != 2 {
			t.Errorf("%s waits in %d calls", role, n)
		}
	}
}

// Those who waited take a place again to hand over what they got, as many at a time as may; a call that was ended meanwhile does not.
func TestWokenTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, registry := newLimiter(t, limit.Limits{Requests: 8, RequestsPerToken: 8, WaitsPerToken: 50})
		changed := make(chan struct{})
		most := 0
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 40 {
			c := begin(t, l, caller(auth.Viewer, fmt.Sprint("v", i/8)))
			all.Go(func() {
				defer c.End()
				within(t, l, c, func(ctx context.Context) {
					done, err := limit.Wait(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					<-changed
					done()
				})
				mu.Lock()
				most = max(most, reads(t, registry, "isthmus_requests_working", "viewer"))
				mu.Unlock()
				elapse(time.Second) // it hands over
			})
			synctest.Wait()
		}
		if n := reads(t, registry, "isthmus_requests_waiting", "viewer"); n != 40 {
			t.Fatalf("%d wait", n)
		}
		start := time.Now()
		close(changed)
		all.Wait()
		if most > 4 || time.Since(start) != 10*time.Second {
			t.Errorf("%d at a time, within %s", most, time.Since(start))
		}
	})
}

func TestLogins(t *testing.T) {
	t.Parallel()
	l, registry := newLimiter(t, limit.Limits{})
	var leave []func()
	for {
		out, err := l.Login()
		if err != nil {
			if fault.CodeOf(err) != fault.Busy || fault.RetryAfter(err) <= 0 {
				t.Error(err)
			}
			break
		}
		leave = append(leave, out)
	}
	for _, out := range leave {
		out()
	}
	if out, err := l.Login(); err != nil || len(leave) != 256 {
		t.Errorf("%d at a time, then %v", len(leave), err)
	} else {
		out()
	}
	if n := reads(t, registry, "isthmus_limit_refused_total", "logins"); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	if p := (limit.Limits{}).Problems(); len(p) != 0 {
		t.Error(p)
	}
	defaults := limit.Default()
	if p := defaults.Problems(); len(p) != 0 {
		t.Error(p)
	}
	none := limit.Limits{Requests: -1, RequestsPerToken: -1, Waits: -1, WaitsPerToken: -1, Reads: -1, Writes: -1, AgentCalls: -1, Connections: -1}
	if p := none.Problems(); len(p) != 0 {
		t.Error(p)
	}
	l, _ := newLimiter(t, none)
	for range 5_000 {
		begin(t, l, caller(auth.Viewer, "v"))
	}
	low := limit.Limits{Requests: 7, Waits: 1, Connections: 1}
	if p := low.Problems(); len(p) != 3 || p[0].Setting != "maxRequests" || !strings.Contains(p[0].Message, "at least 8") {
		t.Error(p)
	}
}

// A connection too many is closed; one that is closed makes room, once.
func TestListen(t *testing.T) {
	t.Parallel()
	l, registry := newLimiter(t, limit.Limits{Connections: 8})
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := l.Listen(inner)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var open []net.Conn
	for range 8 {
		dial()
		open = append(open, <-accepted)
	}
	if _, err := io.ReadAll(dial()); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the ninth: %v", err)
	}
	_ = open[0].Close()
	_ = open[0].Close()
	dial()
	<-accepted
	if _, err := io.ReadAll(dial()); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the tenth: %v", err)
	}
	if n := reads(t, registry, "isthmus_limit_refused_total", "connections"); n != 2 {
		t.Errorf("%d refusals are counted", n)
	}
	_ = listener.Close()
	<-accepted
}

// Who was here once is forgotten when nothing is lost by it.
func TestAccountsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimiter(t, limit.Limits{})
		stays := begin(t, l, caller(auth.Viewer, "stays"))
		for i := range 10_000 {
			begin(t, l, caller(auth.Viewer, fmt.Sprint("v", i))).End()
			elapse(10 * time.Millisecond)
		}
		if n := l.Accounts(); n > 3_500 {
			t.Errorf("%d callers are remembered", n)
		}
		stays.End()
	})
}
