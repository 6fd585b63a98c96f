package resource_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// leavesOf are labels and spec by their paths, by way of JSON: as the audit log defines them.
func leavesOf(t *rapid.T, o resource.Object, show func(any) any) map[string]string {
	out := map[string]string{}
	if o == nil {
		return out
	}
	encode := func(value any) string {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(text.String(), "\n")
	}
	for key, value := range o.GetLabels() {
		path := "labels." + key
		if strings.ContainsAny(key, "./") {
			path = fmt.Sprintf("labels[%q]", key)
		}
		out[path] = encode(value)
	}
	form, err := resource.CanonicalJSON(resource.Spec(o))
	if err != nil {
		t.Fatal(err)
	}
	var spec any
	decoder := json.NewDecoder(bytes.NewReader(form))
	decoder.UseNumber()
	if err := decoder.Decode(&spec); err != nil {
		t.Fatal(err)
	}
	var collect func(path string, value any)
	collect = func(path string, value any) {
		fields, ok := value.(map[string]any)
		if !ok {
			out[path] = encode(value)
		}
		for key, inner := range fields {
			collect(path+"."+key, inner)
		}
	}
	collect("spec", show(spec))
	return out
}

func drawnObject() *rapid.Generator[resource.Object] {
	text := rapid.SampledFrom([]string{"a", "ü<&>", "q\"\n", "b.c/d"})
	headers := rapid.Custom(func(t *rapid.T) []*isthmusv1.HTTPValueMatch {
		if rapid.IntRange(0, 2).Draw(t, "headers") > 0 {
			return nil
		}
		return []*isthmusv1.HTTPValueMatch{{Name: "x-secret", Exact: text.Draw(t, "exact")}}
	})
	return rapid.Custom(func(t *rapid.T) resource.Object {
		labels := map[string]string{}
		for range rapid.IntRange(0, 2).Draw(t, "labels") {
			labels[rapid.SampledFrom([]string{"env", "example.com/x", "é"}).Draw(t, "label")] = text.Draw(t, "value")
		}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return &isthmusv1.Datacenter{Name: "o", Labels: labels, Spec: &isthmusv1.DatacenterSpec{Runtime: text.Draw(t, "runtime"), Kubernetes: &isthmusv1.KubernetesSpec{}}}
		case 2:
			return &isthmusv1.Peering{Name: "o", Labels: labels, Spec: &isthmusv1.PeeringSpec{
				Acceptor: text.Draw(t, "acceptor"), ServerExternalAddresses: rapid.SliceOfN(text, 0, 2).Draw(t, "addresses"), TokenGeneration: rapid.Int32Range(0, 2).Draw(t, "generation"),
				ThroughGateways: rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(t, "through"),
			}}
		case 3:
			return &isthmusv1.TrafficPolicy{Name: "o", Labels: labels}
		}
		return &isthmusv1.Intention{Name: "o", Labels: labels, Spec: &isthmusv1.IntentionSpec{
			Destination: &isthmusv1.IntentionDestination{Service: text.Draw(t, "destination")},
			Sources: []*isthmusv1.IntentionSource{{Service: text.Draw(t, "source"), Permissions: []*isthmusv1.IntentionPermission{
				{Action: "allow", Http: &isthmusv1.HTTPMatch{PathExact: text.Draw(t, "path"), Headers: headers.Draw(t, "matches")}},
			}}},
		}}
	})
}

// What the audit log tells of a change is what its JSON says.
func TestChangesAreThoseOfTheJSON(t *testing.T) {
	t.Parallel()
	object := drawnObject()
	rapid.Check(t, func(t *rapid.T) {
		before, after := object.Draw(t, "before"), object.Draw(t, "after")
		for _, side := range []struct {
			show func(any) any
			got  []*isthmusv1.FieldChange
		}{
			{func(v any) any { return v }, resource.Diff(before, after)},
			{resource.Masked, resource.EventChanges(before, after)},
		} {
			same := func(v any) any { return v }
			wasAll, isAll := leavesOf(t, before, same), leavesOf(t, after, same)
			was, is := leavesOf(t, before, side.show), leavesOf(t, after, side.show)
			paths := slices.Sorted(maps.Keys(wasAll))
			paths = append(paths, slices.Sorted(maps.Keys(isAll))...)
			slices.Sort(paths)
			var want []*isthmusv1.FieldChange
			for _, path := range slices.Compact(paths) {
				if wasAll[path] != isAll[path] {
					want = append(want, &isthmusv1.FieldChange{Field: path, Before: was[path], After: is[path]})
				}
			}
			if d := cmp.Diff(want, side.got, protocmp.Transform()); d != "" {
				t.Fatalf("%v → %v (-want +got):\n%s", before, after, d)
			}
		}
	})
}
