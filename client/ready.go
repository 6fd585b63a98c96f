package client

import (
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Readiness says whether a resource is as its spec wants it, as far as its status tells.
type Readiness struct {
	Ready bool
	// State is one or two words: healthy, offline, 2/3 healthy.
	State string
	// Message says why it is not ready.
	Message string
}

// unknown is a state that nobody has reported (yet). It never counts as ready.
const unknown = "unknown"

// Judge reads a resource's status. A kind that has nothing to become ready for is ready at once.
func Judge(o resource.Object) Readiness {
	if o.GetDeleteTime() != nil {
		r := Readiness{State: Deleting, Message: "it is being deleted"}
		if p, ok := o.(*isthmusv1.Peering); ok && p.GetStatus().GetMessage() != "" {
			r.Message = p.GetStatus().GetMessage()
		}
		return r
	}
	switch o := o.(type) {
	case *isthmusv1.Datacenter:
		return judgeDatacenter(o)
	case *isthmusv1.Peering:
		return judgePeering(o)
	case *isthmusv1.PeeringGroup:
		return judgePeeringGroup(o)
	case *isthmusv1.ServiceExport:
		return judgeServiceExport(o)
	}
	return Readiness{Ready: true, State: "stored"}
}

func judgeDatacenter(o *isthmusv1.Datacenter) Readiness {
	r := Readiness{State: orUnknown(o.GetStatus().GetAgent())}
	r.Ready = r.State == "online"
	if bad := firstFalse(o.GetStatus().GetConditions()); bad != nil {
		r.Ready = false
		r.Message = bad.GetMessage()
	}
	if !r.Ready && r.Message == "" {
		r.Message = "no agent of it is heard of"
		if o.GetStatus().GetAgents() == 0 {
			r.Message = "no agent has enrolled: isthmus join-token create --datacenter " + o.GetName()
		}
	}
	return r
}

func judgePeering(o *isthmusv1.Peering) Readiness {
	status := o.GetStatus()
	r := Readiness{State: orUnknown(status.GetVerdict()), Message: status.GetMessage()}
	if r.Ready = r.State == "healthy"; r.Ready {
		r.Message = ""
	}
	return r
}

func judgePeeringGroup(o *isthmusv1.PeeringGroup) Readiness {
	status := o.GetStatus()
	if len(status.GetConditions()) == 0 {
		return Readiness{State: unknown, Message: "it has not been expanded yet"}
	}
	r := Readiness{State: fmt.Sprintf("%d/%d healthy", status.GetHealthy(), status.GetPeerings())}
	r.Ready = status.GetHealthy() == status.GetPeerings()
	if bad := firstFalse(status.GetConditions()); bad != nil {
		r.Ready = false
		r.Message = bad.GetMessage()
	}
	return r
}

func judgeServiceExport(o *isthmusv1.ServiceExport) Readiness {
	status := o.GetStatus()
	if len(status.GetConditions()) == 0 {
		return Readiness{State: unknown, Message: "it has not been planned yet"}
	}
	r := Readiness{State: fmt.Sprintf("%d/%d applied", status.GetApplied(), status.GetDatacenters())}
	r.Ready = status.GetApplied() == status.GetDatacenters()
	for _, p := range status.GetPlacements() {
		if p.GetState() != "applied" {
			r.Message = fmt.Sprintf("%s: %s", p.GetDatacenter(), orUnknown(p.GetState()))
			if p.GetMessage() != "" {
				r.Message += ": " + p.GetMessage()
			}
			break
		}
	}
	return r
}

func firstFalse(conditions []*isthmusv1.Condition) *isthmusv1.Condition {
	for _, c := range conditions {
		if c.GetStatus() == "false" {
			return c
		}
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return s
}
