package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server"
	"isthmus/server/limit"
)

const protobufType = "application/protobuf"

// Who prefers protobuf is given it where there is an answer; bodies and errors are JSON for everybody.
func TestAnswersInProtobuf(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2"))
	const list = "/v1/datacenters"
	for accept, want := range map[string]string{
		"": jsonType, "*/*": jsonType, "application/*": jsonType, "text/html": jsonType, protobufType + ";q=0": jsonType, "; q": jsonType,
		protobufType + ";q=0.5, application/json": jsonType,
		protobufType:                              protobufType,
		"Application/Protobuf; charset=x":         protobufType,
		"text/html, " + protobufType:              protobufType,
		protobufType + ", application/json;q=0.5": protobufType,
	} {
		a := n.want(http.StatusOK, n.call(http.MethodGet, list, "", "Accept", accept))
		if got := a.header.Get("Content-Type"); got != want {
			t.Errorf("%q is answered with %s", accept, got)
		}
	}
	inJSON, inProtobuf := &isthmusv1.ListDatacentersResponse{}, &isthmusv1.ListDatacentersResponse{}
	if err := errors.Join(protojson.Unmarshal([]byte(n.call(http.MethodGet, list, "").body), inJSON),
		proto.Unmarshal([]byte(n.call(http.MethodGet, list, "", "Accept", protobufType).body), inProtobuf)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inJSON, inProtobuf, protocmp.Transform()); diff != "" || len(inJSON.GetDatacenters()) != 2 {
		t.Error(diff)
	}
	empty := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/peerings", "", "Accept", protobufType))
	if empty.body != "" || empty.header.Get("Content-Type") != protobufType || empty.header.Get("X-Isthmus-Index") == "" {
		t.Errorf("no peerings: %+v", empty)
	}

	created := n.want(http.StatusOK, n.call(http.MethodPost, list, `{"name":"dc3","spec":{"runtime":"vm"}}`, "Accept", protobufType, "Content-Type", protobufType))
	dc := &isthmusv1.Datacenter{}
	if err := proto.Unmarshal([]byte(created.body), dc); err != nil || dc.GetName() != "dc3" || dc.GetUid() == "" {
		t.Errorf("created %v: %v", dc, err)
	}
	for _, a := range []answer{
		n.callAs("", http.MethodGet, list, "", "Accept", protobufType),
		n.call(http.MethodGet, list+"/nowhere", "", "Accept", protobufType),
		n.call(http.MethodGet, "/v1/nothing", "", "Accept", protobufType),
		n.call(http.MethodPost, list, created.body, "Accept", protobufType, "Content-Type", protobufType),
		n.call(http.MethodPost, list, `{"name":"dc4","spec":{"runtim":"vm"}}`, "Accept", protobufType),
	} {
		if a.status < http.StatusBadRequest || a.header.Get("Content-Type") != jsonType || a.fields(t)["message"] == "" {
			t.Errorf("%+v is no error in JSON", a)
		}
	}
}

