package tree

import "sync/atomic"

// Signal is given once, to whoever waits for it. Nothing is made while nobody waits, and nobody is held up by the others. The zero value is
// ready for use.
type Signal struct {
	gate atomic.Pointer[Gate]
}

// Gate is what is waited at.
type Gate struct {
	open chan struct{}
}

// NewOpenGate makes the one gate of all signals that were given: these need no channel of their own.
func NewOpenGate() *Gate {
	g := &Gate{open: make(chan struct{})}
	close(g.open)
	return g
}

// Given is a channel that is closed when the signal is given; at once, when it was.
func (s *Signal) Given() <-chan struct{} {
	if g := s.gate.Load(); g != nil {
		return g.open
	}
	g := &Gate{open: make(chan struct{})}
	if s.gate.CompareAndSwap(nil, g) {
		return g.open
	}
	return s.gate.Load().open
}

// Give gives the signal. Done again, with the same open gate, it does nothing.
func (s *Signal) Give(opened *Gate) {
	if was := s.gate.Swap(opened); was != nil && was != opened {
		close(was.open)
	}
}
