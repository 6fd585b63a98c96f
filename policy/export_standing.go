package policy

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// ReportedExports gives the last report of a datacenter's leading agent, nil when there is none, and whether that agent is heard of.
type ReportedExports func(datacenter string) (report *isthmusv1.ExportsReport, online bool)

// ExportStanding is how one ServiceExport stands with each of its exporters, and goes on from look to look: see standing. The zero value knows
// nothing yet. Not for several goroutines at a time.
type ExportStanding struct {
	standing[isthmusv1.ExportPlacement, *isthmusv1.ServiceExportStatus]
}

// lookingExport is one look at an export.
type lookingExport struct {
	*ExportStanding
	r         resource.Reader
	export    *isthmusv1.ServiceExport
	reported  ReportedExports
	exporters *Exportings
	excluded  map[string]string
	told      map[string]*isthmusv1.Drift
	now       time.Time
}

// ExportStatus is the next status of an export, from nothing: where it is applied according to the agents' reports. It is the present one when
// nothing but the time has moved.
func ExportStatus(r resource.Reader, export *isthmusv1.ServiceExport, reported ReportedExports, now time.Time) *isthmusv1.ServiceExportStatus {
	return (&ExportStanding{}).Status(r, export, Look{All: true}, NewExportings(), reported, now)
}

// Status is ExportStatus for an export that has been looked at: at is with which exporters it may stand otherwise than then, and exporters are as they
// were noted up to this view. What the look before knew counts only for the same resource.
func (s *ExportStanding) Status(
	r resource.Reader, export *isthmusv1.ServiceExport, at Look, exporters *Exportings, reported ReportedExports, now time.Time,
) *isthmusv1.ServiceExportStatus {
	l := &lookingExport{
		ExportStanding: s, r: r, export: export, exporters: exporters, reported: reported, excluded: secondaries(r),
		told: driftsOf(export.GetStatus().GetPlacements()), now: now,
	}
	return s.next(l, export, export.GetStatus(), at)
}

func (l *lookingExport) all() (out stands[isthmusv1.ExportPlacement]) {
	for dc := range chosen(l.r, l.export) {
		out = append(out, l.standIn(dc.GetName()))
	}
	return out
}

func (l *lookingExport) at(home string) (stand[isthmusv1.ExportPlacement], bool) {
	dc, ok := staying(l.r, home)
	spec := l.export.GetSpec()
	if !ok || !resource.ChoosesIn(l.r, spec.GetDatacenters(), spec.GetSelector())(dc) {
		return stand[isthmusv1.ExportPlacement]{}, false
	}
	return l.standIn(dc.GetName()), true
}

func (l *lookingExport) alike(a, b *isthmusv1.ExportPlacement) bool { return proto.Equal(a, b) }

func (l *lookingExport) drifts() map[string]*isthmusv1.Drift { return l.told }

// standIn looks at an exporter.
func (l *lookingExport) standIn(name string) stand[isthmusv1.ExportPlacement] {
	if federation, out := l.excluded[name]; out {
		p := &isthmusv1.ExportPlacement{
			Datacenter: name, State: resource.ExportExcluded,
			Message: "it is a secondary of Federation " + federation + ", and Consul lets only the primary export",
		}
		return stand[isthmusv1.ExportPlacement]{home: name, rank: int8(rank(p.GetState())), excluded: true, details: p}
	}
	x := l.exporters.at(l.r, name)
	w := wish{service: keyOf(l.export.GetSpec()), datacenter: name, own: x.consumers(l.export.GetName())}
	w.all = func() []string { return x.consumersOf(w.service) }
	report, online := l.reported(name)
	p := w.place(report, online)
	p.Drift = w.drift(report, l.told[name])
	return stand[isthmusv1.ExportPlacement]{home: name, rank: int8(rank(p.GetState())), drift: p.GetDrift(), details: p}
}

func (l *lookingExport) status() *isthmusv1.ServiceExportStatus {
	first := l.stands.first()
	for l.detail(l, first) {
		first = l.stands.first()
	}
	next := &isthmusv1.ServiceExportStatus{}
	for i := range l.stands {
		if !l.stands[i].excluded {
			next.Datacenters++
		}
		if l.stands[i].rank == int8(rank(resource.ExportApplied)) {
			next.Applied++
		}
	}
	for _, i := range first {
		next.Placements = append(next.Placements, l.stands[i].details)
	}
	next.Conditions = resource.SetCondition(l.export, l.export.GetStatus().GetConditions(), ready(next), l.now)
	l.stands.hold(first)
	return next
}

// sameService are the exports of a service whose name Consul does not tell from this one's.
func sameService(r resource.Reader, spec *isthmusv1.ServiceExportSpec) []*isthmusv1.ServiceExport {
	term := resource.TermService(spec.GetNamespace(), spec.GetService())
	return slices.Collect(resource.AllHaving[*isthmusv1.ServiceExport](r, resource.KindServiceExport, term))
}
