package consul_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	"isthmus/fault"
)

// A server that does what Consul's does with a path that is not clean, and another one that sends callers elsewhere: neither has a call become
// another one.
func TestNoCallBecomesAnother(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		http.Redirect(w, r, "/v1/acl/policy/1", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	c, err := consul.New(consul.Settings{Address: strings.TrimPrefix(server.URL, "http://")}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../acl/policy/1", "..", ".", "a/../../../acl/policy/1", "a//b", "./a"} {
		e := consul.Entry{Kind: consul.KindResolver, Name: name, Index: 1, Body: map[string]any{}}
		if err := c.DeleteEntry(t.Context(), e); fault.CodeOf(err) != fault.Refused || consul.ReasonOf(err) != consul.Strange {
			t.Errorf("deleting an entry named %s: %v", name, err)
		}
		if _, err := c.ServiceEntry(t.Context(), consul.KindResolver, "", name); fault.CodeOf(err) != fault.Refused {
			t.Errorf("reading an entry named %s: %v", name, err)
		}
		if err := c.DeletePeering(t.Context(), name); fault.CodeOf(err) != fault.Refused {
			t.Errorf("deleting a peering named %s: %v", name, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("Consul was asked for %v", asked)
	}
	if err := c.DeletePeering(t.Context(), "west"); fault.CodeOf(err) != fault.Refused {
		t.Errorf("a redirect: %v", err)
	}
	if len(asked) != 1 || asked[0] != "DELETE /v1/peering/west" {
		t.Errorf("asked for %v, want the one path and no other", asked)
	}
}
