package server_test

import (
	"net/http"
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
