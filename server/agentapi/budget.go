package agentapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"isthmus/fault"
)

// What an agent may cost the store: each of these calls writes to it, most to the audit log, too. A new datacenter's agent
// hands over its tokens at once, two calls for each of its peerings, and is idle afterwards: 500 peerings at once, a hub's
// 2,000 in half a minute.
const (
	writesPerSecond = 100
	writesBurst     = 1000
	// One peering's token is claimed once, or again by an agent that was interrupted: whoever goes on and on with it fills the audit log.
	claimsEvery = 10 * time.Second
	claimsBurst = 20
	// A report may have some megabytes, is kept, and wakes whoever looks. An agent puts together what it has to tell: one or two in a second,
	// while a fleet is being peered.
	reportsPerSecond = 20
	reportsBurst     = 600
	// comeAgain is after what time an agent that was refused is told to try again.
	comeAgain = 2 * time.Second
	// maxRead is how many secrets an agent is remembered to have read; more than it has peerings.
	maxRead = 10_000
)

// budgets bound what each agent can cause. The zero value is ready.
type budgets struct {
	mu     sync.Mutex
	agents map[string]*budget
	// sweepAt is how many there are when the idle ones are dropped.
	sweepAt int
}

// budget is one agent's.
type budget struct {
	writes, reports *rate.Limiter
	// claims are of single peerings, by uid.
	claims map[string]*rate.Limiter
	// read are the digests of the secrets that it was given, which the audit log has from the first time.
	read map[string]bool
}

// spend takes n writes from an agent's budget, or says Busy.
func (b *budgets) spend(agent string, n int, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.of(agent, now).writes.AllowN(now, n) {
		return tooOften(agent, "asks", writesPerSecond)
	}
	return nil
}

// claim takes one claim from the budget of an agent's peering, one that there is, or says Busy.
func (b *budgets) claim(agent, uid string, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.of(agent, now)
	limit := one.claims[uid]
	if limit == nil {
		if one.claims == nil || len(one.claims) >= maxRead {
			one.claims = map[string]*rate.Limiter{}
		}
		limit = rate.NewLimiter(rate.Every(claimsEvery), claimsBurst)
		one.claims[uid] = limit
	}
	if !limit.AllowN(now, 1) {
		return fault.Limited(comeAgain, "agent %s claims one peering's token too often: once in %s, which no flag changes", agent, claimsEvery)
	}
	return nil
}

// report takes one report from an agent's budget, or says Busy.
func (b *budgets) report(agent string, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.of(agent, now).reports.AllowN(now, 1) {
		return tooOften(agent, "reports", reportsPerSecond)
	}
	return nil
}

func tooOften(agent, does string, most int) error {
	return fault.Limited(comeAgain, "agent %s %s too often: at most %d times a second, which no flag changes", agent, does, most)
}

// hasRead tells whether an agent was given a secret before, as far as this server knows.
func (b *budgets) hasRead(agent, digest string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.of(agent, now).read[digest]
}

// reads notes that an agent was given a secret, and that the audit log has it.
func (b *budgets) reads(agent, digest string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.of(agent, now)
	if len(one.read) >= maxRead {
		clear(one.read)
	}
	one.read[digest] = true
}

func (b *budgets) of(agent string, now time.Time) *budget {
	if one, ok := b.agents[agent]; ok {
		return one
	}
	if len(b.agents) >= b.sweepAt {
		for name, one := range b.agents {
			if one.writes.TokensAt(now) >= writesBurst && one.reports.TokensAt(now) >= reportsBurst {
				delete(b.agents, name)
			}
		}
		b.sweepAt = 2*len(b.agents) + writesBurst
	}
	if b.agents == nil {
		b.agents = map[string]*budget{}
	}
	one := &budget{
		writes: rate.NewLimiter(writesPerSecond, writesBurst), reports: rate.NewLimiter(reportsPerSecond, reportsBurst), read: map[string]bool{},
	}
	b.agents[agent] = one
	return one
}
