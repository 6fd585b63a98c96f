package resource_test

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

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

// BenchmarkCanonicalJSON writes the status of a new datacenter, as is done for each that is stored.
func BenchmarkCanonicalJSON(b *testing.B) {
	at := timestamppb.Now()
	condition := func(kind string) *isthmusv1.Condition {
		return &isthmusv1.Condition{Type: kind, Status: "False", Reason: "NoAgent", Message: "no agent is enrolled", LastTransitionTime: at, ObservedGeneration: 1}
	}
	m := &isthmusv1.DatacenterStatus{Agent: "unknown", AgentSince: at, Conditions: []*isthmusv1.Condition{condition("Ready"), condition("AgentCurrent"), condition("DefaultDeny")}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := resource.CanonicalJSON(m); err != nil {
			b.Fatal(err)
		}
	}
}
