package peering_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// ab is a federation of a and b, in which b is in a phase.
func ab(phase string) *isthmusv1.Federation {
	return &isthmusv1.Federation{
		Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "a", Secondaries: []string{"b"}},
		Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
			{Datacenter: "a", Role: resource.RolePrimary, Phase: resource.PhaseJoined},
			{Datacenter: "b", Role: resource.RoleSecondary, Phase: phase},
		}},
	}
}

func TestExpandLeavesFederationsOut(t *testing.T) {
	t.Parallel()
	fleet := func(phase string) *resourcetest.Fleet {
		f := resourcetest.New(member("a", "env=demo"), member("b", "env=demo"), member("c", "env=demo"))
		if phase != "" {
			f.Put(ab(phase))
		}
		return f
	}
	said := func(x peering.Expansion) string {
		var out []string
		for _, s := range x.Skipped {
			out = append(out, s.GetAcceptor()+"<"+s.GetDialer()+": "+s.GetReason())
		}
		return strings.Join(out, "; ")
	}
	x := peering.Expand(fleet(resource.PhaseBlocked), mesh())
	if got := ends(x.Create); !slices.Equal(got, []string{"a<c", "b<c"}) || !strings.Contains(said(x), "a<b: both are in Federation global") {
		t.Errorf("creates %v, skips %s", got, said(x))
	}
	status := peering.GroupStatus(x, start)
	if c := status.GetConditions()[0]; len(status.GetSkipped()) != 1 || !strings.Contains(c.GetMessage(), "1 pairs left out") {
		t.Errorf("%v", status)
	}
	// What is there stays until the join is certain: an operator may have to accept it first.
	for phase, deleted := range map[string]bool{
		resource.PhaseBlocked: false, resource.PhaseWaiting: false, resource.PhaseTrusting: true, resource.PhaseJoined: true, resource.PhaseLeaving: true,
	} {
		f := fleet("")
		apply(f, peering.Expand(f, mesh()))
		f.Put(ab(phase))
		x := peering.Expand(f, mesh())
		if got := ends(x.Delete); (len(got) == 1) != deleted || deleted && got[0] != "a<b" || !strings.Contains(said(x), "Federation global") {
			t.Errorf("%s: deletes %v, skips %s", phase, got, said(x))
		}
	}
	// One that is going already comes back no more.
	f := fleet("")
	apply(f, peering.Expand(f, mesh()))
	p, _ := resource.Lookup[*isthmusv1.Peering](f, resource.KindPeering, "demo-a-b")
	p.DeleteTime = timestamppb.New(start)
	f.Put(ab(resource.PhaseBlocked))
	if x := peering.Expand(f, mesh()); x.Leaving != 1 || len(x.Create) != 0 {
		t.Errorf("%+v", x)
	}
}
