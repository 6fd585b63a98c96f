package feed

// Remember bounds what is remembered, for tests that want much to be forgotten.
func (f *Feed) Remember(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.order.limit = n
}

// Look does what happens each second while somebody listens.
func (f *Feed) Look() { f.observed(f.looks.news()) }
