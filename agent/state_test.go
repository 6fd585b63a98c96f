package agent_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent"
	"isthmus/desired"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func answer(epoch string, index uint64, state *isthmusv1.DesiredState) *isthmusv1.PullResponse {
	return &isthmusv1.PullResponse{Epoch: epoch, Index: index, Digest: resource.Digest(state), State: state}
}

// fleetOf is a state with n peerings and the service web exported to each.
func fleetOf(n int) *isthmusv1.DesiredState {
	s := &isthmusv1.DesiredState{Datacenter: "dc1", ConsulDatacenter: "dc1"}
	web := &isthmusv1.ExportedService{Name: "web"}
	for i := range n {
		uid := string(rune('a' + i))
		s.Items = append(s.Items, &isthmusv1.DesiredItem{
			Id: "peering-acceptor/" + uid, Type: "peering-acceptor", PeeringAcceptor: &isthmusv1.PeeringAcceptor{Uid: uid, PeerName: uid},
		})
		web.Peers = append(web.Peers, uid)
	}
	s.Items = append(s.Items, exports(web))
	return s
}

// poisoned is a state that decodes, and that nothing can show or hash as JSON.
func poisoned() *isthmusv1.DesiredState {
	s := fleetOf(1)
	s.Items[0].PeeringAcceptor.Recipients = []*isthmusv1.TrustedAgent{
		{Attestation: &isthmusv1.Attestation{CreateTime: &timestamppb.Timestamp{Seconds: math.MaxInt64}}},
	}
	return s
}

// Whatever is in the file, the agent starts; what it cannot read it does without.
func TestMemoryStartsWithADamagedFile(t *testing.T) {
	t.Parallel()
	wire, err := proto.Marshal(poisoned())
	need(t, err)
	poison, err := json.Marshal(map[string]any{"applied": map[string]any{"epoch": "e1", "index": 5, "digest": "x", "state": wire}, "minIndex": 5})
	need(t, err)
	for name, content := range map[string][]byte{"garbage": []byte("{"), "poison": poison, "no protobuf": []byte(`{"applied":{"epoch":"e1","state":"//8="}}`)} {
		dir := t.TempDir()
		need(t, os.WriteFile(filepath.Join(dir, "state.json"), content, 0o600))
		m := agent.OpenMemory(dir)
		if state, _, _ := m.Current(); state != nil {
			t.Errorf("%s: it goes on with %v", name, state)
		}
		if changed, err := m.Receive(answer("e1", 6, fleetOf(2)), "dc1"); !changed || err != nil {
			t.Errorf("%s: the server's next answer: %v, %v", name, changed, err)
		}
	}
}

func TestMemoryRefusesWhatGoesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := agent.OpenMemory(dir)
	if state, _, _ := m.Current(); state != nil {
		t.Fatal("a new agent has a state")
	}
	for _, tt := range []struct {
		name    string
		answer  *isthmusv1.PullResponse
		changed bool
		code    fault.Code
	}{
		{"no state before the first", &isthmusv1.PullResponse{Epoch: "e1", Index: 1}, false, fault.Internal},
		{"the first", answer("e1", 5, fleetOf(3)), true, ""},
		{"older", answer("e1", 4, fleetOf(2)), false, fault.Conflict},
		{"no epoch", answer("", 9, fleetOf(2)), false, fault.Internal},
		{"unchanged", &isthmusv1.PullResponse{Epoch: "e1", Index: 8, Digest: resource.Digest(fleetOf(3))}, false, ""},
		{"older than the unchanged", answer("e1", 7, fleetOf(2)), false, fault.Conflict},
		{"of another datacenter", answer("e1", 9, &isthmusv1.DesiredState{Datacenter: "dc2"}), false, fault.Refused},
		{"newer", answer("e1", 9, fleetOf(4)), true, ""},
		{"a leap", answer("e1", math.MaxUint64, fleetOf(2)), false, fault.Refused},
		{"a leap without a state", &isthmusv1.PullResponse{Epoch: "e1", Index: 1 << 50, Digest: resource.Digest(fleetOf(4))}, false, fault.Refused},
		{"an index beyond all", answer("e2", math.MaxUint64, fleetOf(4)), false, fault.Refused},
		{"a time that is none", &isthmusv1.PullResponse{Epoch: "e1", Index: 10, Digest: "x", State: poisoned()}, false, fault.Refused},
	} {
		changed, err := m.Receive(tt.answer, "dc1")
		if changed != tt.changed || fault.CodeOf(err) != tt.code {
			t.Fatalf("%s: %v, %v", tt.name, changed, err)
		}
	}
	again := agent.OpenMemory(dir)
	state, digest, _ := again.Current()
	if !proto.Equal(state, fleetOf(4)) || digest != resource.Digest(fleetOf(4)) {
		t.Fatalf("after a restart: %v", state)
	}
	if epoch, index, have := again.Newest(); epoch != "e1" || index != 9 || have != digest {
		t.Fatalf("after a restart it pulls with %s, %d, %s", epoch, index, have)
	}
}

