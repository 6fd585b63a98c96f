package main

import (
	"cmp"
	"fmt"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// policyStatusOf is the status of an Intention or TrafficPolicy; false for other kinds.
func policyStatusOf(o resource.Object) (*isthmusv1.PolicyStatus, bool) {
	status, ok := resource.Status(o).(*isthmusv1.PolicyStatus)
	return status, ok && status != nil
}

// describePolicy shows where a policy stands in config entries, what is left out of it and why, and what stands against it, side by side.
func (p Program) describePolicy(o resource.Object) error {
	status, ok := policyStatusOf(o)
	if !ok {
		return nil
	}
	var placements, problems [][]string
	for _, at := range status.GetPlacements() {
		placements = append(placements, []string{
			at.GetDatacenter(), dash(strings.Join(at.GetMembers(), ",")), at.GetState(), dash(strings.Join(at.GetEntries(), ",")),
			dash(at.GetReason()), dash(at.GetMessage()),
		})
	}
	for _, one := range status.GetProblems() {
		problems = append(problems, []string{
			one.GetReason(), dash(one.GetDatacenter()), cmp.Or(one.GetField(), "spec"), dash(one.GetMessage()), dash(one.GetFix()),
		})
	}
	for _, t := range []struct {
		title  string
		header []string
		rows   [][]string
	}{
		{"Placements", []string{"DATACENTER", "FOR", "STATE", "ENTRIES", "REASON", "MESSAGE"}, placements},
		{"Left out", []string{"REASON", "DATACENTER", "FIELD", "MESSAGE", "FIX"}, problems},
	} {
		if len(t.rows) == 0 {
			continue
		}
		if err := p.titledTable(t.title, t.header, t.rows); err != nil {
			return err
		}
	}
	if err := p.describeConflicts(status); err != nil {
		return err
	}
	return p.describeDrifts(status)
}

// describeConflicts shows what is wanted beside what is there.
func (p Program) describeConflicts(status *isthmusv1.PolicyStatus) error {
	for _, at := range status.GetPlacements() {
		for _, c := range at.GetConflicts() {
			p.printf("\nConflict in %s: %s of %s\n", at.GetDatacenter(), c.GetPart(), c.GetEntry())
			if err := p.sideBySide(c.GetWanted(), c.GetFound()); err != nil {
				return err
			}
			if c.GetFix() != "" {
				p.printf("  Fix: %s\n", c.GetFix())
			}
		}
	}
	return nil
}

// describeDrifts shows the last time that somebody changed isthmus's part, in each Consul.
func (p Program) describeDrifts(status *isthmusv1.PolicyStatus) error {
	for _, at := range status.GetPlacements() {
		d := at.GetDrift()
		if d == nil {
			continue
		}
		did := "only reported"
		if d.GetCorrected() {
			did = "put back"
		}
		index := ""
		if d.GetModifyIndex() > 0 {
			index = fmt.Sprintf(", ModifyIndex %d", d.GetModifyIndex())
		}
		p.printf("\nLast drift in %s: %s of %s, %s%s, %s\n", at.GetDatacenter(), d.GetPart(), d.GetEntry(), p.when(d.GetTime()), index, did)
		if err := p.sideBySide(d.GetWanted(), d.GetFound()); err != nil {
			return err
		}
	}
	return nil
}
