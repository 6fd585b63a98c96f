package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/desired"
	"isthmus/identity"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server"
	"isthmus/server/limit"
)

// pull asks once for what the agent does not have.
func (a *agent) pull(have *isthmusv1.PullResponse, wait string) (*isthmusv1.PullResponse, error) {
	a.t.Helper()
	return a.sync.Pull(a.t.Context(), &isthmusv1.PullRequest{
		Epoch: have.GetEpoch(), MinIndex: have.GetIndex(), Have: have.GetDigest(), Wait: wait, Features: plan.Features(),
	})
}

func (a *agent) mustPull(have *isthmusv1.PullResponse, wait string) *isthmusv1.PullResponse {
	a.t.Helper()
	response, err := a.pull(have, wait)
	if err != nil {
		a.t.Fatal(err)
	}
	return response
}

// A change wakes the long polls of the datacenters that it affects, and leaves the others asleep.
func TestPullWakesWhoIsAffected(t *testing.T) {
	t.Parallel()
	n, w, fleet := start(t), newWorld(), fleetKey(t)
	n.apply(datacenters("dc1", "dc2", "dc3"))
	agents := map[string]*agent{}
	have := map[string]*isthmusv1.PullResponse{}
	for _, dc := range []string{"dc1", "dc2", "dc3"} {
		agents[dc] = n.enrol(w, fleet, dc)
		have[dc] = agents[dc].mustPull(nil, "")
	}
	woken := make(chan string, 3)
	for dc, a := range agents {
		wait := map[bool]string{true: "500ms", false: "5m"}[dc == "dc3"]
		go func() {
			response, err := a.pull(have[dc], wait)
			switch {
			case err != nil:
				woken <- dc + ": " + err.Error()
			case response.GetState() != nil:
				woken <- dc
			default:
				woken <- dc + " slept on"
			}
		}()
	}
	n.apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	got := map[string]bool{}
	for range agents {
		select {
		case who := <-woken:
			got[who] = true
		case <-time.After(patience):
			t.Fatalf("only %v came back", got)
		}
	}
	for _, want := range []string{"dc1", "dc2", "dc3 slept on"} {
		if !got[want] {
			t.Errorf("no %q in %v", want, got)
		}
	}
}

func TestPullOfWhatIsThere(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	first := a.mustPull(nil, "5m")
	if first.GetState().GetDatacenter() != "dc1" || first.GetEpoch() != n.server().GetEpoch() || first.GetDigest() != plan.Digest(first.GetState()) {
		t.Errorf("first: %v", first)
	}
	if again := a.mustPull(first, "1ms"); again.GetState() != nil || again.GetDigest() != first.GetDigest() {
		t.Errorf("again: %v", again)
	}
	// After a change of epoch an index says nothing, and the whole state is sent.
	restored := &isthmusv1.PullResponse{Epoch: "another", Index: 1 << 40, Digest: first.GetDigest()}
	if state := a.mustPull(restored, "5m"); state.GetState() == nil || state.GetEpoch() != first.GetEpoch() {
		t.Errorf("with another epoch: %v", state)
	}
	// A replica that is behind never serves an older state.
	ahead := &isthmusv1.PullResponse{Epoch: first.GetEpoch(), Index: 1 << 40}
	if _, err := a.pull(ahead, "1ms"); status.Code(err) != codes.Unavailable {
		t.Errorf("ahead of the server: %v", err)
	}
	if _, err := a.pull(nil, "soon"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("wait: soon: %v", err)
	}
}

// What one agent says cannot hold up what the others say, nor fill statuses.
func TestReportsAreTidied(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	text := "a\x00b" + strings.Repeat("x", 1<<19)
	if _, err := a.sync.Report(t.Context(), &isthmusv1.ReportRequest{
		Agent:     &isthmusv1.AgentReport{Leader: true, Features: plan.Features(), UnknownItems: []string{"\x00" + text}, ErrorReason: "Broken", Error: text},
		Inventory: &isthmusv1.InventoryReport{Leader: text, Gateways: []*isthmusv1.ObservedGateway{{ServiceId: text, Node: text, WanAddress: text}}},
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a tidy status", func() (bool, string) {
		body := n.call("GET", "/v1/datacenters/dc1", "").body
		return strings.Contains(body, `"Broken"`) && strings.Contains(body, "a bxx") && len(body) < 10_000 && !strings.Contains(body, `\u0000`), body[:min(len(body), 500)]
	})
}

