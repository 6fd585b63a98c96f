package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"isthmus/fault"
	"isthmus/identity"
	"isthmus/server/auth"
)

const (
	// DefaultIdle is how long a session lasts when nobody renews it.
	DefaultIdle = 30 * time.Minute
	// Longest is how long a session lasts in any case: a working day, and not the night after it.
	Longest = 12 * time.Hour

	// keyUse names the key that seals sessions, and what it seals.
	keyUse = "dashboard-session"
	// maxSealed is the largest text that is worth opening: several times what Seal makes.
	maxSealed = 2 << 10
	// sweepFrom is the least number of ended sessions that is worth looking through for those that may be forgotten.
	sweepFrom = 1024
	// markSize is how many bytes a mark has: enough that no two are equal.
	markSize = 16
)

// Session is one login. It has no secret of whom it is for: who steals it can act for them until it ends, and no longer.
type Session struct {
	// ID is random; it stays the same when the session is renewed.
	ID      string       `json:"id"`
	Subject auth.Subject `json:"subject"`
	// CSRF is what requests carry besides the cookie.
	CSRF  string    `json:"csrf"`
	Start time.Time `json:"start"`
	// Idle is when it ends unless it is renewed, End when it ends in any case.
	Idle time.Time `json:"idle"`
	End  time.Time `json:"end"`
}

// SameCSRF compares in a time that tells nothing.
func (s Session) SameCSRF(shown string) bool {
	return s.CSRF != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(s.CSRF)) == 1
}

// Keeper makes sessions, and knows good ones. All methods may be called concurrently.
type Keeper struct {
	key  *identity.ServerKey
	idle time.Duration
	now  func() time.Time

	mu sync.Mutex
	// ended are the marks of sessions that were logged out, here or at another replica, with the time at which they would have ended.
	ended map[string]time.Time
	// sweepAt is how many there are when those are dropped whose time has come.
	sweepAt int
	// calls are those under way that end with their session, by its mark.
	calls map[string]map[*call]bool
}

// call is one that ends with its session.
type call struct{ end context.CancelCauseFunc }

// NewKeeper makes a Keeper. Those with the same server key know each other's sessions; idle is how long one lasts that is
// not renewed.
func NewKeeper(key *identity.ServerKey, idle time.Duration, now func() time.Time) (*Keeper, error) {
	own, err := key.Derive(keyUse)
	if err != nil {
		return nil, err
	}
	return &Keeper{key: own, idle: idle, now: now, ended: map[string]time.Time{}, sweepAt: sweepFrom, calls: map[string]map[*call]bool{}}, nil
}

// Begin makes a session for a subject that has shown who it is. It ends with its subject: zero for one that has no end.
func (k *Keeper) Begin(subject auth.Subject, end time.Time) Session {
	now := k.now()
	s := Session{ID: rand.Text(), CSRF: rand.Text(), Subject: subject, Start: now, End: now.Add(Longest)}
	if !end.IsZero() && end.Before(s.End) {
		s.End = end
	}
	return k.Renew(s)
}

// Renew gives a session that was opened its whole idle time again, as far as its end allows.
func (k *Keeper) Renew(s Session) Session {
	s.Idle = k.now().Add(k.idle)
	if s.End.Before(s.Idle) {
		s.Idle = s.End
	}
	return s
}

// Seal makes the text that a browser keeps. Without the key nobody can read it, make one, or change one.
func (k *Keeper) Seal(s Session) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding a session: %w", err)
	}
	sealed, err := k.key.Seal(keyUse, plain)
	if err != nil {
		return "", fmt.Errorf("sealing a session: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open gives the session of a sealed text. Unauthenticated when it is none of this fleet's, or (auth.ReasonSessionEnded) is
// over. Whether its subject is still there is not asked here.
func (k *Keeper) Open(sealed string) (Session, error) {
	var s Session
	plain, err := k.unseal(sealed)
	if err != nil || json.Unmarshal(plain, &s) != nil {
		return Session{}, fault.New(fault.Unauthenticated, "the cookie is no session of this server: log in")
	}
	now := k.now()
	switch {
	case !now.Before(s.End):
		return Session{}, auth.SessionEnded("it began at " + s.Start.UTC().Format(time.RFC3339) + " and has reached its end")
	case !now.Before(s.Idle):
		return Session{}, auth.SessionEnded("nobody used it for " + k.idle.String())
	case k.hasEnded(markOf(s.ID)):
		return Session{}, loggedOut()
	}
	return s, nil
}

// unseal decrypts. Its errors are about the key's owner, not about who shows a cookie, and are not shown.
func (k *Keeper) unseal(sealed string) ([]byte, error) {
	if len(sealed) > maxSealed {
		return nil, fault.New(fault.Invalid, "too long")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "no base64")
	}
	return k.key.Open(keyUse, raw)
}

// Login implements auth.Sessions.
func (k *Keeper) Login(sealed string) (auth.Login, error) {
	s, err := k.Open(sealed)
	return auth.Login{ID: s.ID, Subject: s.Subject}, err
}

// markOf is what other replicas know an ended session by: nobody can make its id of it.
func markOf(id string) string {
	sum := sha256.Sum256([]byte(keyUse + " " + id))
	return hex.EncodeToString(sum[:markSize])
}

func loggedOut() error { return auth.SessionEnded("it was logged out") }

// End refuses a session from now on, however often it was renewed, and ends the calls that wait with it; false when it was ended
// before. Other replicas learn of it by its mark.
func (k *Keeper) End(s Session) (mark string, first bool) {
	mark = markOf(s.ID)
	return mark, k.endMark(mark, s.End)
}

// endMark does it to a session that would have ended at a time in any case.
func (k *Keeper) endMark(mark string, end time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, already := k.ended[mark]; already {
		return false
	}
	if len(k.ended) >= k.sweepAt {
		now := k.now()
		for mark, end := range k.ended {
			if !now.Before(end) {
				delete(k.ended, mark)
			}
		}
		k.sweepAt = 2*len(k.ended) + sweepFrom
	}
	k.ended[mark] = end
	for c := range k.calls[mark] {
		c.end(loggedOut())
	}
	delete(k.calls, mark)
	return true
}

func (k *Keeper) hasEnded(mark string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ended := k.ended[mark]
	return ended
}

// Until implements auth.Sessions.
func (k *Keeper) Until(ctx context.Context, id string) (until context.Context, stop func()) {
	until, end := context.WithCancelCause(ctx)
	mark, c := markOf(id), &call{end}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ended := k.ended[mark]; ended {
		end(loggedOut())
		return until, func() {}
	}
	if k.calls[mark] == nil {
		k.calls[mark] = map[*call]bool{}
	}
	k.calls[mark][c] = true
	return until, func() {
		end(nil)
		k.mu.Lock()
		defer k.mu.Unlock()
		if delete(k.calls[mark], c); len(k.calls[mark]) == 0 {
			delete(k.calls, mark)
		}
	}
}
