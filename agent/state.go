package agent

import (
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"isthmus/desired"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// removalShare of what the agent has may go at once without a word, a quarter, and always one: of more, a state of another
// epoch has to wait for an operator, and any other is logged.
const removalShare = 4

// Bounds of what an honest server's index can be: a store that commits a million writes a second needs 12 days for a leap of
// 2^40, and 146,000 years for 2^62.
const (
	maxLeap  = 1 << 40
	maxIndex = 1 << 62
)

func tooMany(removed, of int) bool { return removed > max(1, of/removalShare) }

// snapshot is one desired state as the server gave it.
type snapshot struct {
	Epoch  string `json:"epoch"`
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
	// State is the message in wire form, which keeps what this binary does not know.
	State []byte `json:"state"`
}

// stateFile is what a restart begins with.
type stateFile struct {
	// Applied is what the agent works by.
	Applied *snapshot `json:"applied,omitempty"`
	// Held is a state of another epoch that removes more than the limit, waiting for an operator.
	Held *snapshot `json:"held,omitempty"`
	// MinIndex of the newest epoch: an older state is not accepted.
	MinIndex uint64 `json:"minIndex"`
}

// memory is the desired state, in memory and on disk.
type memory struct {
	path string

	mu    sync.Mutex
	file  stateFile
	state *isthmusv1.DesiredState
	held  int
}

// openMemory reads what was kept. What cannot be read is as good as nothing: the agent leaves its Consul as it is until the
// server has answered, rather than not to start.
func openMemory(dir string, log hclog.Logger) *memory {
	m := &memory{path: filepath.Join(dir, fileState)}
	err := m.read()
	if err != nil && fault.CodeOf(err) != fault.NotFound {
		log.Warn("going on without the last desired state", "error", err)
		return &memory{path: m.path}
	}
	return m
}

func (m *memory) read() error {
	if err := readJSON(m.path, &m.file); err != nil {
		return err
	}
	if m.file.Applied == nil {
		return nil
	}
	state, err := m.file.Applied.decode()
	if err != nil {
		return err
	}
	m.state = state
	if m.file.Held != nil {
		held, err := m.file.Held.decode()
		if err != nil {
			return err
		}
		m.held = removals(state, held)
	}
	return nil
}

func (s *snapshot) decode() (*isthmusv1.DesiredState, error) {
	state := &isthmusv1.DesiredState{}
	if err := proto.Unmarshal(s.State, state); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the desired state on disk cannot be read")
	}
	if err := resource.CheckMessage(state); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the desired state on disk holds what no state does")
	}
	return state, nil
}

// current is the state to work by, nil before the first one, and how many removals are held back.
func (m *memory) current() (state *isthmusv1.DesiredState, from snapshot, held int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file.Applied == nil {
		return nil, snapshot{}, 0
	}
	return m.state, *m.file.Applied, m.held
}

// working is the state to work by, nil before the first one.
func (m *memory) working() *isthmusv1.DesiredState {
	state, _, _ := m.current()
	return state
}

// newest is what the agent has, for the next pull.
func (m *memory) newest() (epoch string, minIndex uint64, digest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.file.Applied
	if m.file.Held != nil {
		last = m.file.Held
	}
	if last == nil {
		return "", 0, ""
	}
	return last.Epoch, m.file.MinIndex, last.Digest
}

