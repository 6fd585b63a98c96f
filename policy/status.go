package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxPlacements bounds a status: what is applied is counted, what is not comes first.
const maxPlacements = 100

// ExportReports gives the last report of a datacenter's leading agent; nil when there is none.
type ExportReports func(datacenter string) *isthmusv1.ExportsReport

// ExportStatus is the next status of an export: where it is applied according to the agents' reports. It is the present
// one, unchanged, when nothing but the time has moved.
func ExportStatus(r resource.Reader, export *isthmusv1.ServiceExport, reports ExportReports, now time.Time) *isthmusv1.ServiceExportStatus {
	next := &isthmusv1.ServiceExportStatus{}
	var placements []*isthmusv1.ExportPlacement
	for dc := range Exporters(r, export) {
		p := place(r, export, dc.GetName(), reports(dc.GetName()))
		next.Datacenters++
		if p.GetState() == resource.ExportApplied {
			next.Applied++
		}
		placements = append(placements, p)
	}
	slices.SortStableFunc(placements, func(a, b *isthmusv1.ExportPlacement) int {
		return cmp.Compare(rank(a.GetState()), rank(b.GetState()))
	})
	next.Placements = placements[:min(len(placements), maxPlacements)]
	next.Conditions = resource.SetCondition(export, export.GetStatus().GetConditions(), ready(next), now)
	return next
}

// rank puts what needs a person first.
func rank(state string) int {
	return slices.Index([]string{resource.ExportFailed, resource.ExportConflict, resource.ExportDrifted, resource.ExportPending, resource.ExportApplied}, state)
}

func place(r resource.Reader, export *isthmusv1.ServiceExport, datacenter string, report *isthmusv1.ExportsReport) *isthmusv1.ExportPlacement {
	wanted := consumers(export.GetSpec().GetConsumers(), neighbours(r, datacenter))
	out := &isthmusv1.ExportPlacement{Datacenter: datacenter, State: resource.ExportPending, Consumers: int32(len(wanted))}
	switch {
	case len(wanted) == 0:
		out.Message = "no consumer is peered with " + datacenter + " yet"
		return out
	case report == nil:
		out.Message = "the agent of " + datacenter + " has not reported yet"
		return out
	case report.GetErrorReason() != "":
		out.State, out.Message = resource.ExportFailed, report.GetError()
		return out
	}
	key := keyOf(export.GetSpec())
	i := slices.IndexFunc(report.GetExports(), func(e *isthmusv1.ObservedExport) bool {
		return e.GetName() == key.name && e.GetNamespace() == key.namespace
	})
	if i < 0 {
		out.Message = "the agent of " + datacenter + " has not written it yet"
		return out
	}
	seen := report.GetExports()[i]
	if seen.GetState() != resource.ExportApplied {
		out.State, out.Message = seen.GetState(), seen.GetMessage()
		return out
	}
	var missing []string
	for _, peer := range wanted {
		if !slices.Contains(seen.GetPeers(), peer) {
			missing = append(missing, peer)
		}
	}
	if len(missing) > 0 {
		out.Message = "not yet exported to " + strings.Join(missing, ", ")
		return out
	}
	out.State = resource.ExportApplied
	return out
}

func ready(s *isthmusv1.ServiceExportStatus) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: resource.ConditionReady, Status: resource.ConditionFalse}
	switch {
	case s.GetDatacenters() == 0:
		c.Reason, c.Message = "NoExporter", "no datacenter is chosen: see spec.datacenters or spec.selector"
	case s.GetApplied() == s.GetDatacenters():
		c.Status, c.Reason = resource.ConditionTrue, "Applied"
		c.Message = fmt.Sprintf("applied in %d of %d datacenters", s.GetApplied(), s.GetDatacenters())
	default:
		first := s.GetPlacements()[0]
		c.Reason = map[string]string{
			resource.ExportPending: "Pending", resource.ExportConflict: "Conflict", resource.ExportDrifted: "Drifted", resource.ExportFailed: "Failed",
		}[first.GetState()]
		c.Message = fmt.Sprintf("applied in %d of %d datacenters; %s: %s",
			s.GetApplied(), s.GetDatacenters(), first.GetDatacenter(), first.GetMessage())
	}
	return c
}