// An agent that is too old for an item is not given it, and the datacenter says so.
func TestPullOfAnOldAgent(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	response, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Features: []string{resource.ItemExportedServices}})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range response.GetState().GetItems() {
		if item.GetType() != resource.ItemExportedServices {
			t.Errorf("an item of type %s", item.GetType())
		}
	}
	if _, err := a.sync.Report(t.Context(), &isthmusv1.ReportRequest{
		Agent: &isthmusv1.AgentReport{Leader: true, Features: []string{resource.ItemExportedServices}},
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "AgentTooOld", func() (bool, string) {
		d, err := isthmusv1.NewDatacenterServiceClient(n.shared()).GetDatacenter(n.as(n.token), &isthmusv1.GetRequest{Name: "dc1"})
		for _, c := range d.GetStatus().GetConditions() {
			if c.GetReason() == "AgentTooOld" {
				return true, ""
			}
		}
		return false, d.String() + " " + status.Convert(err).Message()
	})
}

// takes is a pull of an agent that merges what changed, and what it has then.
func (a *agent) takes(state *isthmusv1.DesiredState, have *isthmusv1.PullResponse) (*isthmusv1.DesiredState, *isthmusv1.PullResponse) {
	a.t.Helper()
	answer, err := a.sync.Pull(a.t.Context(), &isthmusv1.PullRequest{
		Epoch: have.GetEpoch(), MinIndex: have.GetIndex(), Have: have.GetDigest(), Features: plan.Features(), Deltas: true,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	if answer.GetState() != nil {
		return answer.GetState(), answer
	}
	return desired.Merge(state, answer.GetDelta()), answer
}

// An agent is away for a moment. Meanwhile an export goes, its consumer gets other labels, and an export comes that chooses as the first one did: the
// agent is told to export no more.
func TestPullAfterAnExportCameBack(t *testing.T) {
	t.Parallel()
	n, w, fleet := start(t), newWorld(), fleetKey(t)
	dc2 := func(env string) string {
		return "kind: Datacenter\nname: dc2\nlabels: {env: " + env + "}\nspec: {runtime: vm}\n"
	}
	export := func(name string) string {
		return "---\nkind: ServiceExport\nname: " + name + "\nspec: {service: web, datacenters: [dc1], consumers: {selector: env=prod}}\n"
	}
	n.apply(datacenters("dc1") + "---\n" + dc2("prod") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n" + export("old"))
	a := n.enrol(w, fleet, "dc1")
	exported := func(state *isthmusv1.DesiredState) (peers []string) {
		for _, item := range state.GetItems() {
			for _, service := range item.GetExportedServices().GetServices() {
				peers = append(peers, service.GetPeers()...)
			}
		}
		return peers
	}
	state, have := a.takes(nil, nil)
	if got := exported(state); len(got) != 1 {
		t.Fatalf("exported to %v: %v", got, state)
	}
	n.want(http.StatusOK, n.call(http.MethodDelete, "/v1/service-exports/old", ""))
	n.apply(dc2("test"))
	n.apply(export("new"))
	state, have = a.takes(state, have)
	if got := exported(state); len(got) > 0 || desired.Digest(state) != have.GetDigest() {
		t.Errorf("still exported to %v: %v", got, have)
	}
}

// An agent that merges is told what changed since what it has, as long as the server knows that; all others are told the whole.
func TestPullOfWhatChanged(t *testing.T) {
	t.Parallel()
	n, w, fleet := start(t), newWorld(), fleetKey(t)
	n.apply(datacenters("dc1", "dc2", "dc3"))
	a, other := n.enrol(w, fleet, "dc1"), n.enrol(w, fleet, "dc1")
	peering := func(with, more string) string {
		return "kind: Peering\nname: dc1-" + with + "\nspec: {acceptor: dc1, dialer: " + with + more + "}\n"
	}
	state, first := a.takes(nil, nil)
	if first.GetState() == nil {
		t.Fatalf("the first answer is %v", first)
	}
	have, known := first, state
	for i, manifest := range []string{peering("dc2", ""), peering("dc3", ""), peering("dc2", ", throughGateways: true"), "kind: Datacenter\nname: dc1\nspec: {runtime: vm, drift: report}\n"} {
		n.apply(manifest)
		// Agents' liveness and tokens may change it further.
		for range 10 {
			state, have = a.takes(state, have)
			if have.GetState() != nil {
				t.Fatalf("change %d: the whole: %v", i, have)
			}
			if desired.Digest(state) != have.GetDigest() || have.GetDelta().GetBase() == have.GetDigest() {
				t.Fatalf("change %d: %v leads to %v", i, have, state)
			}
			if whole := other.mustPull(nil, "0s"); whole.GetDigest() == have.GetDigest() {
				if !proto.Equal(state, whole.GetState()) {
					t.Fatalf("change %d: merged to %v, want %v", i, state, whole.GetState())
				}
				break
			}
		}
	}
	// What was sent long ago leads on in one step, also for another agent.
	late, answer := other.takes(known, first)
	if answer.GetDelta() == nil || answer.GetDelta().GetBase() != first.GetDigest() || desired.Digest(late) != answer.GetDigest() {
		t.Errorf("from the first state: %v", answer)
	}
	if whole := a.mustPull(first, "5m"); whole.GetState() == nil || whole.GetDelta() != nil {
		t.Errorf("to an agent that does not merge: %v", whole)
	}
	if _, answer := a.takes(state, &isthmusv1.PullResponse{Epoch: have.GetEpoch(), Digest: "unknown"}); answer.GetState() == nil {
		t.Errorf("from a state that nobody knows: %v", answer)
	}
	if _, answer := a.takes(state, &isthmusv1.PullResponse{Epoch: "another", Digest: have.GetDigest()}); answer.GetState() == nil {
		t.Errorf("from another epoch: %v", answer)
	}
}

// An agent asks whether what it has reported is known, and is told at once when it is not: it need not send it again to be sure.
func TestPullTellsWhetherReportsAreKnown(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	report := &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Leader: true, Version: "1"}, Inventory: &isthmusv1.InventoryReport{ConsulVersion: "1.20.6"}}
	if _, err := a.sync.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	whole := map[string]string{"agent": resource.Digest(report.GetAgent()), "inventory": resource.Digest(report.GetInventory())}
	first, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Features: plan.Features()})
	if err != nil {
		t.Fatal(err)
	}
	pull := func(reported, wait string) string {
		t.Helper()
		answer, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{
			Epoch: first.GetEpoch(), MinIndex: first.GetIndex(), Have: first.GetDigest(), Features: plan.Features(), Reported: reported, Wait: wait,
		})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetDigest() != first.GetDigest() || answer.GetState() != nil {
			t.Errorf("the answer tells more than about reports: %v", answer)
		}
		return answer.GetReports()
	}
	if got := pull(resource.ReportDigest(whole), "0s"); got != resource.ReportsKnown {
		t.Errorf("what was reported is %q", got)
	}
	whole["inventory"] = "another"
	if got := pull(resource.ReportDigest(whole), "5m"); got != resource.ReportsWanted {
		t.Errorf("what was not reported is %q", got)
	}
	if got := pull("", "0s"); got != "" {
		t.Errorf("who does not ask is told %q", got)
	}
}

