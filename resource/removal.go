package resource

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Steps of the removal of a datacenter, in their order.
const (
	StepPolicies   = "Policies"
	StepExports    = "Exports"
	StepPeerings   = "Peerings"
	StepFederation = "Federation"
	StepTokens     = "Tokens"
	StepWANPool    = "WANPool"
	StepAgents     = "Agents"
	StepScan       = "Scan"
)

// States of a step.
const (
	StepWaiting = "waiting"
	StepDoing   = "doing"
	StepDone    = "done"
	StepSkipped = "skipped"
)

// Departing tells whether a datacenter is on its way out: policies count without it from then on.
func Departing(dc *isthmusv1.Datacenter) bool { return dc.GetDeleteTime() != nil }

// Departed tells whether a datacenter on its way out has come as far as a step of its removal, so that what the step takes from it is no
// longer its. A deletion that is no removal has no steps, and takes everything at once.
func Departed(dc *isthmusv1.Datacenter, step string) bool {
	if !Departing(dc) {
		return false
	}
	r := dc.GetStatus().GetRemoval()
	if r == nil {
		return true
	}
	for _, s := range r.GetSteps() {
		if s.GetId() == step {
			return s.GetState() != StepWaiting
		}
	}
	return false
}

// Lost tells whether an operator has said that a datacenter's Consul is gone for good.
func Lost(dc *isthmusv1.Datacenter) bool {
	return Departing(dc) && dc.GetStatus().GetRemoval().GetLost()
}

// RemovalAt is the step that a removal is at, its number from 1, and how many there are; nil: all are done, or it has none.
func RemovalAt(r *isthmusv1.DatacenterRemoval) (step *isthmusv1.RemovalStep, number, of int) {
	for i, s := range r.GetSteps() {
		if s.GetState() != StepDone && s.GetState() != StepSkipped {
			return s, i + 1, len(r.GetSteps())
		}
	}
	return nil, len(r.GetSteps()), len(r.GetSteps())
}
