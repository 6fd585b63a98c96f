package server_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestDatacenterFromApplyToDelete(t *testing.T) {
	t.Parallel()
	n := start(t)
	a := n.apply(datacenters("dc1", "dc2"))
	changes := a.fields(t)["changes"].([]any)
	if len(changes) != 2 || changes[0].(map[string]any)["action"] != "create" {
		t.Errorf("changes: %s", a.body)
	}
	if a.header.Get("X-Isthmus-Index") == "" || a.header.Get("X-Request-Id") == "" {
		t.Errorf("headers: %v", a.header)
	}
	got := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/dc1", "")).fields(t)
	if got["name"] != "dc1" || got["spec"].(map[string]any)["consulDatacenter"] != "dc1" {
		t.Errorf("got %v", got)
	}
	list := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters", "")).fields(t)
	if len(list["datacenters"].([]any)) != 2 || list["nextPageToken"] != "" {
		t.Errorf("list: %v", list)
	}
	again := n.apply(datacenters("dc1")).fields(t)
	if again["changes"].([]any)[0].(map[string]any)["action"] != "unchanged" {
		t.Errorf("applied again: %v", again)
	}
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/datacenters/dc1", ""))
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/datacenters/dc1", ""))
	n.want(http.StatusNotFound, n.call(http.MethodDelete, "/v1/datacenters/dc1", ""))
}

// A new datacenter has the status of one whose agent nobody has heard of yet; the controller, which looks at it before it says anything of a
// peering, does not write it once more.
func TestDatacenterIsBornWithItsStatus(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2"))
	born := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/dc1", "")).body
	for _, words := range []string{`"agent":"unknown"`, `"reason":"NoAgent"`, `"type":"DefaultDeny"`, `"observedGeneration":1`} {
		if !strings.Contains(strings.ReplaceAll(born, `": `, `":`), words) {
			t.Errorf("no %s in %s", words, born)
		}
	}
	n.apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	eventually(t, "a peering with a verdict", func() (bool, string) {
		s := n.peering("dc1-dc2").GetStatus()
		return s.GetVerdict() != "", s.String()
	})
	if later := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/dc1", "")).body; later != born {
		t.Errorf("was written again: %s, at first %s", later, born)
	}
}
