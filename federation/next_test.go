package federation_test

import (
	"testing"

	"isthmus/resource"
)

func TestFreshFederationJoins(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2", "dc3")
	w.join(t, "dc2")
	w.join(t, "dc3")
	s := w.f.GetStatus()
	ready := resource.FindCondition(s.GetConditions(), resource.ConditionReady)
	if s.GetJoined() != 2 || s.GetSecondaries() != 2 || ready.GetStatus() != resource.ConditionTrue {
		t.Errorf("joined %d of %d, %v", s.GetJoined(), s.GetSecondaries(), ready)
	}
}
