package session

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What is written to the audit log, which is kept for ever, because somebody logs in.
const (
	// One API token logs in so often: a burst for tests of a dashboard, after it once in six seconds.
	loginBurst = 60
	loginEvery = 6 * time.Second
	// Refused logins of one API token (and those that show none that is known, together) are listed at once; after them one
	// a minute, which says how many more there were.
	refusedBurst = 5
	refusedEvery = time.Minute
)

// tally is what is known of one API token's logins; it is kept by uid, empty for strangers.
type tally struct {
	logins, refused *rate.Limiter
	// more are the refused logins since a time that the audit log has not heard of; last is what it would have heard.
	more  int
	since time.Time
	last  *isthmusv1.Event
}

// quota bounds what logins cause. The zero value is ready.
type quota struct {
	mu      sync.Mutex
	tallies map[string]*tally
}

func (q *quota) of(uid string) *tally {
	if q.tallies == nil {
		q.tallies = map[string]*tally{}
	}
	t := q.tallies[uid]
	if t == nil {
		t = &tally{logins: rate.NewLimiter(rate.Every(loginEvery), loginBurst), refused: rate.NewLimiter(rate.Every(refusedEvery), refusedBurst)}
		q.tallies[uid] = t
	}
	return t
}

// login tells whether an API token may log in now.
func (q *quota) login(uid string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.of(uid).logins.AllowN(now, 1)
}

// refusal tells whether a refused login may be written to the audit log now; otherwise it is counted.
func (q *quota) refusal(uid string, e *isthmusv1.Event, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.of(uid)
	if t.more == 0 && t.refused.AllowN(now, 1) {
		return true
	}
	if t.more == 0 {
		t.since = now
	}
	t.more++
	t.last = e
	return false
}

// due are entries that tell of refused logins that were only counted, as far as one may be written again. API tokens that
// nobody has used for a while are forgotten.
func (q *quota) due(now time.Time) []*isthmusv1.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*isthmusv1.Event
	for uid, t := range q.tallies {
		switch {
		case t.more > 0 && t.refused.AllowN(now, 1):
			if t.more > 1 {
				t.last.Spec.Message = fmt.Sprintf("%d logins were refused since %s; the last: %s", t.more, t.since.UTC().Format(time.RFC3339), t.last.GetSpec().GetMessage())
			}
			out = append(out, t.last)
			t.more, t.last = 0, nil
		case t.more == 0 && t.refused.TokensAt(now) >= refusedBurst && t.logins.TokensAt(now) >= loginBurst:
			delete(q.tallies, uid)
		}
	}
	return out
}
