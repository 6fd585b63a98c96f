package agent

import (
	"context"
	"sync"
	"time"

	"isthmus/agent/consul"
)

// emptyWait is how long a blocking read of a kind without entries takes at most. Consul looks at the token's rights when the read begins, and
// leaves out what they do not cover until it ends: one that begins on a fresh secondary, before it has the primary's ACLs, sees nothing for as
// long as it lasts, nor that something was left out.
const emptyWait = 10 * time.Second

// shelf holds the config entries that Consul's blocking queries gave last, so that a look at all of them costs nothing while nothing changes.
type shelf struct {
	consul *consul.Client

	mu    sync.Mutex
	kinds map[string]consul.EntryList
	// version grows with each change.
	version uint64
}

func newShelf(c *consul.Client) *shelf {
	return &shelf{consul: c, kinds: map[string]consul.EntryList{}}
}

// entryKindsWatched are the kinds that are held: those that say who may call whom, and where calls go.
func entryKindsWatched() []string {
	return append(policyKinds(), consul.KindExportedServices, consul.KindMesh, consul.KindProxyDefaults)
}

// fetch does one blocking read of a kind, as a consul.Fetch.
func (s *shelf) fetch(kind string) consul.Fetch {
	return func(ctx context.Context, q consul.Query) (uint64, error) {
		if s.empty(kind) {
			q.Wait = min(q.Wait, emptyWait)
		}
		list, err := s.consul.EntryList(ctx, kind, q)
		if consul.ReasonOf(err) == consul.UnknownKind {
			s.put(kind, consul.EntryList{}, true) // an old Consul has none of these
		}
		if err != nil {
			return 0, err
		}
		s.put(kind, list, q.Index == 0)
		return list.Index, nil
	}
}

// put keeps a list. One that was read anew counts whatever its index is: Consul may be another one. Others count only when they are newer.
func (s *shelf) put(kind string, list consul.EntryList, anew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held, ok := s.kinds[kind]
	if ok && (!anew && list.Index < held.Index || list.Index == held.Index && len(list.Entries)+len(held.Entries) == 0 && list.Filtered == held.Filtered) {
		return
	}
	s.kinds[kind] = list
	s.version++
}

// empty tells that no entry of a kind was seen.
func (s *shelf) empty(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kinds[kind].Entries) == 0
}

// list are the entries of a kind: those that are held, or read now when there are none, or the token did not see all of them.
func (s *shelf) list(ctx context.Context, kind string) (consul.EntryList, error) {
	s.mu.Lock()
	held, ok := s.kinds[kind]
	s.mu.Unlock()
	if ok && !held.Filtered {
		return held, nil
	}
	return s.refresh(ctx, kind)
}

// refresh reads a kind now. To be called after a write, so that the next look sees it.
func (s *shelf) refresh(ctx context.Context, kind string) (consul.EntryList, error) {
	list, err := s.consul.EntryList(ctx, kind, consul.Query{})
	if consul.ReasonOf(err) == consul.UnknownKind {
		list, err = consul.EntryList{}, nil
	}
	if err != nil {
		return consul.EntryList{}, err
	}
	s.mu.Lock()
	held, ok := s.kinds[kind]
	s.mu.Unlock()
	if !ok || list.Index != held.Index || list.Filtered != held.Filtered || len(list.Entries) != len(held.Entries) {
		s.put(kind, list, false)
	}
	return list, nil
}

// now is the version of all that is held.
func (s *shelf) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}
