package gateway

import "sync"

// maxSparePipes is how many pipes are kept when nobody needs them: enough for the directions that two or three cores keep busy at
// once. Further ones are made and closed again.
const maxSparePipes = 64

// pipePool lends pipes to directions that have bytes to move right now.
type pipePool struct {
	mu     sync.Mutex
	spare  []*pipe
	closed bool
}

// get lends an empty pipe.
func (p *pipePool) get() (*pipe, error) {
	p.mu.Lock()
	if n := len(p.spare); n > 0 {
		lent := p.spare[n-1]
		p.spare = p.spare[:n-1]
		p.mu.Unlock()
		return lent, nil
	}
	p.mu.Unlock()
	return newPipe()
}

// put takes an empty pipe back.
func (p *pipePool) put(back *pipe) {
	p.mu.Lock()
	keep := !p.closed && len(p.spare) < maxSparePipes
	if keep {
		p.spare = append(p.spare, back)
	}
	p.mu.Unlock()
	if !keep {
		back.close()
	}
}

// close closes those that are not lent; the others follow when they come back.
func (p *pipePool) close() {
	p.mu.Lock()
	spare := p.spare
	p.spare, p.closed = nil, true
	p.mu.Unlock()
	for _, s := range spare {
		s.close()
	}
}
