package doctor

import (
	"cmp"
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (x *exam) exportsApplied() []answer {
	var out []answer
	for e := range resource.All[*isthmusv1.ServiceExport](x, resource.KindServiceExport) {
		if e.GetDeleteTime() != nil {
			continue
		}
		before := len(out)
		for _, p := range e.GetStatus().GetPlacements() {
			if a, bad := exportPlaced(e.GetName(), p); bad {
				out = append(out, a.of(resource.KindServiceExport, e.GetName()))
			}
		}
		if len(out) > before {
			continue
		}
		if e.GetStatus() == nil {
			out = append(out, unknown("", "nobody has looked at it yet").of(resource.KindServiceExport, e.GetName()))
			continue
		}
		out = append(out, passes("", "%s is exported from %s", e.GetSpec().GetService(), counted(int(e.GetStatus().GetApplied()), "datacenter", "datacenters")).
			of(resource.KindServiceExport, e.GetName()))
	}
	return out
}

// exportPlaced is what is wrong with an export in one datacenter.
func exportPlaced(name string, p *isthmusv1.ExportPlacement) (a answer, bad bool) {
	text := fmt.Sprintf("in %s it is %s: %s", p.GetDatacenter(), p.GetState(), cmp.Or(p.GetMessage(), "its agent has not told more"))
	switch p.GetState() {
	case resource.ExportApplied, resource.ExportExcluded:
		return answer{}, false
	case resource.ExportUnknown:
		return unknown(p.GetDatacenter(), "%s", text), true
	case resource.ExportConflict:
		return fails(p.GetDatacenter(), "%s", text).fixed("take it out of the exported-services entry there, or take it over: isthmus adopt service-export %s", name), true
	case resource.ExportDrifted:
		return fails(p.GetDatacenter(), "%s", text).fixed("set spec.drift: correct in Datacenter %s, or undo the change in Consul", p.GetDatacenter()).as(SeverityWarning), true
	case resource.ExportPending:
		if p.GetConsumers() == 0 {
			return fails(p.GetDatacenter(), "%s", text).fixed("declare a Peering, or a PeeringGroup, of %s and one of the consumers that the ServiceExport names; nothing, if that is to come later", p.GetDatacenter()).as(SeverityWarning), true
		}
		return fails(p.GetDatacenter(), "%s", text).fixed("wait until its agent has done it: isthmus doctor --only ExportsApplied --wait 1m").as(SeverityWarning), true
	}
	return fails(p.GetDatacenter(), "%s", text).fixed("see the log of the agent of %s, and ACLRights", p.GetDatacenter()), true
}

func (x *exam) configEntriesApplied() []answer {
	var out []answer
	for i := range resource.All[*isthmusv1.Intention](x, resource.KindIntention) {
		if i.GetDeleteTime() == nil {
			out = append(out, policyApplied(resource.KindIntention, i.GetName(), i.GetStatus())...)
		}
	}
	for t := range resource.All[*isthmusv1.TrafficPolicy](x, resource.KindTrafficPolicy) {
		if t.GetDeleteTime() == nil {
			out = append(out, policyApplied(resource.KindTrafficPolicy, t.GetName(), t.GetStatus())...)
		}
	}
	return out
}

func policyApplied(kind, name string, status *isthmusv1.PolicyStatus) []answer {
	if status == nil {
		return []answer{unknown("", "nobody has looked at it yet").of(kind, name)}
	}
	var out []answer
	for _, p := range status.GetPlacements() {
		if a, bad := policyPlaced(kind, name, p); bad {
			out = append(out, a.of(kind, name))
		}
	}
	for _, p := range status.GetProblems() {
		out = append(out, fails(p.GetDatacenter(), "%s (%s)", p.GetMessage(), p.GetReason()).fixed("%s", p.GetFix()).as(SeverityWarning).of(kind, name))
	}
	if len(out) == 0 {
		out = append(out, passes("", "it stands in %s", counted(int(status.GetApplied()), "Consul", "Consuls")).of(kind, name))
	}
	return out
}

// policyPlaced is what is wrong with a policy in one Consul.
func policyPlaced(kind, name string, p *isthmusv1.PolicyPlacement) (a answer, bad bool) {
	text := fmt.Sprintf("in %s it is %s: %s", p.GetDatacenter(), p.GetState(), cmp.Or(p.GetMessage(), p.GetReason(), "its agent has not told more"))
	fix := ""
	if conflicts := p.GetConflicts(); len(conflicts) > 0 {
		text += fmt.Sprintf(" (%s, %s)", conflicts[0].GetEntry(), conflicts[0].GetPart())
		// The patch for Kubernetes is the server's; other advice is the agent's own, and says so.
		if advice := conflicts[0].GetFix(); p.GetState() == resource.PolicyManaged {
			fix = advice
		} else if advice != "" {
			text += "; " + advice
		}
	}
	switch p.GetState() {
	case resource.PolicyApplied:
		return answer{}, false
	case resource.PolicyUnknown:
		return unknown(p.GetDatacenter(), "%s", text), true
	case resource.PolicyConflict:
		fix = "isthmus describe " + kind + " " + name + " shows both; change it in Consul or here, or take over what is the same with isthmus adopt"
		return fails(p.GetDatacenter(), "%s", text).fixed("%s", fix), true
	case resource.PolicyDrifted:
		fix = "set spec.drift: correct in Datacenter " + p.GetDatacenter() + ", or undo the change in Consul"
		return fails(p.GetDatacenter(), "%s", text).fixed("%s", fix).as(SeverityWarning), true
	case resource.PolicyManaged:
		fix = cmp.Or(fix, "change the custom resource in Kubernetes")
		return fails(p.GetDatacenter(), "%s", text).fixed("%s", fix).as(SeverityWarning), true
	case resource.PolicyPending:
		fix = "wait until its agent has done it: isthmus doctor --only ConfigEntriesApplied --wait 1m"
		return fails(p.GetDatacenter(), "%s", text).fixed("%s", fix).as(SeverityWarning), true
	}
	return fails(p.GetDatacenter(), "%s", text).fixed("see the log of the agent of %s, and ACLRights", p.GetDatacenter()), true
}