// older is a proxy that keeps from the server that somebody would take protobuf, as if the server were one that does not know of it.
func (n *node) older() (address string) {
	n.t.Helper()
	target, err := url.Parse(n.URL())
	if err != nil {
		n.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: hclog.NewNullLogger().StandardLogger(nil),
		Rewrite: func(r *httputil.ProxyRequest) {
			if !strings.Contains(r.In.Header.Get("Accept"), protobufType) {
				n.t.Errorf("the client accepts %s", r.In.Header.Get("Accept"))
			}
			r.SetURL(target)
			r.Out.Header.Set("Accept", jsonType)
		},
		ModifyResponse: func(answer *http.Response) error {
			if got := answer.Header.Get("Content-Type"); got != jsonType {
				n.t.Errorf("the server answers with %s", got)
			}
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	n.t.Cleanup(server.Close)
	return server.URL
}

// clients are one that is answered in protobuf, and one that is answered in JSON.
func (n *node) clients(token string, busy func(error, time.Duration)) map[string]*client.Client {
	n.t.Helper()
	out := map[string]*client.Client{}
	for name, address := range map[string]string{"protobuf": n.URL(), "JSON": n.older()} {
		c, err := client.New(client.Config{Address: address, Token: token, Busy: busy})
		if err != nil {
			n.t.Fatal(err)
		}
		out[name] = c
	}
	return out
}

// The Go client finds the same in both forms: lists of all kinds, one resource, events, what it wrote, and what it waits for.
func TestClientReadsBothForms(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n" +
		"---\nkind: PeeringGroup\nname: all\nspec: {shape: full-mesh, selector: env=nothing}\n")
	both := n.clients(n.token, nil)
	for _, kind := range resource.Kinds() {
		// Controllers and agents write while it reads.
		eventually(t, kind.Plural+" that are the same in both forms", func() (bool, string) {
			inJSON, err := both["JSON"].All(t.Context(), kind, client.ListOptions{})
			inProtobuf, err2 := both["protobuf"].All(t.Context(), kind, client.ListOptions{})
			if err := errors.Join(err, err2); err != nil {
				t.Fatalf("%s: %v", kind.Plural, err)
			}
			diff := cmp.Diff(inJSON, inProtobuf, protocmp.Transform())
			return diff == "", diff
		})
	}
	for name, c := range both {
		one, err := client.Lookup[*isthmusv1.Peering](t.Context(), c, "dc1-dc2")
		if err != nil || one.GetSpec().GetDialer() != "dc2" || one.GetUid() == "" {
			t.Errorf("%s: %v, %v", name, one, err)
		}
		events, err := c.Events(t.Context(), client.EventOptions{})
		if err != nil || len(events) < 4 {
			t.Errorf("%s: %v, %v", name, events, err)
		}
		applied, err := c.Apply(t.Context(), []byte(datacenters("dc3")), client.ApplyOptions{DryRun: true})
		if err != nil || len(applied.GetChanges()) != 1 || applied.GetChanges()[0].GetName() != "dc3" {
			t.Errorf("%s: %v, %v", name, applied, err)
		}
	}
}

// A blocking query that ends in protobuf brings the change, and its index.
func TestClientWatchesInBothForms(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	for name, c := range n.clients(n.token, nil) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		news, seen := "new-"+strings.ToLower(name), false
		for objects, err := range c.Watch(ctx, resource.KindOf(&isthmusv1.Datacenter{}), client.ListOptions{}) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if slices.ContainsFunc(objects, func(o resource.Object) bool { return o.GetName() == news }) {
				seen = true
				break
			}
			n.apply(datacenters(news))
		}
		if !seen {
			t.Errorf("%s: the watch ended without the news", name)
		}
	}
}

// What the server refuses is the same error in both forms.
func TestClientUnderstandsErrorsInBothForms(t *testing.T) {
	t.Parallel()
	clock := &frozen{at: time.Now()}
	n := start(t, limited(limit.Limits{Reads: 1, Writes: 1}), func(c *server.Config) { c.Now = clock.now })
	datacenter := resource.KindOf(&isthmusv1.Datacenter{})
	for name, c := range n.clients("isthmus_0000000000000000", nil) {
		if _, err := c.Server(t.Context()); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s, an unknown token: %v", name, err)
		}
	}
	for name, c := range n.clients(n.token, nil) {
		if _, err := c.Get(t.Context(), datacenter, "nowhere"); fault.CodeOf(err) != fault.NotFound || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%s, no such datacenter: %v", name, err)
		}
		_, err := c.Create(t.Context(), &isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc1"}})
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid || len(f.Violations) == 0 || !strings.HasPrefix(f.Violations[0].Field, "spec.") {
			t.Errorf("%s, a peering of one: %v", name, err)
		}
	}
	operator := n.apiToken("operator")
	for n.callAs(operator, http.MethodGet, "/v1/datacenters", "").status == http.StatusOK { // the clock stands still
	}
	for name := range n.clients(operator, nil) {
		ctx, stop := context.WithCancel(t.Context())
		var told error
		c := n.clients(operator, func(why error, _ time.Duration) { told = why; stop() })[name]
		if _, err := c.Server(ctx); fault.CodeOf(err) != fault.Busy || fault.RetryAfter(err) <= 0 || told == nil {
			t.Errorf("%s, too often: %v, told %v", name, err, told)
		}
		stop()
	}
}