func TestMemoryHoldsARestoredStateThatRemovesTooMuch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := agent.OpenMemory(dir)
	receive := func(a *isthmusv1.PullResponse) {
		t.Helper()
		_, err := m.Receive(a, "dc1")
		need(t, err)
	}
	works := func(n, held int) {
		t.Helper()
		state, _, gotHeld := m.Current()
		if len(state.GetItems()) != n+1 || gotHeld != held {
			t.Fatalf("works by %d peerings and holds %d; want %d and %d", len(state.GetItems())-1, gotHeld, n, held)
		}
	}
	receive(answer("e1", 100, fleetOf(8)))
	receive(answer("e1", 101, fleetOf(4)))
	works(4, 0) // within one epoch the operator said so
	receive(answer("e1", 102, fleetOf(8)))
	receive(answer("e2", 3, fleetOf(6)))
	works(6, 0) // 4 of 16: a quarter
	receive(answer("e3", 3, fleetOf(2)))
	works(6, 8)
	if epoch, index, have := m.Newest(); epoch != "e3" || index != 3 || have != resource.Digest(fleetOf(2)) {
		t.Fatalf("pulls with %s, %d, %s: it would be sent the same again", epoch, index, have)
	}
	m = agent.OpenMemory(dir)
	works(6, 8) // a restart forgets nothing
	receive(answer("e3", 4, fleetOf(3)))
	works(6, 6)
	confirmed := fleetOf(3)
	confirmed.ConfirmedEpoch = "e3"
	receive(answer("e3", 5, confirmed))
	works(3, 0)
}

func TestMemoryKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := agent.OpenMemory(dir)
	state := fleetOf(1)
	future := []byte{0xa2, 0x06, 0x03, 'n', 'e', 'w'} // field 100, which no message has today
	state.ProtoReflect().SetUnknown(future)
	_, err := m.Receive(answer("e1", 1, state), "dc1")
	need(t, err)
	m = agent.OpenMemory(dir)
	got, _, _ := m.Current()
	if string(got.ProtoReflect().GetUnknown()) != string(future) {
		t.Fatal("a field of a later version was lost on disk")
	}
}

// lines is a log that a test can look at.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(p))
	return len(p), nil
}

func (l *lines) with(word string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.text {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return found
}

// Deletions are done as they are wanted, but nobody shall have to guess later who wanted so many.
func TestManyDeletionsAreLogged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	log := &lines{}
	config := h.config("dc1", settings(t, nowhere))
	config.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: log})
	run(t, config)
	want := func(deleted int) {
		received := len(log.with("received a desired state"))
		var items []*isthmusv1.DesiredItem
		for i := range 8 {
			item := h.acceptor(fmt.Sprint("u", i), "west", 1)
			item.PeeringAcceptor.Delete = i < deleted
			items = append(items, item)
		}
		h.want("dc1", items...)
		eventually(t, "received", func() bool { return len(log.with("received a desired state")) > received })
	}
	want(0)
	want(2)
	want(3)
	if found := log.with("to be deleted at once"); len(found) != 0 {
		t.Fatalf("a quarter and one more: %v", found)
	}
	want(8)
	eventually(t, "the rest at once", func() bool { return len(log.with("deletions=5 of=5")) == 1 })
}

