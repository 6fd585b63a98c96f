package resource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func route(secret, path string) *isthmusv1.TrafficPolicy {
	return &isthmusv1.TrafficPolicy{Name: "api", Labels: map[string]string{"env": path}, Spec: &isthmusv1.TrafficPolicySpec{Service: "api", Routes: []*isthmusv1.TrafficRoute{
		{Match: &isthmusv1.HTTPMatch{PathPrefix: path, Headers: []*isthmusv1.HTTPValueMatch{{Name: "x-key", Exact: secret}}}},
	}}}
}

func TestEventChanges(t *testing.T) {
	t.Parallel()
	shown := `[{"match":{"headers":[{"exact":"…","name":"x-key"}],"pathPrefix":"/a"}}]`
	want := []*isthmusv1.FieldChange{{Field: "spec.routes", Before: shown, After: shown}}
	if diff := cmp.Diff(want, resource.EventChanges(route("hunter2", "/a"), route("hunter3", "/a")), protocmp.Transform()); diff != "" {
		t.Errorf("a header's value changed (-want +got):\n%s", diff)
	}
	made := resource.EventChanges(nil, route("hunter2", "/a"))
	want = []*isthmusv1.FieldChange{{Field: "labels.env", After: `"/a"`}, {Field: "spec.routes", After: shown}, {Field: "spec.service", After: `"api"`}}
	if diff := cmp.Diff(want, made, protocmp.Transform()); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	for i, c := range resource.EventChanges(route("hunter2", "/a"), nil) {
		if c.GetAfter() != "" || c.GetBefore() != made[i].GetAfter() {
			t.Errorf("deleted: %v", c)
		}
	}
	if got := resource.EventChanges(route("hunter2", "/a"), route("hunter2", "/a")); len(got) != 0 {
		t.Errorf("nothing changed: %v", got)
	}
}

func TestEventChangesAreBounded(t *testing.T) {
	t.Parallel()
	p := route("x", "/"+strings.Repeat("ü", 4000))
	for i := range 40 {
		p.Labels[fmt.Sprint("k", i)] = "v"
	}
	got := resource.EventChanges(nil, p)
	if len(got) != 32 || got[31].GetAfter() != `"and 12 more fields"` {
		t.Errorf("%d fields, the last %v", len(got), got[31])
	}
	for _, c := range got {
		if len(c.GetAfter()) > 1<<10 || !utf8.ValidString(c.GetAfter()) {
			t.Errorf("%d bytes: %s", len(c.GetAfter()), c.GetAfter())
		}
	}
}

func TestMoved(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\n<&", 2000)
	got := resource.Moved(resource.FieldVerdict, "", "healthy", resource.FieldReason, "Same", "Same", resource.FieldOf("members", `d"c`, "phase"), "joined", "", resource.FieldMessage, "", long)
	want := []*isthmusv1.FieldChange{
		{Field: "status.verdict", After: `"healthy"`}, {Field: `status.members["d\"c"].phase`, Before: `"joined"`}, {Field: "status.message", After: got[2].GetAfter()},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !json.Valid([]byte(got[2].GetAfter())) || len(got[2].GetAfter()) > 1<<10 || len(got[2].GetAfter()) < 400 {
		t.Errorf("cut to %s", got[2].GetAfter())
	}
	for value, want := range map[string]string{`"a\n"`: "a\n", "": ""} {
		if text, ok := resource.TextOf(value); !ok || text != want {
			t.Errorf("%s is %q, %v", value, text, ok)
		}
	}
	for _, value := range []string{"7", `{"a":1}`, `"cut`, `null`} {
		if text, ok := resource.TextOf(value); ok {
			t.Errorf("%s is no text, and yet %q", value, text)
		}
	}
}
