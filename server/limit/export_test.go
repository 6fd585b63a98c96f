package limit

// Accounts is how many callers are remembered.
func (l *Limiter) Accounts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accounts)
}

// Counts are how many calls work, stand in line and wait, by class: viewers, agents, operators, admins.
func (l *Limiter) Counts() (working, line, waiting [4]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, queue := range l.line {
		line[c] = queue.Len()
	}
	return l.working, line, l.waiting
}

// Holders is how many have calls under way, or bodies.
func (l *Limiter) Holders() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.holdings)
}
