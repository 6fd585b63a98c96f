package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// intention is one as the server has it.
func (n *node) intention(name string) *isthmusv1.Intention {
	n.t.Helper()
	out := &isthmusv1.Intention{}
	if err := protojson.Unmarshal([]byte(n.want(http.StatusOK, n.call(http.MethodGet, "/v1/intentions/"+name, "")).body), out); err != nil {
		n.t.Fatal(err)
	}
	return out
}

// A policy that names its datacenters is stored once, with its status: the controllers, which look at it as at any other, have nothing to add and nothing
// to tell.
func TestControllersAddNothingToForetoldStatuses(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	for round, action := range []string{"allow", "deny", "allow"} {
		manifest := func(name, where string) string {
			return fmt.Sprintf("kind: Intention\nname: %s\nspec:\n  destination: {service: %s, %s}\n  sources: [{service: web, action: %s}]\n", name, name, where, action)
		}
		n.apply(manifest("named", "datacenters: [dc1]"))
		written := n.intention("named")
		n.apply(manifest("chosen", "selector: env=demo"))
		// What came before it was looked at with it, or earlier.
		n.until("the controllers have looked", func() error {
			if got := resource.FindCondition(n.intention("chosen").GetStatus().GetConditions(), resource.ConditionReady).GetObservedGeneration(); int(got) != round+1 {
				return fmt.Errorf("they have looked at generation %d", got)
			}
			return nil
		})
		ready := resource.FindCondition(written.GetStatus().GetConditions(), resource.ConditionReady)
		if int(ready.GetObservedGeneration()) != round+1 || ready.GetReason() != resource.ReasonPending || len(written.GetStatus().GetPlacements()) != 1 {
			t.Errorf("round %d: written with %v", round, written.GetStatus())
		}
		if again := n.intention("named"); again.GetIndex() != written.GetIndex() {
			t.Errorf("round %d: written at index %d, and again:\n%v\n%v", round, written.GetIndex(), written, again)
		}
	}
	if events := n.log(url.Values{"kind": {"Intention"}, "target": {"named"}}); len(events) != 3 {
		t.Errorf("events: %v", events)
	}
}
