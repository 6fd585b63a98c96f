package demo

import (
	"fmt"
	"strings"
)

// datacenters are their names: dc1, dc2, …
func datacenters(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("dc%d", i+1)
	}
	return names
}

// fleet is the manifest that the demo applies: all datacenters peered with each other, and dc1's service for all of them.
func fleet(n int) []byte {
	var out strings.Builder
	for _, dc := range datacenters(n) {
		fmt.Fprintf(&out, "kind: Datacenter\nname: %s\nlabels: {env: demo}\nspec: {runtime: vm}\n---\n", dc)
	}
	out.WriteString("kind: PeeringGroup\nname: demo\nspec: {shape: full-mesh, selector: env=demo}\n---\n")
	fmt.Fprintf(&out, "kind: ServiceExport\nname: %[1]s\nspec: {service: %[1]s, datacenters: [dc1], consumers: {selector: env=demo}}\n", Service)
	return []byte(out.String())
}
