package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/auth"
	"isthmus/server/session"
)

const idle = 30 * time.Minute

var morning = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// clock stands still until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func serverKey(t testing.TB) *identity.ServerKey {
	t.Helper()
	key, err := identity.NewServerKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keeper(t testing.TB, key *identity.ServerKey, c *clock) *session.Keeper {
	t.Helper()
	k, err := session.NewKeeper(key, idle, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t rapid.TB, k *session.Keeper, s session.Session) string {
	t.Helper()
	sealed, err := k.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func alice() auth.Subject {
	return auth.SubjectOf(&isthmusv1.APIToken{Name: "alice", Uid: "7d9e", Status: &isthmusv1.APITokenStatus{SecretHash: []byte("hash")}})
}

func reason(err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Violations) == 0 {
		return ""
	}
	return f.Violations[0].Reason
}

func TestSealedSessions(t *testing.T) {
	t.Parallel()
	c, key := &clock{morning}, serverKey(t)
	k, replica, stranger := keeper(t, key, c), keeper(t, key, c), keeper(t, serverKey(t), c)
	s := k.Begin(alice(), time.Time{})
	sealed := seal(t, k, s)
	for _, hidden := range []string{"alice", s.ID, s.CSRF} {
		raw, err := base64.RawURLEncoding.DecodeString(sealed)
		if err != nil || strings.Contains(string(raw), hidden) || strings.Contains(sealed, hidden) {
			t.Errorf("%v: whoever sees the cookie reads %s", err, hidden)
		}
	}
	if len(sealed) > 1<<10 {
		t.Errorf("a cookie of %d bytes goes with each request", len(sealed))
	}
	got, err := replica.Open(sealed)
	if err != nil || got != s {
		t.Errorf("at a replica: %+v %v", got, err)
	}
	if _, err := stranger.Open(sealed); fault.CodeOf(err) != fault.Unauthenticated || reason(err) != "" {
		t.Errorf("with another server's key: %v", err)
	}
	if again := k.Begin(alice(), time.Time{}); again.ID == s.ID || again.CSRF == s.CSRF || seal(t, k, s) == sealed {
		t.Error("two sessions have the same secrets, or two cookies the same bytes")
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if _, err := k.Open(base64.RawURLEncoding.EncodeToString(raw)); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("changed at byte %d: %v", i, err)
		}
		raw[i] ^= 1
	}
	// What the server key seals for other uses is no session, and the other way round.
	other, err := key.Seal("dashboard-session", []byte(`{"id":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(base64.RawURLEncoding.EncodeToString(other)); err == nil {
		t.Error("the server key itself makes sessions")
	}
	if !s.SameCSRF(s.CSRF) || s.SameCSRF("") || s.SameCSRF(s.CSRF+"x") || (session.Session{}).SameCSRF("") {
		t.Error("the CSRF secret is compared wrongly")
	}
}

// Whatever is done with sessions, and when: one is good exactly as long as the rules say, at every replica that has not heard of
// its end.
func TestLifeOfSessions(t *testing.T) {
	t.Parallel()
	type life struct {
		sealed, mark    string
		start, idle     time.Time
		end             time.Time
		here, elsewhere bool // logged out
	}
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{morning}
		key, err := identity.NewServerKey()
		if err != nil {
			t.Fatal(err)
		}
		var replicas [2]*session.Keeper
		for i := range replicas {
			if replicas[i], err = session.NewKeeper(key, idle, c.now); err != nil {
				t.Fatal(err)
			}
		}
		var lives []*life
		good := func(l *life) bool { return c.at.Before(l.idle) && c.at.Before(l.end) }
		pick := func(t *rapid.T) *life {
			if len(lives) == 0 {
				t.Skip("nobody has logged in")
			}
			return rapid.SampledFrom(lives).Draw(t, "session")
		}
		t.Repeat(map[string]func(*rapid.T){
			"login": func(t *rapid.T) {
				l := &life{start: c.at, end: c.at.Add(session.Longest)}
				var until time.Time
				if ends := rapid.IntRange(0, 20).Draw(t, "token's hours"); ends > 0 {
					until = c.at.Add(time.Duration(ends) * time.Hour)
					if until.Before(l.end) {
						l.end = until
					}
				}
				l.idle = c.at.Add(idle)
				l.sealed = seal(t, replicas[0], replicas[0].Begin(alice(), until))
				lives = append(lives, l)
			},
			"wait": func(t *rapid.T) {
				c.at = c.at.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
			},
			"renew": func(t *rapid.T) {
				l, at := pick(t), rapid.IntRange(0, 1).Draw(t, "replica")
				s, err := replicas[at].Open(l.sealed)
				if err != nil {
					return
				}
				l.sealed, l.idle = seal(t, replicas[at], replicas[at].Renew(s)), c.at.Add(idle)
			},
			"logout": func(t *rapid.T) {
				l, at := pick(t), rapid.IntRange(0, 1).Draw(t, "replica")
				s, err := replicas[at].Open(l.sealed)
				if err != nil {
					return
				}
				mark, first := replicas[at].End(s)
				if _, again := replicas[at].End(s); !first || again {
					t.Fatal("a session ends once")
				}
				l.mark, l.here, l.elsewhere = mark, l.here || at == 0, l.elsewhere || at == 1
			},
			"tell": func(t *rapid.T) {
				if l := pick(t); l.mark != "" {
					replicas[0].EndElsewhere(l.mark, c.at.Add(session.Longest))
					replicas[1].EndElsewhere(l.mark, c.at.Add(session.Longest))
					l.here, l.elsewhere = true, true
				}
			},
			"": func(t *rapid.T) {
				for _, l := range lives {
					for at, out := range []bool{l.here, l.elsewhere} {
						s, err := replicas[at].Open(l.sealed)
						if (err == nil) != (good(l) && !out) {
							t.Fatalf("at %s, replica %d: %v; it began at %s, is idle at %s, ends at %s, logged out: %t", c.at, at, err, l.start, l.idle, l.end, out)
						}
						if err != nil && (reason(err) != auth.ReasonSessionEnded || fault.CodeOf(err) != fault.Unauthenticated) {
							t.Fatalf("refused with %v", err)
						}
						if err == nil && (s.Subject != alice() || s.End.Before(s.Idle)) {
							t.Fatalf("%+v", s)
						}
					}
				}
			},
		})
	})
}

// What is remembered of sessions that were logged out does not grow for ever.
func TestEndedSessionsAreForgotten(t *testing.T) {
	t.Parallel()
	c := &clock{morning}
	k := keeper(t, serverKey(t), c)
	for range 20 {
		for range 500 {
			k.End(k.Begin(alice(), time.Time{}))
		}
		c.at = c.at.Add(session.Longest)
	}
	if n := k.Remembered(); n > 3_000 {
		t.Errorf("%d sessions are remembered, of which 500 could still be shown", n)
	}
}

// FuzzOpen: what strangers send as a cookie is no session, unless it is one.
func FuzzOpen(f *testing.F) {
	c, key := &clock{morning}, serverKey(f)
	k := keeper(f, key, c)
	genuine := k.Begin(alice(), time.Time{})
	sealed, err := k.Seal(genuine)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{sealed, sealed[:len(sealed)/2], sealed + "A", "", "AQ", "nonsense", "\x00", strings.Repeat("A", 4<<10), string(raw)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, shown string) {
		s, err := k.Open(shown)
		if err == nil && s != genuine {
			t.Errorf("%q opens as %+v", shown, s)
		}
		if err != nil && (fault.CodeOf(err) != fault.Unauthenticated || s != (session.Session{})) {
			t.Errorf("%q: %+v %v", shown, s, err)
		}
		// What is inside is our own, but an older server's perhaps: it opens or not, and nothing else.
		own, err := key.Derive("dashboard-session")
		if err != nil {
			t.Fatal(err)
		}
		inside, err := own.Seal("dashboard-session", []byte(shown))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Open(base64.RawURLEncoding.EncodeToString(inside)); err != nil && fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("inside, %q: %v", shown, err)
		}
	})
}

// A call that waits with a session ends when that is logged out, here or elsewhere, and no other does.
func TestCallsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	c := &clock{morning}
	k := keeper(t, serverKey(t), c)
	one, other := k.Begin(alice(), time.Time{}), k.Begin(alice(), time.Time{})
	waits, stop := k.Until(t.Context(), one.ID)
	also, stopAlso := k.Until(t.Context(), one.ID)
	stays, stopStays := k.Until(t.Context(), other.ID)
	stopAlso()
	if also.Err() == nil || reason(context.Cause(also)) != "" {
		t.Errorf("one that is over: %v", context.Cause(also))
	}
	mark, _ := k.End(one)
	if reason(context.Cause(waits)) != auth.ReasonSessionEnded || stays.Err() != nil {
		t.Errorf("after the logout: %v, another session: %v", context.Cause(waits), stays.Err())
	}
	stop()
	late, stopLate := k.Until(t.Context(), one.ID)
	if reason(context.Cause(late)) != auth.ReasonSessionEnded {
		t.Errorf("one that begins after it: %v", context.Cause(late))
	}
	stopLate()
	otherMark, _ := k.End(session.Session{ID: other.ID + "x"})
	if stays.Err() != nil || mark == otherMark {
		t.Error("another session's logout ends it")
	}
	stopStays()
	if n := k.Waiting(); n != 0 {
		t.Errorf("%d sessions' calls are remembered", n)
	}
}