// receive takes an answer of the server and keeps it on disk before anybody works by it. changed tells whether the state to
// work by, or what is held back, is another one now. An answer that goes back behind what was seen is refused.
func (m *memory) receive(answer *isthmusv1.PullResponse, datacenter string) (changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	file := m.file
	last := file.Applied
	if file.Held != nil {
		last = file.Held
	}
	sameEpoch := last != nil && last.Epoch == answer.GetEpoch()
	switch {
	case answer.GetEpoch() == "":
		return false, fault.New(fault.Internal, "the server sent a state without an epoch")
	case sameEpoch && answer.GetIndex() < file.MinIndex:
		return false, fault.New(fault.Conflict, "the server sent index %d after %d of the same epoch", answer.GetIndex(), file.MinIndex)
	case answer.GetIndex() > maxIndex || sameEpoch && answer.GetIndex()-file.MinIndex > maxLeap:
		// Taken at its word, it would lock out every honest answer after it.
		return false, fault.New(fault.Refused, "the server sent index %d, which no store reaches", answer.GetIndex())
	case answer.GetState() == nil && !sameEpoch:
		return false, fault.New(fault.Internal, "the server sent no state for an epoch that is new here")
	}
	if answer.GetState() == nil && answer.GetDelta() == nil || sameEpoch && last.Digest == answer.GetDigest() {
		m.file.MinIndex = answer.GetIndex() // in memory only: the next state brings it to disk
		return false, nil
	}
	state := answer.GetState()
	if state == nil {
		if state, err = m.merge(last, answer); err != nil {
			return false, err
		}
	}
	if err := plausible(state); err != nil {
		return false, err
	}
	if state.GetDatacenter() != datacenter {
		return false, fault.New(fault.Refused, "the server sent the state of datacenter %q to an agent of %q", state.GetDatacenter(), datacenter)
	}
	// Before it is on disk: what the reconcilers cannot read would stop them again at every start.
	if err := resource.CheckMessage(state); err != nil {
		return false, fault.Wrap(fault.Refused, err, "the server sent a state that holds what no state does")
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(state)
	if err != nil {
		return false, fault.Wrap(fault.Internal, err, "encoding the desired state")
	}
	next := &snapshot{Epoch: answer.GetEpoch(), Index: answer.GetIndex(), Digest: answer.GetDigest(), State: wire}
	held := 0
	if file.Applied != nil && file.Applied.Epoch != next.Epoch && state.GetConfirmedEpoch() != next.Epoch {
		held = removals(m.state, state)
		if !tooMany(held, things(m.state)) {
			held = 0
		}
	}
	file.MinIndex = next.Index
	file.Held = nil
	if held > 0 {
		file.Held = next
	} else {
		file.Applied = next
	}
	if err := writeJSON(m.path, file); err != nil {
		return false, err
	}
	m.file, m.held = file, held
	if held == 0 {
		m.state = state
	}
	return true, nil
}

// merge is the state that an answer's delta leads to. The error is a Conflict when it is not the one that the server has: what the agent keeps is
// not what the server takes it for, and it has to ask for the whole.
func (m *memory) merge(last *snapshot, answer *isthmusv1.PullResponse) (*isthmusv1.DesiredState, error) {
	if base := answer.GetDelta().GetBase(); base != last.Digest {
		return nil, fault.New(fault.Conflict, "the server sent what leads on from state %s, and state %s is here", base, last.Digest)
	}
	before := m.state
	if last != m.file.Applied {
		held, err := last.decode()
		if err != nil {
			return nil, err
		}
		before = held
	}
	state := desired.Merge(before, answer.GetDelta())
	// Text that is no text has no digest, either.
	if err := resource.CheckMessage(state); err != nil {
		return nil, fault.Wrap(fault.Refused, err, "the server sent a state that holds what no state does")
	}
	if digest := desired.Digest(state); digest != answer.GetDigest() {
		return nil, fault.New(fault.Conflict, "what the server sent leads to state %s, not to %s", digest, answer.GetDigest())
	}
	return state, nil
}

// plausible refuses a state that no server could have sent as a whole, and one with two items of one id, of which the next delta would mean both.
func plausible(state *isthmusv1.DesiredState) error {
	if n := proto.Size(state); n > maxMessage {
		return fault.New(fault.Refused, "what the server sent leads to a state of %d bytes; at most %d are taken", n, maxMessage)
	}
	ids := make(map[string]bool, len(state.GetItems()))
	for _, item := range state.GetItems() {
		if ids[item.GetId()] {
			return fault.New(fault.Refused, "the server sent item %q twice", resource.Cut(item.GetId(), 64))
		}
		ids[item.GetId()] = true
	}
	return nil
}

// things counts what a state has that could be removed: peerings, services exported to a peer, and parts of config entries.
func things(s *isthmusv1.DesiredState) int {
	return len(wanted(s)) + len(exportsOf(s)) + len(partsOfState(s))
}

// removals counts what next would remove of what before has. (A peering without an item stays in Consul as an orphan; but
// somebody who restores an old store shall hear of it just as well.)
func removals(before, next *isthmusv1.DesiredState) int {
	count := 0
	remaining := wanted(next)
	for id := range wanted(before) {
		if !remaining[id] {
			count++
		}
	}
	exported := exportsOf(next)
	for e := range exportsOf(before) {
		if !exported[e] {
			count++
		}
	}
	parts := partsOfState(next)
	for p := range partsOfState(before) {
		if !parts[p] {
			count++
		}
	}
	return count
}

// deletions counts the peerings that before wants and next has deleted, out of all that before wants.
func deletions(before, next *isthmusv1.DesiredState) (deleted, of int) {
	had := wanted(before)
	for _, item := range next.GetItems() {
		gone := item.GetPeeringAcceptor().GetDelete() || item.GetPeeringDialer().GetDelete()
		if gone && had[item.GetId()] {
			deleted++
		}
	}
	return deleted, len(had)
}

// wanted are the ids of the peering items that shall exist.
func wanted(s *isthmusv1.DesiredState) map[string]bool {
	out := map[string]bool{}
	for _, item := range s.GetItems() {
		peering := item.GetPeeringAcceptor() != nil && !item.GetPeeringAcceptor().GetDelete() ||
			item.GetPeeringDialer() != nil && !item.GetPeeringDialer().GetDelete()
		if peering {
			out[item.GetId()] = true
		}
	}
	return out
}

// export is one service offered to one peer.
type export struct{ Namespace, Service, Peer string }

func exportsOf(s *isthmusv1.DesiredState) map[export]bool {
	out := map[export]bool{}
	for _, item := range s.GetItems() {
		for _, service := range item.GetExportedServices().GetServices() {
			for _, peer := range service.GetPeers() {
				out[export{namespaceOf(service.GetNamespace()), service.GetName(), peer}] = true
			}
		}
	}
	return out
}

// partsOfState are the parts of config entries, as kind, namespace, name and key.
func partsOfState(s *isthmusv1.DesiredState) map[[4]string]bool {
	out := map[[4]string]bool{}
	for _, item := range s.GetItems() {
		for _, e := range item.GetConfigEntries().GetEntries() {
			for _, p := range e.GetParts() {
				out[[4]string{e.GetKind(), namespaceOf(e.GetNamespace()), e.GetName(), p.GetKey()}] = true
			}
		}
	}
	return out
}

// unknownItems are the ids of items that have none of the types in features.
func unknownItems(s *isthmusv1.DesiredState, features []string) []string {
	var out []string
	for _, item := range s.GetItems() {
		if !slices.Contains(features, item.GetType()) {
			out = append(out, item.GetId())
		}
	}
	return out
}
