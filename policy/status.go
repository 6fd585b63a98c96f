package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxPlacements bounds a status: what is applied is counted, what is not comes first.
const maxPlacements = 100

// rank puts what needs a person first.
func rank(state string) int {
	return slices.Index([]string{
		resource.ExportFailed, resource.ExportConflict, resource.ExportDrifted, resource.ExportUnknown, resource.ExportPending, resource.ExportExcluded, resource.ExportApplied,
	}, state)
}

// wish is what one export wants in one datacenter.
type wish struct {
	service    serviceKey
	datacenter string
	// own are the consumers that the export wants, all those that any export of the service wants; both sorted.
	own []string
	all func() []string
}

// place compares the wish with what the datacenter's agent said last. An agent names the consumers that isthmus had it
// write, and nobody else's: one that no export wants (any more) is still exported to.
func (w wish) place(report *isthmusv1.ExportsReport, online bool) *isthmusv1.ExportPlacement {
	state, message := w.judge(report)
	if report != nil && !online && len(w.own) > 0 {
		message = "the agent of " + w.datacenter + " is silent; what it said last: " + strings.TrimSuffix(state+", "+message, ", ")
		state = resource.ExportUnknown
	}
	return &isthmusv1.ExportPlacement{Datacenter: w.datacenter, State: state, Message: message, Consumers: int32(len(w.own))}
}

func (w wish) judge(report *isthmusv1.ExportsReport) (state, message string) {
	switch {
	case len(w.own) == 0:
		return resource.ExportPending, "no consumer is peered with " + w.datacenter + " yet"
	case report == nil:
		return resource.ExportPending, "the agent of " + w.datacenter + " has not reported yet"
	case report.GetErrorReason() != "":
		return resource.ExportFailed, report.GetError()
	}
	i := slices.IndexFunc(report.GetExports(), func(e *isthmusv1.ObservedExport) bool {
		return e.GetName() == w.service.name && e.GetNamespace() == w.service.namespace
	})
	if i < 0 {
		return resource.ExportPending, "the agent of " + w.datacenter + " has not written it yet"
	}
	seen := report.GetExports()[i]
	if seen.GetState() != resource.ExportApplied {
		return seen.GetState(), seen.GetMessage()
	}
	if missing := without(w.own, seen.GetPeers()); len(missing) > 0 {
		return resource.ExportPending, "not yet exported to " + strings.Join(missing, ", ")
	}
	if slices.Equal(w.own, seen.GetPeers()) {
		return resource.ExportApplied, ""
	}
	if extra := without(seen.GetPeers(), w.all()); len(extra) > 0 {
		return resource.ExportPending, "still exported to " + strings.Join(extra, ", ")
	}
	return resource.ExportApplied, ""
}

// drift is the last change that somebody made to a consumer that the export wants: of what the agent tells, or what is remembered of before.
func (w wish) drift(report *isthmusv1.ExportsReport, before *isthmusv1.Drift) *isthmusv1.Drift {
	known := report.GetDrifts()
	if before != nil {
		known = append(slices.Clone(known), before)
	}
	for _, d := range w.drifts(known) {
		return d
	}
	return nil
}

// drifts are those of some changes that concern a consumer which the export wants; their order is kept.
func (w wish) drifts(all []*isthmusv1.Drift) []*isthmusv1.Drift {
	var out []*isthmusv1.Drift
	for _, d := range all {
		peer, ok := strings.CutPrefix(d.GetPart(), "export/"+cmp.Or(w.service.namespace, defaultNamespace)+"/"+w.service.name+"@")
		if _, wanted := slices.BinarySearch(w.own, peer); ok && wanted {
			out = append(out, d)
		}
	}
	return out
}

// ExportDrifts are those of some changes to isthmus's consumers that concern an export in a datacenter; their order is kept.
func ExportDrifts(r resource.Reader, export *isthmusv1.ServiceExport, datacenter string, drifts []*isthmusv1.Drift) []*isthmusv1.Drift {
	dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter)
	if !ok || len(drifts) == 0 {
		return nil
	}
	return wish{service: keyOf(export.GetSpec()), own: consumers(r, export, dc, neighbours(r, datacenter))}.drifts(drifts)
}

// without are the names of the one that the other has not, in their order. It goes through both side by side, as far as they are sorted.
func without(names, others []string) []string {
	if slices.Equal(names, others) {
		return nil
	}
	if !slices.IsSorted(others) {
		others = slices.Sorted(slices.Values(others))
	}
	var out []string
	at, last := 0, ""
	for _, name := range names {
		if name < last {
			at, _ = slices.BinarySearch(others, name)
		}
		for at < len(others) && others[at] < name {
			at++
		}
		if at == len(others) || others[at] != name {
			out = append(out, name)
		}
		last = name
	}
	return out
}

func ready(s *isthmusv1.ServiceExportStatus) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: resource.ConditionReady, Status: resource.ConditionFalse}
	switch {
	case s.GetDatacenters() == 0 && len(s.GetPlacements()) > 0:
		c.Reason, c.Message = "NoExporter", "the datacenters that are chosen are secondaries of a federation, which cannot export"
	case s.GetDatacenters() == 0:
		c.Reason, c.Message = "NoExporter", "no datacenter is chosen: see spec.datacenters or spec.selector"
	case s.GetApplied() == s.GetDatacenters():
		c.Status, c.Reason = resource.ConditionTrue, "Applied"
		c.Message = fmt.Sprintf("applied in %d of %d datacenters", s.GetApplied(), s.GetDatacenters())
	default:
		first := s.GetPlacements()[0]
		if first.GetState() == resource.ExportUnknown {
			c.Status = resource.ConditionUnknown
		}
		c.Reason = map[string]string{
			resource.ExportUnknown: "AgentSilent", resource.ExportPending: "Pending", resource.ExportConflict: "Conflict",
			resource.ExportDrifted: "Drifted", resource.ExportFailed: "Failed",
		}[first.GetState()]
		c.Message = fmt.Sprintf("applied in %d of %d datacenters; %s: %s",
			s.GetApplied(), s.GetDatacenters(), first.GetDatacenter(), first.GetMessage())
	}
	return c
}
