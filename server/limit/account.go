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
	admins
	classes
)

func classOf(role auth.Role) class {
	switch role { //nolint:exhaustive // the others are people or strangers.
	case auth.Admin:
		return admins
	case auth.Operator:
		return operators
	case auth.Agent, auth.Gateway, auth.ExpiredAgent:
		return agents
	}
	return viewers
}

// identity is one caller: an API token, one login with it, or an agent.
type identity struct{ uid, session string }

// account is what one caller may ask for in a second.
type account struct {
	class         class
	reads, writes *rate.Limiter
}

// newAccount is an account of a caller with these limits.
func newAccount(c auth.Caller, l Limits) *account {
	a := &account{class: classOf(c.Role)}
	reads, writes := l.Reads, l.Writes
	switch a.class { //nolint:exhaustive // the others have what the flags say.
	case admins:
		reads, writes = times(reads, adminRates), times(writes, adminRates)
	case agents:
		reads = l.AgentCalls
	}
	a.reads = bucket(reads)
	a.writes = a.reads
	if a.class != agents {
		a.writes = bucket(writes)
	}
	return a
}

// holder is who has calls under way: an API token with all its logins, or an agent with all its certificates.
type holder struct {
	uid   string
	class class
}

// holding is what a holder has under way.
type holding struct {
	holder
	// requests and waits are how many it may have.
	requests, waits int
	// arriving calls are those whose message has not been read yet.
	arriving, inLine, working, waiting int
	// body is how much memory the bodies take that it sent.
	body int64
}

// newHolding is a holder's, with these limits.
func newHolding(h holder, l Limits) *holding {
	out := &holding{holder: h, requests: l.RequestsPerToken, waits: l.WaitsPerToken}
	switch h.class { //nolint:exhaustive // as above.
	case admins:
		out.requests, out.waits = times(out.requests, adminRequests), times(out.waits, adminWaits)
	case agents:
		out.requests, out.waits = agentRequests, agentWaits
	}
	return out
}

// empty tells that nothing is lost when the holding is forgotten.
func (h *holding) empty() bool {
	return h.arriving+h.inLine+h.working+h.waiting == 0 && h.body == 0
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
	return full(a.reads) && full(a.writes)
}
