package agent_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/consultest"
)

// human edits config entries in a real Consul as people do: reads one, changes it, and writes it back with check-and-set. What all of the
// edits would have come to without isthmus is kept beside it.
type human struct {
	t    *testing.T
	http *http.Client
	c    *consultest.Cluster
	// alone is each entry as it would be without isthmus; absent: it is not there.
	alone map[entryName]map[string]any
	// plan are the edits that come before the next requests of isthmus.
	mu   sync.Mutex
	plan []plannedEdit
	seen int
	// breakable are the entries in which isthmus wants what it wanted before, or for the first time: who changes there what isthmus wrote and
	// nobody wants any more makes it theirs.
	breakable map[entryName]bool
	before    map[entryName]string
	// failed is what went wrong in an edit between two requests.
	failed error
}

type entryName struct{ kind, name string }

// edit is one change of one entry. It is given the entry as it is (nil: it is not there) and gives it as it shall be; nil deletes it, and the
// same map leaves it alone. ours: it is about isthmus's part, and would not have been made without isthmus.
type edit struct {
	name  string
	at    entryName
	apply func(body map[string]any) map[string]any
	ours  bool
}

type plannedEdit struct {
	edit
	// request is how many requests of isthmus come before it.
	request int
}

func newHuman(t *testing.T, c *consultest.Cluster) *human {
	t.Helper()
	ca, err := os.ReadFile(c.CAFile)
	need(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &human{t: t, c: c, http: &http.Client{Transport: transport}, alone: map[entryName]map[string]any{}}
}

// proxy is how isthmus reaches Consul: edits come between its requests.
func (h *human) proxy() string {
	target, err := url.Parse(h.c.HTTPAddr)
	need(h.t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: h.http.Transport, ErrorHandler: refuse}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if strings.HasPrefix(r.URL.Path, "/v1/config") {
			for len(h.plan) > 0 && h.plan[0].request <= h.seen {
				if err := h.do(h.plan[0].edit); err != nil {
					h.failed = err
				}
				h.plan = h.plan[1:]
			}
			h.seen++
		}
		h.mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	h.t.Cleanup(server.Close)
	return server.URL
}

// refuse answers for a Consul that does not.
func refuse(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }

func (h *human) call(method, path string, in, out any) (status int, text string, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.c.HTTPAddr+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Consul-Token", h.c.ManagementToken)
	answer, err := h.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode == http.StatusOK && out != nil {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		err = decoder.Decode(out)
	}
	return answer.StatusCode, string(raw), err
}

// read is an entry without its indexes; nil: it is not there.
func (h *human) read(at entryName) (body map[string]any, index string, err error) {
	status, text, err := h.call(http.MethodGet, "/v1/config/"+at.kind+"/"+at.name, nil, &body)
	switch {
	case err != nil:
		return nil, "", err
	case status == http.StatusNotFound:
		return nil, "0", nil
	case status != http.StatusOK:
		return nil, "", fmt.Errorf("reading %v: %s", at, text)
	}
	index = fmt.Sprint(body["ModifyIndex"])
	for _, field := range []string{"CreateIndex", "ModifyIndex", "Hash"} {
		delete(body, field)
	}
	return body, index, nil
}

func copied(body map[string]any) map[string]any {
	if body == nil {
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	out := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil {
		panic(err)
	}
	return out
}

// whole is an entry as it is written.
func whole(at entryName, body map[string]any) map[string]any {
	body = copied(body)
	body["Kind"] = at.kind
	if at.kind != "mesh" {
		body["Name"] = at.name
	}
	return body
}

// do makes one edit. One that Consul refuses was not made.
func (h *human) do(e edit) error {
	for {
		body, index, err := h.read(e.at)
		if err != nil {
			return err
		}
		next := e.apply(copied(body))
		if cmp.Equal(next, body) {
			return nil
		}
		var ok bool
		var status int
		var text string
		if next == nil {
			status, text, err = h.call(http.MethodDelete, "/v1/config/"+e.at.kind+"/"+e.at.name+"?cas="+index, nil, &ok)
		} else {
			status, text, err = h.call(http.MethodPut, "/v1/config?cas="+index, whole(e.at, next), &ok)
		}
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			if os.Getenv("ISTHMUS_TEST_VERBOSE") != "" {
				h.t.Logf("refused: %s: %s", e.name, text)
			}
			return nil
		}
		if ok {
			break
		}
	}
	if !e.ours {
		if next := e.apply(copied(h.alone[e.at])); next == nil {
			delete(h.alone, e.at)
		} else {
			h.alone[e.at] = next
		}
	}
	return nil
}

// all are the entries that the test is about.
func (h *human) all() []entryName {
	return []entryName{atRouter, atSplitter, atResolver, atIntentions, atDefaults, atExports, atMesh, atProxies}
}

// start begins with what the human had before isthmus came.
func (h *human) start(t *rapid.T) {
	h.plan, h.failed, h.before, h.breakable = nil, nil, nil, nil
	clear(h.alone)
	for _, at := range h.all() {
		if at == atProxies {
			continue
		}
		if err := h.do(remove(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.do(edit{name: "begins", at: atProxies, apply: func(map[string]any) map[string]any {
		return map[string]any{"Config": map[string]any{"protocol": "http"}}
	}}); err != nil {
		t.Fatal(err)
	}
	h.alone[atProxies] = map[string]any{"Config": map[string]any{"protocol": "http"}}
	for range rapid.IntRange(0, 4).Draw(t, "edits before") {
		if err := h.do(h.edits(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// expect notes what isthmus wants from now on.
func (h *human) expect(state *isthmusv1.DesiredState) {
	now := map[entryName]string{}
	for _, item := range state.GetItems() {
		for _, e := range item.GetConfigEntries().GetEntries() {
			now[entryName{e.GetKind(), e.GetName()}] = resource.Digest(e)
		}
		at := map[string]entryName{"exported-services": atExports, "mesh": atMesh, "proxy-defaults": atProxies}[item.GetType()]
		if at.kind != "" && (at != atExports || len(item.GetExportedServices().GetServices()) > 0) {
			now[at] = resource.Digest(item)
		}
	}
	h.breakable = map[entryName]bool{}
	for at, digest := range now {
		h.breakable[at] = h.before[at] == "" || h.before[at] == digest
	}
	h.before = now
}

// meanwhile plans edits before the next requests of isthmus.
func (h *human) meanwhile(t *rapid.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen, h.plan = 0, nil
	for range rapid.IntRange(0, 5).Draw(t, "edits") {
		h.plan = append(h.plan, plannedEdit{h.edits(t), rapid.IntRange(0, 25).Draw(t, "before request")})
	}
	slices.SortStableFunc(h.plan, func(a, b plannedEdit) int { return a.request - b.request })
}

// quiet ends the edits: those that are left are made now.
func (h *human) quiet(t *rapid.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.plan {
		if err := h.do(p.edit); err != nil {
			t.Fatal(err)
		}
	}
	h.plan = nil
	if h.failed != nil {
		t.Fatal(h.failed)
	}
}
