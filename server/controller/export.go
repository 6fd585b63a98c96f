package controller

import (
	"google.golang.org/protobuf/proto"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// export brings one export's status up to date.
func (l *leader) export(v *snapshot.View, of store.Key, at policy.Look) []edit {
	e, ok := resource.Lookup[*isthmusv1.ServiceExport](v, resource.KindServiceExport, of.Name)
	if !ok {
		l.standings.drop(of)
		return nil
	}
	before := e.GetStatus()
	after := l.standings.export(v, e, at, func(datacenter string) (*isthmusv1.ExportsReport, bool) {
		seen, heard := l.observe(datacenter, observation.PartExports)
		return seen.Exports, l.now().Sub(heard) <= resource.Silence
	}, l.now())
	if after == before {
		return nil
	}
	next := resource.Clone(e)
	next.Status = after
	events := append(l.exportEvents(v, e, next), l.readyEvents(next, before.GetConditions(), after.GetConditions())...)
	return []edit{statusChange(next, events...)}
}

// exportsChanged marks the exports that a change may have consequences for.
func (l *leader) exportsChanged(batch *snapshot.Batch, c snapshot.Change) {
	seen := c.Part == store.PartStatus
	l.standings.exporters.Note(batch.Before, batch.View, c.Before, c.After, seen)
	for e, at := range policy.AffectedExports(batch.Before, batch.View, c.Before, c.After, seen) {
		switch {
		case e != nil:
			l.dirty.exports.add(keyOf(e), at)
		case at != "":
			l.dirty.exporters[at] = true
		default:
			l.dirty.exports.every(batch.View, resource.KindServiceExport)
		}
	}
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
