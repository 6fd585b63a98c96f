package removal_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/removal"
	"isthmus/resource"
)

// tried is what becomes of a removal in some rounds, with dc1's reports as they are made by report: the step that it is at, nil when it is gone.
func tried(s *simulated, report func(dc1 *removal.Seen)) *isthmusv1.RemovalStep {
	var step *isthmusv1.RemovalStep
	for range 40 {
		s.control()
		if s.gone {
			return nil
		}
		for _, dc := range s.all() {
			s.act(dc)
		}
		report(&s.sites["dc1"].seen)
		step, _, _ = resource.RemovalAt(dcOf(s, "dc3").GetStatus().GetRemoval())
	}
	return step
}

// An entry that could not be written names it as before, although the agent tells of just what is wanted. Whatever else fails there is no
// matter of the removal.
func TestWhatFailedIsNotApplied(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, json string
		says       string
	}{
		{"still names it", `{"Sources":[{"Name":"web","Peer":"east"}]}`, "the agent of dc1 cannot take it out: service-intentions/api: permission denied"},
		{"never named it", `{"Sources":[{"Name":"web","Peer":"dc2"}]}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, fleetOf(t, busy))
			s.begin(false)
			step := tried(s, func(dc1 *removal.Seen) {
				for _, e := range dc1.Policy.GetEntries() {
					e.State, e.Message = resource.PolicyFailed, "permission denied"
				}
				dc1.Entries = &isthmusv1.EntriesReport{Entries: []*isthmusv1.ReportedEntry{{Kind: "service-intentions", Name: "api", Namespace: "default", Json: tt.json}}}
				for _, e := range dc1.Policy.GetEntries() {
					e.Namespace = "default"
				}
			})
			if tt.says == "" && step == nil {
				return
			}
			if tt.says == "" || step.GetId() != resource.StepPolicies || !strings.Contains(step.GetMessage(), tt.says) {
				t.Fatalf("%v, want %q", step, tt.says)
			}
			if step := tried(s, func(*removal.Seen) {}); step != nil {
				t.Fatalf("when it can be written: %v", step)
			}
		})
	}
}

// A step that waits for a deletion in which Consul hangs says what helps.
func TestStuckDeletionIsTold(t *testing.T) {
	t.Parallel()
	s := simulate(t, fleetOf(t, busy))
	s.begin(false)
	since := timestamppb.New(s.now.Add(-2 * time.Minute))
	step := tried(s, func(dc1 *removal.Seen) {
		for _, o := range dc1.Peerings.GetPeerings() {
			if o.GetDeleted() {
				o.Deleted, o.State = false, "DELETING"
			}
		}
		if p, ok := resource.Lookup[*isthmusv1.Peering](s, resource.KindPeering, "dc1-dc3"); ok {
			p.Status = &isthmusv1.PeeringStatus{Acceptor: &isthmusv1.PeeringEnd{Datacenter: "dc1", State: "DELETING", Since: since}}
		}
	})
	if step.GetId() != resource.StepPeerings || !strings.Contains(step.GetMessage(), "dc1-dc3: the end in dc1 is DELETING since ") ||
		!strings.Contains(step.GetMessage(), "on a server of dc1, run consul operator raft transfer-leader") {
		t.Fatalf("%v", step)
	}
	if step := tried(s, func(*removal.Seen) {}); step != nil {
		t.Fatalf("when it is gone: %v", step)
	}
}
