package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// Two hundred services of four datacenters are offered to the three others each, and taken back, beside what people export.
func TestTwoHundredExportsOverFourDatacenters(t *testing.T) {
	const services = 200
	names := []string{"dc1", "dc2", "dc3", "dc4"}
	f := NewFleet(t, int64(len(names)))
	var all []*Datacenter
	for _, name := range names {
		all = append(all, f.Datacenter(name))
	}
	all[0].set(map[string]any{"Kind": "exported-services", "Name": "default", "Services": []any{
		map[string]any{"Name": "billing", "Consumers": []any{map[string]any{"Peer": "partner"}}},
		map[string]any{"Name": "service-007", "Consumers": []any{map[string]any{"Peer": "partner"}}},
	}})
	before := all[0].entry("exported-services", "default")
	f.Apply(production("", names...) + "---\nkind: PeeringGroup\nname: all\nspec: {selector: env=prod, shape: full-mesh}\n")

	var manifests strings.Builder
	for i := range services {
		fmt.Fprintf(&manifests, "---\nkind: ServiceExport\nname: service-%03d\nspec: {service: service-%03d, selector: env=prod, consumers: {selector: env=prod}}\n", i, i)
	}
	file := f.write("exports.yaml", manifests.String())
	f.Must("apply", "-f", file, "--wait", "80s")
	for _, d := range all {
		entry := d.exports()
		for i := range services {
			name := fmt.Sprintf("service-%03d", i)
			want := len(names) - 1
			if d == all[0] && name == "service-007" {
				want++
			}
			if got := entry.consumers(name); len(got) != want {
				t.Fatalf("%s of %s goes to %v", name, d.Cluster.Datacenter, got)
			}
		}
	}

	t.Log("somebody takes some of it out, and adds something")
	edited := all[0].entry("exported-services", "default")
	mail := map[string]any{"Name": "mail", "Consumers": []any{map[string]any{"Peer": "partner"}}}
	edited["Services"] = append(without(edited["Services"].([]any), "service-199"), mail)
	all[0].set(edited)
	f.Eventually("it is put back", func() error {
		if got := len(all[0].exports().Services); got != services+2 {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
	f.Told("drift", "ServiceExport", "service-199", "dc1", "exported-services/default", "put back")

	t.Log("all is taken back")
	f.Must("delete", "-f", file)
	for _, d := range all[1:] {
		d.isEntry("isthmus's own entry is gone", "exported-services", "default", nil)
	}
	before["Services"] = append(before["Services"].([]any), mail)
	all[0].isEntry("people's exports", "exported-services", "default", before)
}
