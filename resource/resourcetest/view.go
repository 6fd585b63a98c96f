package resourcetest

import (
	"sync"

	"isthmus/resource"
)

// View is a fleet that nobody changes any more and that remembers, as a server's views do.
type View struct {
	*Fleet
	found sync.Map
}

var _ resource.Rememberer = (*View)(nil)

// Remember implements resource.Rememberer.
func (v *View) Remember(key string, find func() any) any {
	if known, ok := v.found.Load(key); ok {
		return known
	}
	known, _ := v.found.LoadOrStore(key, find())
	return known
}
