package session

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

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

// notice is an entry that tells of refused logins that were only counted.
type notice struct {
	event *isthmusv1.Event
	// uid is the tally's, of which more are told by the time at.
	uid  string
	more int
	at   time.Time
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
	t.count(e, now)
	return false
}

// missed counts a refused login that could not be written.
func (q *quota) missed(uid string, e *isthmusv1.Event, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.of(uid).count(e, now)
}

func (t *tally) count(e *isthmusv1.Event, now time.Time) {
	if t.more == 0 {
		t.since = now
	}
	t.more++
	t.last = e
}

// due are entries that tell of refused logins that were only counted, as far as one may be written again; told has to be called when
// they are. API tokens that nobody has used for a while are forgotten.
func (q *quota) due(now time.Time) []notice {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []notice
	for uid, t := range q.tallies {
		switch {
		case t.more > 0 && t.refused.AllowN(now, 1):
			e := t.last
			if t.more > 1 {
				e = proto.CloneOf(e)
				e.Spec.Message = fmt.Sprintf("%d logins were refused since %s; the last: %s", t.more, t.since.UTC().Format(time.RFC3339), e.GetSpec().GetMessage())
			}
			out = append(out, notice{event: e, uid: uid, more: t.more, at: now})
		case t.more == 0 && t.refused.TokensAt(now) >= refusedBurst && t.logins.TokensAt(now) >= loginBurst:
			delete(q.tallies, uid)
		}
	}
	return out
}

// told takes what the audit log has heard by now off the tallies.
func (q *quota) told(notices []notice) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range notices {
		t := q.of(n.uid)
		t.since = n.at
		if t.more -= n.more; t.more <= 0 {
			t.more, t.last = 0, nil
		}
	}
}
