package limit

import (
	"container/list"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isthmus/fault"
	"isthmus/server/auth"
)

const (
	// soon is after what time a place that is taken may be free: most calls take milliseconds.
	soon = time.Second
	// later is by how much more those are put off that found the line full, at random: they came together.
	later = 4 * time.Second
	// lineTime is the longest that a call stands in line.
	lineTime = 5 * time.Second
	// bodies is how much of large bodies is in memory at a time, one caller's part half of it. What it is decoded to takes several
	// times as much.
	bodies = 64 << 20
	// adminBodies is what of that only admins take.
	adminBodies = bodies / 4
	// logins is how many are looked at at a time; each is 4 KiB.
	logins = 256
	// sweepFrom is the least number of accounts that is worth looking through for idle ones.
	sweepFrom = 1024
)

// Limiter lets calls in or refuses them: Busy, with the limit, the flag that changes it and when to come again. All methods may be
// called concurrently.
type Limiter struct {
	limits Limits
	now    func() time.Time
	writes map[string]bool
	// refused counts by limit.
	refused *prometheus.CounterVec

	mu       sync.Mutex
	accounts map[identity]*account
	// holdings are of those who have calls under way.
	holdings map[holder]*holding
	// sweepAt is how many accounts there are when the idle ones are dropped.
	sweepAt int
	// working and line are by class: calls that have a place, and those that want one, the first in front.
	working [classes]int
	line    [classes]*list.List
	// waiting are the calls that wait for a change, by class.
	waiting [classes]int
	body    int64
	logins  int
	guests  int
	// calls are those of REST, by the name under which the services find them.
	calls    map[string]*Call
	nextCall uint64
}

// New makes a Limiter whose metrics are in registry.
func New(l Limits, now func() time.Time, registry prometheus.Registerer) *Limiter {
	out := &Limiter{
		limits: l.effective(), now: now, writes: map[string]bool{}, accounts: map[identity]*account{}, holdings: map[holder]*holding{}, sweepAt: sweepFrom, calls: map[string]*Call{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_limit_refused_total",
			Help: "Calls and connections refused because a limit was reached, by limit.",
		}, []string{"limit"}),
	}
	for _, r := range auth.Rules() {
		out.writes[r.Method] = r.Writes()
	}
	for c := range out.line {
		out.line[c] = list.New()
	}
	registry.MustRegister(out.refused, collector{out})
	return out
}

// of is the caller's account. An agent has one of them with its certificate of now and with the one before, whose role is another.
func (l *Limiter) of(c auth.Caller) *account {
	key := identity{c.UID, c.Session}
	if a, ok := l.accounts[key]; ok && a.class == classOf(c.Role) {
		return a
	}
	if len(l.accounts) >= l.sweepAt {
		now := l.now()
		for key, a := range l.accounts {
			if a.idle(now) {
				delete(l.accounts, key)
			}
		}
		l.sweepAt = 2*len(l.accounts) + sweepFrom
	}
	a := newAccount(c, l.limits)
	l.accounts[key] = a
	return a
}

// refuse counts a refusal by its limit, and makes the error.
func (l *Limiter) refuse(limit string, after time.Duration, format string, args ...any) error {
	l.refused.WithLabelValues(limit).Inc()
	return fault.Limited(after, format, args...)
}

// Refused counts what was refused elsewhere.
func (l *Limiter) Refused(limit string) { l.refused.WithLabelValues(limit).Inc() }

// spend takes one call from a caller's rate.
func (l *Limiter) spend(c auth.Caller, a *account, write bool) error {
	from, limit, flag, does := a.reads, "reads", "--reads-per-second", "reads"
	switch {
	case a.class == agents:
		limit, flag, does = "agent-calls", "--agent-calls-per-second", "calls"
	case write:
		from, limit, flag, does = a.writes, "writes", "--writes-per-second", "writes"
	}
	now := l.now()
	if from.AllowN(now, 1) {
		return nil
	}
	after := time.Duration((1 - from.TokensAt(now)) / float64(from.Limit()) * float64(time.Second))
	return l.refuse(limit, max(after, soon), "%s %s too often: at most %d times a second (%s of the server)", c.Actor(), does, int(from.Limit()), flag)
}

// Login lets a login in, whose caller nobody knows yet. leave is called when it is answered.
func (l *Limiter) Login() (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logins >= logins {
		return nil, l.refuse("logins", soon, "too many logins at a time: at most %d, which no flag changes", logins)
	}
	l.logins++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.logins--
	}, nil
}

// putOff is when to come again for somebody who came with many.
func putOff() time.Duration {
	return soon + rand.N(later) //nolint:gosec // spreads load; nobody gains by guessing it.
}
