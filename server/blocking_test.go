package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server"
)

// index is what an answer says it is true at.
func (a answer) index(t testing.TB) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(a.header.Get("X-Isthmus-Index"), 10, 64)
	if err != nil {
		t.Fatalf("X-Isthmus-Index: %v", err)
	}
	return n
}

// later runs a request in the background.
func (n *node) later(path string) <-chan answer {
	out := make(chan answer, 1)
	go func() { out <- n.call(http.MethodGet, path, "") }()
	return out
}

// settle reads a path until nothing that controllers write is on its way any more, and gives the index. That nothing comes for a while is no
// proof of it on a slow machine: each datacenter has to say that it was looked at as it is.
func (n *node) settle(path string) uint64 {
	n.t.Helper()
	datacenters := isthmusv1.NewDatacenterServiceClient(n.shared())
	eventually(n.t, "the controllers have looked at each datacenter", func() (bool, string) {
		r, err := datacenters.ListDatacenters(n.as(n.token), &isthmusv1.ListRequest{})
		if err != nil {
			return false, err.Error()
		}
		return !slices.ContainsFunc(r.GetDatacenters(), func(d *isthmusv1.Datacenter) bool {
			ready := resource.FindCondition(d.GetStatus().GetConditions(), resource.ConditionReady)
			return ready.GetObservedGeneration() != d.GetGeneration()
		}), r.String()
	})
	for {
		at := n.want(http.StatusOK, n.call(http.MethodGet, path, "")).index(n.t)
		again := n.want(http.StatusOK, n.call(http.MethodGet, path+"?index="+strconv.FormatUint(at, 10)+"&wait=100ms", "")).index(n.t)
		if at == again {
			return at
		}
	}
}

func arrives(t *testing.T, what string, c <-chan answer) answer {
	t.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(patience):
		t.Fatalf("%s: no answer", what)
		return answer{}
	}
}

func TestBlockingQueries(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2"))
	at := "?index=" + strconv.FormatUint(n.settle("/v1/datacenters"), 10)
	label := func(name, value string) {
		n.want(http.StatusOK, n.call(http.MethodPatch, "/v1/datacenters/"+name, `{"labels":{"v":"`+value+`"}}`))
	}
	for _, c := range []struct {
		what, path string
		wake       func()
		status     int
	}{
		{"one resource", "/v1/datacenters/dc1" + at, func() { label("dc1", "1") }, http.StatusOK},
		{"a list", "/v1/datacenters" + at, func() { label("dc2", "1") }, http.StatusOK},
		{"one that is not there yet", "/v1/peering-groups/g" + at, func() {
			n.apply("kind: PeeringGroup\nname: g\nspec: {shape: full-mesh, selector: none=x}\n")
		}, http.StatusOK},
		{"an empty list", "/v1/gateways" + at, func() {
			n.apply("kind: Gateway\nname: gw\nspec: {datacenter: dc1, wanAddress: \"192.0.2.1:8443\"}\n")
		}, http.StatusOK},
		{"a deletion", "/v1/gateways/gw?index=" + strconv.FormatUint(n.settle("/v1/gateways")+100, 10), func() {}, http.StatusOK},
	} {
		answered := n.later(c.path + "&wait=5m")
		c.wake()
		if a := arrives(t, c.what, answered); a.status != c.status {
			t.Errorf("%s: %d %s", c.what, a.status, a.body)
		}
	}
	now := strconv.FormatUint(n.settle("/v1/gateways"), 10)
	gone := n.later("/v1/gateways/gw?wait=5m&index=" + now)
	empty := n.later("/v1/gateways?wait=5m&index=" + now)
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/gateways/gw", ""))
	if a := arrives(t, "a deleted one", gone); a.status != http.StatusNotFound || a.index(t) == 0 {
		t.Errorf("a deleted one: %d %s", a.status, a.body)
	}
	if a := arrives(t, "a list that got shorter", empty); len(a.fields(t)["gateways"].([]any)) != 0 {
		t.Errorf("a list that got shorter: %s", a.body)
	}
}

// What a query does not cover does not wake it: it sleeps on until something comes that it does cover.
func TestBlockingQueriesSleepOn(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2"))
	at := "wait=5m&index=" + strconv.FormatUint(n.settle("/v1/datacenters"), 10)
	one := n.later("/v1/datacenters/dc1?" + at)
	chosen := n.later("/v1/datacenters?selector=region%3Deu&" + at)
	all := n.later("/v1/datacenters?" + at)
	n.inFlight("isthmus.v1.DatacenterService/GetDatacenter", 1)
	n.inFlight("isthmus.v1.DatacenterService/ListDatacenters", 2)
	label := func(name, labels string) {
		n.want(http.StatusOK, n.call(http.MethodPatch, "/v1/datacenters/"+name, `{"labels":`+labels+`}`))
	}
	label("dc2", `{"region":"us"}`)
	arrives(t, "any change", all)
	n.settle("/v1/datacenters")
	label("dc1", `{"region":"eu"}`)
	for what, answered := range map[string]<-chan answer{"another's change": one, "a change outside of the selector": chosen} {
		if a := arrives(t, what, answered); !strings.Contains(a.body, `"eu"`) {
			t.Errorf("woken by %s: %s", what, a.body)
		}
	}
}

