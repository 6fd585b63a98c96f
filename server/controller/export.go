package controller

import (
	"google.golang.org/protobuf/proto"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// export brings one export's status up to date.
func (l *leader) export(v *snapshot.View, name string) []edit {
	e, ok := resource.Lookup[*isthmusv1.ServiceExport](v, resource.KindServiceExport, name)
	if !ok {
		return nil
	}
	next := resource.Clone(e)
	next.Status = policy.ExportStatus(v, e, func(datacenter string) (*isthmusv1.ExportsReport, bool) {
		seen, heard := l.observe(datacenter, observation.PartExports)
		return seen.Exports, l.now().Sub(heard) <= resource.Silence
	}, l.now())
	if proto.Equal(e.GetStatus(), next.GetStatus()) {
		return nil
	}
	events := append(l.exportEvents(v, e, next), l.readyEvents(next, e.GetStatus().GetConditions(), next.GetStatus().GetConditions())...)
	return []edit{statusChange(next, events...)}
}

// exportEvents tell the audit log of what somebody did to isthmus's consumers.
func (l *leader) exportEvents(v *snapshot.View, before, after *isthmusv1.ServiceExport) []*isthmusv1.Event {
	last := map[string]*isthmusv1.Drift{}
	for _, p := range before.GetStatus().GetPlacements() {
		last[p.GetDatacenter()] = p.GetDrift()
	}
	var out []*isthmusv1.Event
	for _, p := range after.GetStatus().GetPlacements() {
		if was := last[p.GetDatacenter()]; !proto.Equal(was, p.GetDrift()) {
			seen, _ := l.observe(p.GetDatacenter(), observation.PartExports)
			drifts := policy.ExportDrifts(v, after, p.GetDatacenter(), seen.Exports.GetDrifts())
			out = append(out, l.driftEvents(after, p.GetDatacenter(), seen, driftsSince(was, drifts))...)
		}
	}
	return out
}

// exportsOf are the exports that choose one of some datacenters.
func exportsOf(v *snapshot.View, datacenters map[string]bool) map[string]bool {
	out := map[string]bool{}
	for name := range datacenters {
		if d, ok := resource.Lookup[*isthmusv1.Datacenter](v, resource.KindDatacenter, name); ok {
			for _, e := range resource.Choosing[*isthmusv1.ServiceExport](v, resource.KindServiceExport, d) {
				out[e.GetName()] = true
			}
		}
	}
	return out
}
