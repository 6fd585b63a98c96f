package client_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// stages answers lists with one stage after the other, and of single resources that there are none.
func stages(t *testing.T, lists map[string][]string) *client.Client {
	t.Helper()
	var asked [2]atomic.Int32
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/v1/")
		if lists[name] == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		counter := &asked[0]
		if name == "peerings" {
			counter = &asked[1]
		}
		n := int(counter.Add(1))
		w.Header().Set("X-Isthmus-Index", fmt.Sprint(n))
		fmt.Fprint(w, lists[name][min(n, len(lists[name]))-1])
	})
}

func TestWaitIncludesTheGroupsPeerings(t *testing.T) {
	t.Parallel()
	const peering = `{"name":"demo-dc1-dc2","status":{"group":"demo","verdict":%[1]q,"conditions":[{"type":"Ready","status":%[2]q,"message":"m"}]}},{"name":"other","status":{"verdict":"failing"}}`
	c := stages(t, map[string][]string{
		"peering-groups": {
			`{"peeringGroups":[{"name":"demo"}]}`,
			`{"peeringGroups":[{"name":"demo","status":{"conditions":[{"type":"Ready","status":"true"}],"peerings":1,"healthy":1}}]}`,
		},
		"peerings": {
			`{"peerings":[` + fmt.Sprintf(peering, "pending", "false") + `]}`,
			`{"peerings":[` + fmt.Sprintf(peering, "unknown", "unknown") + `]}`,
			`{"peerings":[` + fmt.Sprintf(peering, "healthy", "true") + `]}`,
		},
	})
	last := map[string]client.Readiness{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := c.Wait(ctx, []client.Target{{Kind: kind(t, "PeeringGroup"), Name: "demo"}}, func(target client.Target, r client.Readiness) {
		last[target.Name] = r
	})
	if err != nil || len(last) != 2 || !last["demo"].Ready || !last["demo-dc1-dc2"].Ready {
		t.Errorf("%v, %v", last, err)
	}
}

func TestWaitTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := stages(t, map[string][]string{"peerings": {`{"peerings":[{"name":"a","status":{"verdict":"stale","conditions":[{"type":"Ready","status":"false","message":"no heartbeat"}]}}]}`}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := map[string]string{}
	targets := []client.Target{
		{Kind: kind(t, "Peering"), Name: "a"}, {Kind: kind(t, "Peering"), Name: "b"}, {Kind: kind(t, "Peering"), Name: "c", Gone: true},
	}
	err := c.Wait(ctx, targets, func(target client.Target, r client.Readiness) {
		seen[target.Name] = fmt.Sprintf("%t %s %s", r.Ready, r.State, r.Message)
		if len(seen) == 3 {
			cancel()
		}
	})
	if fault.CodeOf(err) != fault.Canceled {
		t.Errorf("got %v", err)
	}
	for name, want := range map[string]string{"a": "false stale no heartbeat", "b": "false missing it is not there yet", "c": "true deleted "} {
		if seen[name] != want {
			t.Errorf("%s: got %q", name, seen[name])
		}
	}
}

// What few targets are waited for by costs the server nothing of what else there is: each is asked for by its name.
func TestWaitAsksForNoMoreThanItsTargets(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		w.Header().Set("X-Isthmus-Index", fmt.Sprint(n))
		switch name := strings.TrimPrefix(r.URL.Path, "/v1/peerings/"); {
		case name == "new":
			verdict, ready := "pending", "false"
			if r.URL.Query().Get("index") != "" {
				verdict, ready = "healthy", "true"
			}
			fmt.Fprintf(w, `{"name":"new","status":{"verdict":%q,"conditions":[{"type":"Ready","status":%q,"message":"m"}]}}`, verdict, ready)
		case name == "old" && r.URL.Query().Get("index") == "":
			fmt.Fprint(w, `{"name":"old","deleteTime":"2026-01-01T00:00:00Z"}`)
		case name == "old" || name == "older":
			w.WriteHeader(http.StatusNotFound)
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	peering, last := kind(t, "Peering"), map[string]client.Readiness{}
	targets := []client.Target{{Kind: peering, Name: "new"}, {Kind: peering, Name: "old", Gone: true}, {Kind: peering, Name: "older", Gone: true}}
	err := c.Wait(ctx, targets, func(target client.Target, r client.Readiness) { last[target.Name] = r })
	if err != nil || last["new"].State != "healthy" || last["old"].State != client.Deleted || last["older"].State != client.Deleted {
		t.Errorf("%v, %v", last, err)
	}
}

// A status that was written before the latest change says nothing of it.
func TestJudgeWantsAStatusOfTheLatestGeneration(t *testing.T) {
	t.Parallel()
	export := &isthmusv1.ServiceExport{Generation: 2, Status: &isthmusv1.ServiceExportStatus{
		Datacenters: 1, Applied: 1,
		Conditions: []*isthmusv1.Condition{{Type: "Ready", Status: "true", ObservedGeneration: 1}},
	}}
	if r := client.Judge(export); r.Ready || r.Message == "" {
		t.Errorf("got %+v", r)
	}
	export.Status.Conditions[0].ObservedGeneration = 2
	if r := client.Judge(export); !r.Ready || r.State != "1/1 applied" {
		t.Errorf("got %+v", r)
	}
}

// What is gone is not waited for any more, and the rest of another kind still is.
func TestWaitGoesOnWhenAllOfAKindIsGone(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/peerings/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		n := int(asked.Add(1))
		w.Header().Set("X-Isthmus-Index", fmt.Sprint(n))
		if n < 3 {
			fmt.Fprint(w, `{"name":"dc1","deleteTime":"2026-01-01T00:00:00Z"}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last := map[string]client.Readiness{}
	targets := []client.Target{{Kind: kind(t, "Peering"), Name: "a", Gone: true}, {Kind: kind(t, "Datacenter"), Name: "dc1", Gone: true}}
	err := c.Wait(ctx, targets, func(target client.Target, r client.Readiness) { last[target.Name] = r })
	if err != nil || last["a"].State != client.Deleted || last["dc1"].State != client.Deleted {
		t.Errorf("%v, %v", last, err)
	}
}
