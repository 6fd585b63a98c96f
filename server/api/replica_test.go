package api_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/api"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// replicas are two servers' ways to one store. Nobody tells their snapshots what the other one wrote: each knows what it
// read itself.
func replicas(t *testing.T) (st store.Store, one, two *api.Core) {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	core := func() *api.Core {
		s, err := snapshot.Open(t.Context(), opened, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		return &api.Core{Store: opened, Snapshot: s, Stopping: make(chan struct{}), Log: hclog.NewNullLogger(), Now: time.Now}
	}
	return opened, core(), core()
}

func datacenter(name, value string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"key": value}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
}

// What was written at one replica can be changed at another one at once, and by its new index.
func TestWritesAtAReplicaThatIsBehind(t *testing.T) {
	t.Parallel()
	_, one, two := replicas(t)
	first, second := &api.DatacenterService{Core: one}, &api.DatacenterService{Core: two}
	made, err := first.CreateDatacenter(t.Context(), &isthmusv1.CreateDatacenterRequest{Datacenter: datacenter("dc1", "a")})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := second.UpdateDatacenter(t.Context(), &isthmusv1.UpdateDatacenterRequest{Datacenter: datacenter("dc1", "b")})
	if err != nil {
		t.Fatalf("what another replica made: %v", err)
	}
	again, err := first.UpdateDatacenter(t.Context(), &isthmusv1.UpdateDatacenterRequest{Datacenter: datacenter("dc1", "c"), Index: changed.GetIndex()})
	if err != nil {
		t.Fatalf("at the index that another replica gave: %v", err)
	}
	for _, stale := range []uint64{made.GetIndex(), changed.GetIndex()} {
		if _, err := second.DeleteDatacenter(t.Context(), &isthmusv1.DeleteRequest{Name: "dc1", Index: stale}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("at index %d: %v", stale, err)
		}
	}
	if _, err := second.DeleteDatacenter(t.Context(), &isthmusv1.DeleteRequest{Name: "dc1", Index: again.GetIndex()}); err != nil {
		t.Fatal(err)
	}
	if _, err := first.CreateDatacenter(t.Context(), &isthmusv1.CreateDatacenterRequest{Datacenter: datacenter("dc1", "d")}); err != nil {
		t.Errorf("what another replica deleted cannot be made anew: %v", err)
	}
	if _, err := second.CreateDatacenter(t.Context(), &isthmusv1.CreateDatacenterRequest{Datacenter: datacenter("dc1", "e")}); fault.CodeOf(err) != fault.AlreadyExists {
		t.Errorf("what another replica made: %v", err)
	}
}

// Two admins who delete each other's tokens at the same time do not lock everybody out.
func TestLastAdminOfTwoReplicas(t *testing.T) {
	t.Parallel()
	_, one, two := replicas(t)
	first, second := &api.APITokenService{Core: one}, &api.APITokenService{Core: two}
	for _, name := range []string{"a", "b"} {
		if _, err := first.CreateAPIToken(t.Context(), &isthmusv1.CreateAPITokenRequest{
			ApiToken: &isthmusv1.APIToken{Name: name, Spec: &isthmusv1.APITokenSpec{Role: resource.RoleAdmin}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := two.Snapshot.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := first.DeleteAPIToken(t.Context(), &isthmusv1.DeleteRequest{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.DeleteAPIToken(t.Context(), &isthmusv1.DeleteRequest{Name: "b"}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("the last admin token: %v", err)
	}
	if _, err := second.DeleteAPIToken(t.Context(), &isthmusv1.DeleteRequest{Name: "b", Force: true}); err != nil {
		t.Errorf("with force: %v", err)
	}
}

// An agent is deleted when its row is: what it said of itself may stay a while.
func TestDeletedAgentWhoseWordsStay(t *testing.T) {
	t.Parallel()
	st, one, two := replicas(t)
	agent := &isthmusv1.Agent{Name: "dc1-abcdef", Spec: &isthmusv1.AgentSpec{Datacenter: "dc1", Kind: resource.AgentKindAgent}}
	resource.SetMetadata(agent, resource.Metadata{UID: "1", Generation: 1, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now()})
	if _, err := st.Write(t.Context(), store.Write{Puts: []store.Put{{Object: agent, Part: store.PartAll}}}); err != nil {
		t.Fatal(err)
	}
	forgotten := ""
	s := &api.AgentService{Core: one, Forget: func(_ context.Context, datacenter, agent string) error {
		forgotten = datacenter + "/" + agent
		return errors.New("the store went away")
	}}
	if _, err := s.DeleteAgent(t.Context(), &isthmusv1.DeleteRequest{Name: agent.GetName()}); err != nil {
		t.Error(err)
	}
	if forgotten != "dc1/dc1-abcdef" {
		t.Errorf("forgotten: %q", forgotten)
	}
	if err := two.Snapshot.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := two.Snapshot.View().Get(resource.KindAgent, agent.GetName()); ok {
		t.Error("the agent is still there")
	}
}
