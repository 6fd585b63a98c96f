package limit

import (
	"time"

	"golang.org/x/time/rate"

	"isthmus/server/auth"
)

// class is whose call it is, as far as places go. The later ones are let in first.
type class int

const (
	viewers class = iota
	agents
	operators
	classes
)

func classOf(role auth.Role) class {
	switch role { //nolint:exhaustive // the others are people or strangers.
	case auth.Admin, auth.Operator:
		return operators
	case auth.Agent, auth.Gateway, auth.ExpiredAgent:
		return agents
	}
	return viewers
}

// identity is one caller: an API token, one login with it, or an agent.
type identity struct{ uid, session string }

// account is what one caller has under way.
type account struct {
	role          auth.Role
	class         class
	reads, writes *rate.Limiter
	// requests and waits are how many it may have.
	requests, waits int
	// arriving calls are those whose message has not been read yet.
	arriving, working, waiting int
	// body is how much memory the bodies take that it sent.
	body int64
}

// newAccount is an account of a caller with these limits.
func newAccount(c auth.Caller, l Limits) *account {
	a := &account{role: c.Role, class: classOf(c.Role), requests: l.RequestsPerToken, waits: l.WaitsPerToken}
	reads, writes := l.Reads, l.Writes
	switch {
	case c.Role == auth.Admin:
		a.requests, a.waits = times(a.requests, adminRequests), times(a.waits, adminWaits)
		reads, writes = times(reads, adminRates), times(writes, adminRates)
	case a.class == agents:
		a.requests, a.waits = agentRequests, agentWaits
		reads = l.AgentCalls
	}
	a.reads = bucket(reads)
	a.writes = a.reads
	if a.class != agents {
		a.writes = bucket(writes)
	}
	return a
}

func times(n, by int) int { return min(n, unlimited/by) * by }

func bucket(perSecond int) *rate.Limiter {
	if perSecond >= unlimited/adminRates {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), times(perSecond, burst))
}

// idle tells that nothing is lost when the account is forgotten.
func (a *account) idle(now time.Time) bool {
	full := func(l *rate.Limiter) bool { return l.Limit() == rate.Inf || l.TokensAt(now) >= float64(l.Burst()) }
	return a.arriving == 0 && a.working == 0 && a.waiting == 0 && a.body == 0 && full(a.reads) && full(a.writes)
}
