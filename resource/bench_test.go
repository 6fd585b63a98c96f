package resource_test

import (
	"bytes"
	"fmt"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// BenchmarkValidate checks one peering, as every write does.
func BenchmarkValidate(b *testing.B) {
	p := &isthmusv1.Peering{Name: "p", Labels: map[string]string{"env": "prod"}, Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}}
	resource.Default(p)
	b.ReportAllocs()
	for b.Loop() {
		if err := resource.Validate(p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseManifests reads a fleet of 1,000 datacenters.
func BenchmarkParseManifests(b *testing.B) {
	var text bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&text, "---\nkind: Datacenter\nname: dc%d\nlabels: {env: prod}\nspec: {runtime: vm}\n", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if manifests, err := resource.ParseManifests("", text.Bytes()); err != nil || len(manifests) != 1000 {
			b.Fatal(err)
		}
	}
}