// A poll says little, and as much of its clock as an agent may report.
func TestPullsAreBounded(t *testing.T) {
	t.Parallel()
	clock := &frozen{at: time.Now()}
	n := start(t, limited(limit.Limits{AgentCalls: -1}), func(c *server.Config) { c.Now = clock.now })
	n.apply(datacenters("dc1"))
	a := n.enrolAt(clock.now(), fleetKey(t), "dc1", identity.KindAgent)
	_, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Version: strings.Repeat("x", 64<<10), Wait: "0s"})
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "at most 64 KiB") {
		t.Errorf("a large one: %v", err)
	}
	for range 600 {
		if _, err := a.sync.Report(t.Context(), &isthmusv1.ReportRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	ahead := func(d time.Duration) {
		t.Helper()
		if _, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Wait: "0s", Clock: timestamppb.New(clock.now().Add(d))}); err != nil {
			t.Errorf("a poll whose clock is %s ahead: %v", d, err)
		}
	}
	skew := func() string {
		got, err := isthmusv1.NewAgentServiceClient(n.shared()).ListAgents(n.as(n.token), &isthmusv1.ListRequest{})
		if err != nil || len(got.GetAgents()) != 1 {
			t.Fatal(got, err)
		}
		return fmt.Sprint(got.GetAgents()[0].GetStatus().GetClockSkewSeconds())
	}
	ahead(2 * time.Hour) // it may not report now
	clock.advance(time.Second)
	ahead(time.Hour)
	eventually(t, "a clock that is an hour ahead", func() (bool, string) { return skew() == "3600", skew() })
}
