package change_test

import (
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/change"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	// meanwhile is what somebody else writes.
	meanwhile := func() {
		dc := &isthmusv1.Datacenter{Name: "dc1", Uid: "u", Generation: 1, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
		if _, err := st.Write(t.Context(), store.Write{Puts: []store.Put{{Object: dc, Part: store.PartAll}}}); err != nil {
			t.Fatal(err)
		}
	}
	raced := fault.New(fault.Conflict, "somebody was faster")
	for _, tt := range []struct {
		name  string
		err   error
		moves bool
		calls int
	}{
		{"it is written", nil, true, 1},
		{"it is refused", fault.New(fault.Denied, "no"), true, 1},
		{"somebody is always faster", raced, true, 8},
		{"the rules say Conflict, whatever the view", raced, false, 1},
	} {
		calls := 0
		err := change.Retry(t.Context(), s, change.Raced, func(v *snapshot.View) error {
			if _, there := v.Get(resource.KindDatacenter, "dc1"); calls > 0 && !there {
				t.Errorf("%s: tried again on the old view", tt.name)
			}
			calls++
			if tt.moves {
				meanwhile()
			}
			return tt.err
		})
		if !errors.Is(err, tt.err) || calls != tt.calls {
			t.Errorf("%s: %v after %d attempts, want %v after %d", tt.name, err, calls, tt.err, tt.calls)
		}
	}
}
