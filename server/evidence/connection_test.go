package evidence_test

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource/resourcetest"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store/sqlite"
)

// The last report of a federation stays when its agent no longer sees its Consul: what it says of itself tells so.
func TestAgentThatDoesNotSeeItsConsul(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	table, err := observation.Open(t.Context(), st, false, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = table.Run(t.Context()) }()
	report := func(r *isthmusv1.ReportRequest) {
		t.Helper()
		if err := table.Report(t.Context(), "dc1", "a1", r); err != nil {
			t.Fatal(err)
		}
	}
	of := evidence.Connection(resourcetest.New(), table).Of
	report(&isthmusv1.ReportRequest{
		Agent: &isthmusv1.AgentReport{}, Inventory: &isthmusv1.InventoryReport{},
		Federation: &isthmusv1.FederationReport{Reads: []*isthmusv1.ObservedRead{{Datacenter: "dc2", Ok: true}}},
	})
	if got := of("dc1"); got.Blind != "" || len(got.Federation.GetReads()) != 1 {
		t.Errorf("it sees its Consul: got %+v", got)
	}
	report(&isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{ErrorReason: "AclTokenUnknown", Error: "ACL not found"}})
	if got := of("dc1"); got.Blind != "AclTokenUnknown" || got.BlindMessage != "ACL not found" || got.BlindTime.IsZero() || len(got.Federation.GetReads()) != 1 {
		t.Errorf("it does not: got %+v", got)
	}
	if got := of("dc2"); got.Blind != "" {
		t.Errorf("nobody has reported: got %+v", got)
	}
}
