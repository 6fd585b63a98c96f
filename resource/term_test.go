package resource_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// What chooses one version of a datacenter and not the other is found as if everything were looked at.
func TestWhoChoosesOneVersionAndNotTheOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choice := func(label string) (names []string, selector string) {
			switch rapid.IntRange(0, 2).Draw(t, label) {
			case 0:
				return rapid.SliceOfDistinct(rapid.SampledFrom([]string{"dc1", "dc2"}), rapid.ID).Draw(t, label+" by name"), ""
			case 1:
				return nil, rapid.SampledFrom([]string{"env=prod", "env in (prod,test)", "!env", "env=prod,eu"}).Draw(t, label+" by labels")
			}
			return nil, ""
		}
		f := resourcetest.New()
		for i := range rapid.IntRange(0, 6).Draw(t, "exports") {
			e := &isthmusv1.ServiceExport{Name: fmt.Sprint("e", i), Spec: &isthmusv1.ServiceExportSpec{Service: "web", Consumers: &isthmusv1.ExportConsumers{}}}
			e.Spec.Datacenters, e.Spec.Selector = choice("exporters")
			e.Spec.Consumers.Datacenters, e.Spec.Consumers.Selector = choice("consumers")
			f.Put(e)
		}
		version := func(label string) *isthmusv1.Datacenter {
			if rapid.IntRange(0, 3).Draw(t, label) == 0 {
				return nil
			}
			labels := map[string]string{}
			for key, values := range map[string][]string{"env": {"", "prod", "test"}, "eu": {"", "yes"}} {
				if value := rapid.SampledFrom(values).Draw(t, label+" "+key); value != "" {
					labels[key] = value
				}
			}
			return &isthmusv1.Datacenter{Name: "dc1", Labels: labels}
		}
		was, is := version("before"), version("after")
		var own, other []string
		labelled := false
		for e := range resource.All[*isthmusv1.ServiceExport](f, resource.KindServiceExport) {
			differs := func(names []string, selector string) bool {
				chooses := resource.Chooses(names, selector)
				return (was != nil && chooses(was)) != (is != nil && chooses(is))
			}
			spec := e.GetSpec()
			if differs(spec.GetDatacenters(), spec.GetSelector()) {
				own = append(own, e.GetName())
				labelled = true
			}
			if differs(spec.GetConsumers().GetDatacenters(), spec.GetConsumers().GetSelector()) {
				other = append(other, e.GetName())
				labelled = true
			}
		}
		if got := namesOf(resource.Rechoosing[*isthmusv1.ServiceExport](f, resource.KindServiceExport, was, is)); !slices.Equal(got, own) {
			t.Errorf("for their own: %q, want %q", got, own)
		}
		if got := namesOf(resource.RechoosingOther[*isthmusv1.ServiceExport](f, resource.KindServiceExport, was, is)); !slices.Equal(got, other) {
			t.Errorf("for another side: %q, want %q", got, other)
		}
		if was != nil && is != nil && resource.Distinguished(f, resource.KindServiceExport, was, is) != labelled {
			t.Errorf("distinguished: %v, want %v", !labelled, labelled)
		}
	})
}

func namesOf(all []*isthmusv1.ServiceExport) (out []string) {
	for _, e := range all {
		out = append(out, e.GetName())
	}
	return out
}