// What changed is merged into what is there, and has to come to the state that the server says; else the agent keeps what it has.
func TestMemoryMergesDeltas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := agent.OpenMemory(dir)
	first, second := fleetOf(3), fleetOf(4)
	second.Items = second.Items[1:]
	second.Drift = "report"
	delta := &isthmusv1.StateDelta{
		Base: desired.Digest(first), State: desired.Header(second), Items: second.GetItems()[2:], Removed: []string{first.GetItems()[0].GetId()},
	}
	led := &isthmusv1.PullResponse{Epoch: "e1", Index: 2, Digest: desired.Digest(second), Delta: delta}
	if _, err := m.Receive(led, "dc1"); err == nil {
		t.Fatal("without anything to merge it into, it was taken")
	}
	_, err := m.Receive(&isthmusv1.PullResponse{Epoch: "e1", Index: 1, Digest: desired.Digest(first), State: first}, "dc1")
	need(t, err)
	astray, elsewhere, poison := proto.CloneOf(led), proto.CloneOf(led), proto.CloneOf(led)
	astray.Delta.Removed = nil
	elsewhere.Delta.Base = "another"
	poison.Delta.Items = append(poison.Delta.Items, poisoned().GetItems()...)
	for _, tt := range []struct {
		name   string
		answer *isthmusv1.PullResponse
		code   fault.Code
	}{{"astray", astray, fault.Conflict}, {"from elsewhere", elsewhere, fault.Conflict}, {"poison", poison, fault.Refused}} {
		if changed, err := m.Receive(tt.answer, "dc1"); changed || fault.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, %v", tt.name, changed, err)
		}
		if state, _, _ := m.Current(); !proto.Equal(state, first) {
			t.Fatalf("%s: it works by %v", tt.name, state)
		}
	}
	if changed, err := m.Receive(led, "dc1"); !changed || err != nil {
		t.Fatalf("%v, %v", changed, err)
	}
	for _, m := range []*agent.Memory{m, agent.OpenMemory(dir)} {
		if state, digest, _ := m.Current(); digest != led.GetDigest() || desired.Digest(state) != digest || state.GetDrift() != "report" || len(state.GetItems()) != 4 {
			t.Errorf("it works by %s: %v", digest, state)
		}
	}
}

// What no honest server has, the agent does not keep: an item twice, and more than a whole state may be.
func TestMemoryRefusesWhatNoServerHas(t *testing.T) {
	t.Parallel()
	m := agent.OpenMemory(t.TempDir())
	first := fleetOf(2)
	_, err := m.Receive(answer("e1", 1, first), "dc1")
	need(t, err)
	twice := fleetOf(2)
	twice.Items = append(twice.Items, twice.GetItems()[0])
	if _, err := m.Receive(answer("e1", 2, twice), "dc1"); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "twice") {
		t.Errorf("an item that is there twice: %v", err)
	}
	more := fleetOf(2)
	more.Items = append(more.Items, &isthmusv1.DesiredItem{Id: "zz", Type: "from-the-future", ExportedServices: &isthmusv1.ExportedServices{
		Services: []*isthmusv1.ExportedService{{Name: strings.Repeat("x", 16<<20)}},
	}})
	large := &isthmusv1.PullResponse{Epoch: "e1", Index: 2, Digest: desired.Digest(more), Delta: &isthmusv1.StateDelta{
		Base: resource.Digest(first), State: &isthmusv1.DesiredState{Datacenter: "dc1", ConsulDatacenter: "dc1"}, Items: more.GetItems()[len(more.GetItems())-1:],
	}}
	if _, err := m.Receive(large, "dc1"); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a state of 16 MiB and more: %v", err)
	}
	if state, digest, _ := m.Current(); digest != resource.Digest(first) || len(state.GetItems()) != len(first.GetItems()) {
		t.Errorf("it has %v", state)
	}
}
