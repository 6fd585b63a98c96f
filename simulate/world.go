package simulate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Consul's words for the state of a peering.
const (
	statePending    = "PENDING"
	stateActive     = "ACTIVE"
	stateTerminated = "TERMINATED"
)

// Roles of a peering's ends.
const (
	roleAcceptor = "acceptor"
	roleDialer   = "dialer"
)

// freshFor is how long after the last heartbeat agents call one fresh: a stream that hangs has done so for that long when it is told.
const freshFor = 20 * time.Second

// world is what stands for all Consul datacenters together: who has which end of which peering, and what is wrong with it. Who changed
// something at another datacenter's end pokes that one's agent afterwards.
type world struct {
	now func() time.Time

	mu    sync.Mutex
	sites map[string]*site
	// tokens are those that may still be used, and the streams that they lead to.
	tokens map[string]*stream
	minted uint64
	// hung are since when the streams of peerings hang, by the peerings' names; severed are those whose dialer loses its end again and again.
	hung    map[string]time.Time
	severed map[string]bool
	// joined are the secondaries of each primary's WAN pool.
	joined map[string][]string
}

// site is one datacenter's Consul.
type site struct {
	place
	services []string
	// ends are those that are wanted here, or left over, by uid.
	ends map[string]*end
	// exports are the names of services that each peer is given, by the peer's name here.
	exports map[string][]string
	// exported is the entry that makes them so.
	exported []*isthmusv1.ExportedService
	// headless: its servers have no leader.
	headless bool
	// unreached: no other member of its federation reaches it.
	unreached bool
	wan       wan
}

// end is one end of a peering, and what its agent remembers of it.
type end struct {
	uid, peering, peerName, role string
	site                         *site
	// stream is nil when Consul has no such peering.
	stream *stream
	// generation is of the token that was made or used last, outcome what came of using it; transfer is the last of leadership.
	generation int32
	outcome    string
	transfer   int32
	// deleting: it is wanted no more. orphan: nothing is said of it any more.
	deleting, orphan bool
}

// stream is what connects two ends. Only one of them is there until a token was used.
type stream struct {
	id               string
	token            string
	acceptor, dialer *end
	// terminated: one end was deleted after both were there.
	terminated bool
}

func newWorld(l layout, now func() time.Time) *world {
	w := &world{
		now: now, sites: map[string]*site{}, tokens: map[string]*stream{}, hung: map[string]time.Time{}, severed: map[string]bool{},
		joined: map[string][]string{},
	}
	for _, p := range l.places {
		w.sites[p.name] = &site{place: p, services: l.services, ends: map[string]*end{}}
	}
	return w
}

// want notes an end that the desired state has.
func (w *world) want(s *site, next end) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := s.ends[next.uid]
	if e == nil {
		e = &end{uid: next.uid, site: s}
		s.ends[next.uid] = e
	}
	e.peering, e.peerName, e.role, e.deleting, e.orphan = next.peering, next.peerName, next.role, next.deleting, false
	e.transfer = max(e.transfer, next.transfer)
}

// keep forgets the ends that the desired state does not have; what Consul still has of them is left over.
func (w *world) keep(s *site, wanted map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for uid := range s.ends {
		if !wanted[uid] {
			s.forsake(uid)
		}
	}
}

// forsake is keep for what a state has no more, when the others of its ends are wanted as before.
func (w *world) forsake(s *site, gone []string, wanted map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, uid := range gone {
		if !wanted[uid] {
			s.forsake(uid)
		}
	}
}

// forsake is of an end that nobody wants; the world's lock is held.
func (s *site) forsake(uid string) {
	switch e := s.ends[uid]; {
	case e == nil:
	case e.stream == nil:
		delete(s.ends, uid)
	default:
		e.orphan = true
	}
}

// did is the generation of the last token that an end made or used.
func (w *world) did(s *site, uid string) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := s.ends[uid]; e != nil {
		return e.generation
	}
	return 0
}

// generate is GenerateToken: another token of the same peering, the one before is worth nothing any more.
func (w *world) generate(s *site, uid string, generation int32) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := s.ends[uid]
	if e.stream == nil || e.stream.terminated {
		e.stream = &stream{id: uuid.NewString(), acceptor: e}
	}
	delete(w.tokens, e.stream.token)
	w.minted++
	e.stream.token = e.stream.id + "/" + strconv.FormatUint(w.minted, 10)
	w.tokens[e.stream.token] = e.stream
	e.generation = generation
	return e.stream.token
}

// establish is Establish with a token, which can be used once. It gives the acceptor's datacenter, which sees it; empty: it was refused.
func (w *world) establish(s *site, uid string, generation int32, token string) (acceptor string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := s.ends[uid]
	e.generation, e.outcome = generation, resource.OutcomeRefused
	t := w.tokens[token]
	if t == nil {
		return ""
	}
	delete(w.tokens, token)
	t.token, t.dialer = "", e
	e.stream, e.outcome = t, resource.OutcomeUsed
	return t.acceptor.site.name
}

// drop deletes an end; the other one hears of it. It gives the datacenter of that one, if there is one.
func (w *world) drop(s *site, uid string) (other string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := s.ends[uid]
	if e == nil || e.stream == nil {
		return ""
	}
	t := e.stream
	e.stream = nil
	delete(w.tokens, t.token)
	o := t.other(e)
	if o == nil || o.stream != t {
		return ""
	}
	t.terminated = true
	return o.site.name
}

func (t *stream) other(e *end) *end {
	if t.acceptor == e {
		return t.dialer
	}
	return t.acceptor
}

func (t *stream) state() string {
	switch {
	case t.terminated:
		return stateTerminated
	case t.dialer == nil:
		return statePending
	}
	return stateActive
}

// export writes a datacenter's exported services and gives its peers, which see it.
func (w *world) export(s *site, services []*isthmusv1.ExportedService) (peers []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.exported, s.exports = services, map[string][]string{}
	for _, one := range services {
		for _, peer := range one.GetPeers() {
			s.exports[peer] = append(s.exports[peer], one.GetName())
		}
	}
	for _, e := range s.ends {
		if e.stream != nil {
			if o := e.stream.other(e); o != nil {
				peers = append(peers, o.site.name)
			}
		}
	}
	return peers
}

// connected counts the peerings both of whose ends are there.
func (w *world) connected() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.sites {
		for _, e := range s.ends {
			if e.role == roleDialer && e.stream != nil {
				n++
			}
		}
	}
	return n
}

// sorted are a datacenter's ends in the order in which they are told. It is called with the world's lock held.
func (s *site) sorted() []*end {
	return slices.SortedFunc(maps.Values(s.ends), func(a, b *end) int {
		return cmp.Or(cmp.Compare(a.peerName, b.peerName), cmp.Compare(a.uid, b.uid))
	})
}
