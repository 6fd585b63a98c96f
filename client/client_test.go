package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// serve runs a handler and gives a client for it.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Address: server.URL, Token: "isthmus_test_secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func kind(t *testing.T, name string) resource.Kind {
	t.Helper()
	k, ok := resource.KindNamed(name)
	if !ok {
		t.Fatalf("no kind %s", name)
	}
	return k
}

func TestErrorsComeBackAsFaults(t *testing.T) {
	t.Parallel()
	for _, code := range []fault.Code{
		fault.Invalid, fault.NotFound, fault.AlreadyExists, fault.Conflict, fault.Referenced, fault.Refused, fault.Unauthenticated, fault.Denied,
		fault.TooLarge, fault.Busy, fault.Unavailable, fault.Canceled, fault.Timeout, fault.Unimplemented, fault.Internal,
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Isthmus-Fault", string(code))
				w.WriteHeader(code.HTTP())
				fmt.Fprintf(w, `{"code":%d,"message":"no","newField":1,"details":[
					{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"spec.dialer","description":"is missing","reason":"Required"}]}]}`,
					code.GRPC())
			})
			_, err := c.Server(t.Context())
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %T %v", err, err)
			}
			want := &fault.Error{Code: code, Message: "no", Violations: []fault.Violation{{Field: "spec.dialer", Reason: "Required", Message: "is missing"}}}
			if diff := cmp.Diff(want, e); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswersOfOthersAreNoSuccess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   fault.Code
	}{
		"proxy without backend": {502, "<html>Bad Gateway</html>", fault.Unavailable},
		"login page":            {200, "<html>please log in</html>", fault.Unavailable},
		"empty":                 {403, "", fault.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			_, err := c.Server(t.Context())
			if fault.CodeOf(err) != test.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUnreachableServerNamesItsAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := client.New(client.Config{Address: server.URL, Token: "isthmus_test_secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Server(t.Context())
	if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), server.URL) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                           "http://127.0.0.1:8700",
		"hub:8700":                   "https://hub:8700",
		"localhost:8700":             "http://localhost:8700",
		"127.0.0.5:8700":             "http://127.0.0.5:8700",
		"[::1]:8700":                 "http://[::1]:8700",
		"https://hub/isthmus/":       "https://hub/isthmus",
		"ftp://hub":                  "",
		"http://admin:secret@hub":    "",
		"http://":                    "",
		"https://[::1]:8700":         "https://[::1]:8700",
		"not a host with spaces":     "",
		"http://hub\x7f.example.com": "",
	} {
		c, err := client.New(client.Config{Address: address})
		switch {
		case want == "" && fault.CodeOf(err) != fault.Invalid:
			t.Errorf("%q: got %v", address, err)
		case want == "" && strings.Contains(err.Error(), "admin:secret"):
			t.Errorf("%q: the error shows the password", address)
		case want != "" && (err != nil || c.Address() != want):
			t.Errorf("%q: got %v, %v", address, c, err)
		}
	}
}

// A token is sent to another machine in the clear only when somebody says so, and nowhere that a server points to.
func TestTheTokenStaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		config  client.Config
		refused bool
	}{
		{client.Config{Address: "http://hub:8700", Token: "isthmus_test_secret"}, true},
		{client.Config{Address: "http://hub:8700", Token: "isthmus_test_secret", AllowPlain: true}, false},
		{client.Config{Address: "http://hub:8700"}, false},
		{client.Config{Address: "https://hub:8700", Token: "isthmus_test_secret"}, false},
	} {
		if _, err := client.New(tt.config); (fault.CodeOf(err) == fault.Refused) != tt.refused {
			t.Errorf("%s, plain allowed %v: %v", tt.config.Address, tt.config.AllowPlain, err)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the client followed a redirect")
	}))
	t.Cleanup(elsewhere.Close)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Server(t.Context()); err == nil {
		t.Error("a redirect was taken for an answer")
	}
}

