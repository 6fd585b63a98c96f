package policy_test

import (
	"slices"
	"testing"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Consul refuses exported-services in a secondary: nothing is exported from there once it is about to be one.
func TestSecondariesDoNotExport(t *testing.T) {
	t.Parallel()
	for phase, exports := range map[string]bool{
		resource.PhaseBlocked: true, resource.PhaseWaiting: true, resource.PhaseTrusting: false, resource.PhaseBundling: false, resource.PhaseJoined: false,
	} {
		f := fleet()
		web := &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{Service: "web", Selector: "env=prod", Consumers: &isthmusv1.ExportConsumers{Selector: "env"}}}
		f.Put(web, datacenter("dc4", "prod"), peering("dc2", "dc3"), &isthmusv1.Federation{
			Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc4", Secondaries: []string{"dc2"}},
			Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{{Datacenter: "dc2", Role: resource.RoleSecondary, Phase: phase}}},
		})
		if got := len(policy.Exports(f, "dc2").GetServices()) > 0; got != exports {
			t.Errorf("%s: exports %v", phase, policy.Exports(f, "dc2"))
		}
		var names []string
		for dc := range policy.Exporters(f, web) {
			names = append(names, dc.GetName())
		}
		if slices.Contains(names, "dc2") != exports || !slices.Contains(names, "dc1") {
			t.Errorf("%s: exporters %v", phase, names)
		}
		status := policy.ExportStatus(f, web, func(string) (*isthmusv1.ExportsReport, bool) { return nil, false }, noon)
		i := slices.IndexFunc(status.GetPlacements(), func(p *isthmusv1.ExportPlacement) bool { return p.GetDatacenter() == "dc2" })
		p := status.GetPlacements()[i]
		if (p.GetState() == resource.ExportExcluded) == exports || p.GetMessage() == "" || (status.GetDatacenters() == 3) != exports {
			t.Errorf("%s: %v of %d", phase, p, status.GetDatacenters())
		}
	}
}