func TestMinIndexAndWait(t *testing.T) {
	t.Parallel()
	n := start(t)
	at := n.apply(datacenters("dc1")).index(t)
	for _, spelling := range []string{"min-index", "minIndex", "min_index"} {
		n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/dc1?"+spelling+"="+strconv.FormatUint(at, 10), ""))
	}
	// An index of the future, as after a restore of the store, is answered at once: the client starts over.
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters?wait=5m&index=999999", ""))
}

func TestEventsFollow(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	all := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events", ""))
	events := all.fields(t)["events"].([]any)
	last := events[len(events)-1].(map[string]any)["name"].(string)
	next := n.later("/v1/events?wait=5m&after=" + last + "&index=" + strconv.FormatUint(all.index(t), 10))
	n.apply(datacenters("dc2"))
	a := arrives(t, "an event", next)
	if len(a.fields(t)["events"].([]any)) == 0 {
		t.Errorf("woken without an event: %s", a.body)
	}
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events/"+last, ""))
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/events/999999999999", ""))
	newest := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?descending=true&pageSize=1", "")).fields(t)
	if newest["events"].([]any)[0].(map[string]any)["name"].(string) <= last {
		t.Errorf("newest first: %v", newest)
	}
	older := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/events?descending=true&pageSize=1&pageToken="+newest["nextPageToken"].(string), "")).fields(t)
	if older["events"].([]any)[0].(map[string]any)["name"].(string) >= newest["events"].([]any)[0].(map[string]any)["name"].(string) {
		t.Errorf("the page after: %v", older)
	}
}

// What waits ends when its caller's API token does, and tells nothing of what came after that.
func TestBlockingQueriesEndWithTheirToken(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	viewer := n.apiToken("viewer")
	end := clock.now().Add(time.Minute).UTC().Format(time.RFC3339)
	made := n.want(http.StatusOK, n.call(http.MethodPost, "/v1/api-tokens", `{"name":"brief","spec":{"role":"viewer","expireTime":"`+end+`"}}`))
	brief := made.fields(t)["secret"].(string)
	b := n.browse(viewer)
	at := "wait=5m&index=" + strconv.FormatUint(n.settle("/v1/datacenters"), 10)
	cursor := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/changes", "")).fields(t)["cursor"].(string)
	waiting := func(call func() answer) <-chan answer {
		c := make(chan answer, 1)
		go func() { c <- call() }()
		return c
	}
	get := func(token, path string) <-chan answer {
		return waiting(func() answer { return n.callAs(token, http.MethodGet, path, "") })
	}
	revoked := map[string]<-chan answer{
		"a list":              get(viewer, "/v1/datacenters?"+at),
		"one by a session":    waiting(func() answer { return b.call(http.MethodGet, "/v1/datacenters?"+at, "") }),
		"the feed of changes": get(viewer, "/v1/changes?wait=5m&cursor="+url.QueryEscape(cursor)),
	}
	expired := get(brief, "/v1/datacenters?"+at)
	other := n.later("/v1/datacenters?" + at)
	n.inFlight("isthmus.v1.DatacenterService/ListDatacenters", 4)
	n.inFlight("isthmus.v1.OverviewService/ListChanges", 1)
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/api-tokens/"+strings.Split(viewer, "_")[1], ""))
	for what, c := range revoked {
		if a := arrives(t, what, c); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "revoked") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	clock.advance(2 * time.Minute)
	n.apply(datacenters("dc1"))
	if a := arrives(t, "of an expired token", expired); a.status != http.StatusUnauthorized || strings.Contains(a.body, "dc1") {
		t.Errorf("an expired token: %d %s", a.status, a.body)
	}
	if a := arrives(t, "of a good token", other); a.status != http.StatusOK || !strings.Contains(a.body, "dc1") {
		t.Errorf("a good token: %d %s", a.status, a.body)
	}
}

// A server that stops answers blocking queries instead of cutting them off.
func TestBlockingQueryEndsWithTheServer(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	answered := n.later("/v1/datacenters?wait=5m&index=" + strconv.FormatUint(n.settle("/v1/datacenters"), 10))
	// The query is at the server when its request has been counted in; stopping earlier would refuse the connection.
	n.inFlight("isthmus.v1.DatacenterService/ListDatacenters", 1)
	n.stop()
	if a := arrives(t, "a blocking query at the end", answered); a.status != http.StatusOK {
		t.Errorf("a blocking query at the end: %d %s", a.status, a.body)
	}
}