func TestListReadsAllPages(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/peering-groups" || r.Header.Get("Authorization") != "Bearer isthmus_test_secret" {
			t.Errorf("asked for %s", r.URL)
		}
		if got := r.URL.Query().Get("selector"); got != "env=demo" {
			t.Errorf("selector %q", got)
		}
		switch r.URL.Query().Get("pageToken") {
		case "":
			fmt.Fprint(w, `{"peeringGroups":[{"name":"a"},{"name":"b","fromTheFuture":true}],"nextPageToken":"b"}`)
		case "b":
			fmt.Fprint(w, `{"peeringGroups":[{"name":"c"}],"nextPageToken":""}`)
		}
	})
	var names []string
	for o, err := range c.List(t.Context(), kind(t, "PeeringGroup"), client.ListOptions{Selector: "env=demo"}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, o.GetName())
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestReadsAreNotOlderThanOwnWrites(t *testing.T) {
	t.Parallel()
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			fmt.Fprint(w, `{"index":"41"}`)
		case http.MethodDelete:
			w.Header().Set("X-Isthmus-Index", "42")
			fmt.Fprint(w, `{"outcome":"deleted"}`)
		default:
			asked = append(asked, r.URL.Query().Get("minIndex"))
			fmt.Fprint(w, `{"name":"dc1"}`)
		}
	})
	get := func() {
		if _, err := client.Lookup[*isthmusv1.Datacenter](t.Context(), c, "dc1"); err != nil {
			t.Fatal(err)
		}
	}
	get()
	if _, err := c.Apply(t.Context(), []byte("kind: Datacenter"), client.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	get()
	if _, err := c.Delete(t.Context(), kind(t, "Datacenter"), "dc1", client.DeleteOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	get()
	if diff := cmp.Diff([]string{"", "41", "42"}, asked); diff != "" {
		t.Error(diff)
	}
}

// feed is a server whose one list changes when the test says so.
type feed struct {
	mu      sync.Mutex
	index   int
	names   []string
	changed chan struct{}
	fail    int
}

func (f *feed) set(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index, f.names = f.index+1, names
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.fail > 0 {
		f.fail--
		f.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	changed := f.changed
	block := r.URL.Query().Get("index") == fmt.Sprint(f.index)
	f.mu.Unlock()
	if block {
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("X-Isthmus-Index", fmt.Sprint(f.index))
	items := []map[string]string{}
	for _, name := range f.names {
		items = append(items, map[string]string{"name": name})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"datacenters": items})
}

func TestWatchSeesChangesAndSurvivesOutages(t *testing.T) {
	t.Parallel()
	f := &feed{index: 1, names: []string{"dc1"}, changed: make(chan struct{}), fail: 2}
	c := serve(t, f.ServeHTTP)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seen []string
	failures := 0
	for objects, err := range c.Watch(ctx, kind(t, "Datacenter"), client.ListOptions{}) {
		if err != nil {
			failures++
			continue
		}
		var names []string
		for _, o := range objects {
			names = append(names, o.GetName())
		}
		seen = append(seen, strings.Join(names, ","))
		switch len(seen) {
		case 1:
			f.set("dc1", "dc2")
		case 2:
			f.set()
		case 3:
			cancel()
		}
	}
	if diff := cmp.Diff([]string{"dc1", "dc1,dc2", ""}, seen); diff != "" || failures != 2 {
		t.Errorf("%d failures, %s", failures, diff)
	}
}

// A log that is longer than a page is followed to its end without waiting, and nothing of it is left out.
func TestFollowEventsReadsAllPages(t *testing.T) {
	t.Parallel()
	const waiting = 3
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if query.Get("pageToken") != "" {
			t.Errorf("asked for %s", r.URL)
		}
		var after int
		_, _ = fmt.Sscan(query.Get("after"), &after)
		w.Header().Set("X-Isthmus-Index", "40")
		if query.Get("index") == "40" {
			if after < waiting+1 {
				t.Errorf("waits after event %d, before the last", after)
			}
			<-r.Context().Done()
			return
		}
		next := ""
		if after < waiting {
			next = "more"
		}
		fmt.Fprintf(w, `{"events":[{"name":"%012d"}],"nextPageToken":%q}`, after+1, next)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var names []string
	for events, err := range c.FollowEvents(ctx, client.EventOptions{}, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			names = append(names, e.GetName())
		}
		if len(names) == waiting+1 {
			cancel()
		}
	}
	if diff := cmp.Diff([]string{"000000000001", "000000000002", "000000000003", "000000000004"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestWatchEndsWithAnErrorThatStays(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	failures := 0
	for _, err := range c.Watch(t.Context(), kind(t, "Datacenter"), client.ListOptions{}) {
		if fault.CodeOf(err) != fault.Denied {
			t.Errorf("got %v", err)
		}
		failures++
	}
	if failures != 1 {
		t.Errorf("%d failures", failures)
	}
}

// What a server has no room for is sent again when it says, with its body, and not for ever.
func TestRequestsThatThereIsNoRoomFor(t *testing.T) {
	t.Parallel()
	const later = `{"code":8,"message":"too often","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"%s"}]}`
	for name, test := range map[string]struct {
		refusals int
		delay    string
		code     fault.Code
		tries    int
		fails    bool
	}{
		"once":                    {1, "0.001s", fault.Busy, 2, false},
		"five times":              {5, "0.001s", fault.Busy, 6, false},
		"always":                  {100, "0.001s", fault.Busy, 6, true},
		"until much later":        {1, "3600s", fault.Busy, 1, true},
		"nobody knows until when": {1, "0s", fault.Busy, 1, true},
		"for its size":            {1, "0.001s", fault.TooLarge, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			tries, told := 0, 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if body, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(body), "kind: Datacenter") {
					t.Errorf("the body is %q, %v", body, err)
				}
				if tries++; tries <= test.refusals {
					w.Header().Set("X-Isthmus-Fault", string(test.code))
					w.WriteHeader(test.code.HTTP())
					fmt.Fprintf(w, later, test.delay)
					return
				}
				fmt.Fprint(w, `{}`)
			}))
			t.Cleanup(server.Close)
			c, err := client.New(client.Config{Address: server.URL, Busy: func(why error, pause time.Duration) {
				if told++; fault.CodeOf(why) != fault.Busy || pause <= 0 {
					t.Errorf("%v for %s", why, pause)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Apply(t.Context(), []byte("kind: Datacenter"), client.ApplyOptions{})
			if (err != nil) != test.fails || tries != test.tries || told != test.tries-1 {
				t.Errorf("%v after %d tries; told of %d", err, tries, told)
			}
		})
	}
}

// A proxy in between may have limits of its own.
func TestRetryAfterOfAProxy(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"20": 20 * time.Second, "": 0, "-1": 0, "Wed, 21 Oct 2026 07:28:00 GMT": 0, "99999999999": 0} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if _, err := c.Server(t.Context()); fault.CodeOf(err) != fault.Busy || fault.RetryAfter(err) != want {
			t.Errorf("%q: %v, again after %s", header, err, fault.RetryAfter(err))
		}
	}
}

// Who stops waiting does so at once.
func TestStoppedWhilePutOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "10")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Address: server.URL, Busy: func(error, time.Duration) { cancel() }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Server(ctx); fault.CodeOf(err) != fault.Busy {
		t.Errorf("%v", err)
	}
}
