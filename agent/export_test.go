package agent

import (
	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Export is one service offered to one peer, for tests of the merge.
type Export = export

// MergeExports is the pure merge of the exported-services entry.
func MergeExports(e consul.Entry, want map[Export]bool, correct bool) (next consul.Entry, write, remove bool, err error) {
	r, err := mergeExports(e, want, correct)
	return r.entry, r.write, r.remove, err
}

// MergeMesh is the pure merge of the mesh entry.
func MergeMesh(e consul.Entry, want *bool, correct bool) (next consul.Entry, write, remove bool, err error) {
	r, err := mergeMesh(e, want, correct)
	return r.entry, r.write, r.remove, err
}

// ReadOwnership and WriteOwnership are how the entry says what isthmus wrote.
func ReadOwnership(meta map[string]string) map[Export]bool { return readOwnership(meta) }

// WriteOwnership is the other way.
func WriteOwnership(meta map[string]string, owned map[Export]bool) error {
	return writeOwnership(meta, owned)
}

// Memory is the desired state on disk.
type Memory struct{ m *memory }

// OpenMemory reads it.
func OpenMemory(dir string) (*Memory, error) {
	m, err := openMemory(dir)
	return &Memory{m}, err
}

// Receive takes an answer of the server.
func (m *Memory) Receive(answer *isthmusv1.PullResponse, datacenter string) (bool, error) {
	return m.m.receive(answer, datacenter)
}

// Current is the state to work by, its digest, and the removals held back.
func (m *Memory) Current() (state *isthmusv1.DesiredState, digest string, held int) {
	state, from, held := m.m.current()
	return state, from.Digest, held
}

// Newest is what the next pull says.
func (m *Memory) Newest() (epoch string, minIndex uint64, digest string) { return m.m.newest() }
