package server_test

import (
	"fmt"
	"sync"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// world is as much of many Consul clusters as a peering needs: a token connects the end that made it with the one that uses
// it, once.
type world struct {
	mu      sync.Mutex
	tokens  int
	current map[string]string // peer id → the token that may still be used
	ends    map[string]map[string]*end
	exports map[string]*isthmusv1.ExportedServices
	// hangs: no end hears anything.
	hangs   bool
	changed chan struct{}
}

// end is one end of a peering in a Consul.
type end struct {
	uid, peerID, state, role string
}

func newWorld() *world {
	return &world{
		current: map[string]string{}, ends: map[string]map[string]*end{}, exports: map[string]*isthmusv1.ExportedServices{},
		changed: make(chan struct{}),
	}
}

// change runs f on the world and tells everybody who looks at it.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) watch() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *world) of(dc string) map[string]*end {
	if w.ends[dc] == nil {
		w.ends[dc] = map[string]*end{}
	}
	return w.ends[dc]
}

// generate is GenerateToken.
func (w *world) generate(dc, peer, uid string) (token string) {
	w.change(func() {
		w.tokens++
		e := w.of(dc)[peer]
		if e == nil {
			e = &end{uid: uid, role: "acceptor", state: peering.StatePending, peerID: fmt.Sprintf("id-%d", w.tokens)}
			w.of(dc)[peer] = e
		}
		token = fmt.Sprintf("%s/%d", e.peerID, w.tokens)
		w.current[e.peerID] = token
	})
	return token
}

// establish is Establish.
func (w *world) establish(dc, peer, uid, token string) (outcome string) {
	w.change(func() {
		outcome = resource.OutcomeRefused
		for _, ends := range w.ends {
			for _, other := range ends {
				if other.role == "acceptor" && w.current[other.peerID] == token {
					delete(w.current, other.peerID)
					other.state = peering.StateActive
					outcome = resource.OutcomeUsed
					w.of(dc)[peer] = &end{uid: uid, role: "dialer", state: peering.StateActive, peerID: other.peerID}
				}
			}
		}
	})
	return outcome
}

// wipe forgets everything that a datacenter's Consul knows.
func (w *world) wipe(dc string) { w.change(func() { delete(w.ends, dc) }) }

func (w *world) active(dc string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.ends[dc] {
		if e.state == peering.StateActive {
			n++
		}
	}
	return n
}
