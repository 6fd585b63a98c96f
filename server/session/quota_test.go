package session_test

import (
	"strings"
	"testing"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/session"
)

func refusal() *isthmusv1.Event {
	return &isthmusv1.Event{Spec: &isthmusv1.EventSpec{Action: "refuse", Kind: "APIToken", Target: "alice", Message: "login: unknown"}}
}

// A stranger who tries all day is in the audit log once a minute, with the number of tries; nothing is lost.
func TestRefusalsInTheAuditLog(t *testing.T) {
	t.Parallel()
	q, now := &session.Quota{}, morning
	written := 0
	for range 1_000 {
		if q.Refusal("alice", refusal(), now) {
			written++
		}
	}
	if written != 5 || len(q.Due(now, true)) != 0 {
		t.Fatalf("%d entries at once", written)
	}
	if !q.Refusal("bob", refusal(), now) {
		t.Error("one token's bound is another one's, too")
	}
	now = now.Add(time.Minute)
	due := q.Due(now, true)
	if len(due) != 1 || !strings.Contains(due[0].GetSpec().GetMessage(), "995 logins were refused since 2026-11-21T08:00:00Z; the last: login: unknown") {
		t.Fatalf("a minute later: %v", due)
	}
	if q.Refusal("alice", refusal(), now) || len(q.Due(now, true)) != 0 {
		t.Error("two entries in one minute")
	}
	now = now.Add(time.Minute)
	if due = q.Due(now, true); len(due) != 1 || due[0].GetSpec().GetMessage() != "login: unknown" {
		t.Errorf("of a single one: %v", due)
	}
	now = now.Add(time.Hour)
	q.Due(now, true)
	if n := q.Known(); n != 0 {
		t.Errorf("after a quiet hour %d are remembered", n)
	}
}

// What the audit log did not take is told the next time, with what came meanwhile.
func TestRefusalsThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	q, now := &session.Quota{}, morning
	if !q.Refusal("alice", refusal(), now) {
		t.Fatal("the first one is not written")
	}
	q.Missed("alice", refusal(), now)
	for minute, want := range []string{"1 of one", "2 logins", "3 logins"} {
		now = now.Add(time.Minute)
		due := q.Due(now, minute == 2)
		if len(due) != 1 || minute > 0 && !strings.HasPrefix(due[0].GetSpec().GetMessage(), want+" were refused since 2026-11-21T08:00:00Z; the last: login: unknown") {
			t.Fatalf("in minute %d: %v", minute, due)
		}
		q.Refusal("alice", refusal(), now)
	}
	if due := q.Due(now.Add(time.Minute), true); len(due) != 0 {
		t.Errorf("told twice: %v", due)
	}
}

func TestLoginsAreBounded(t *testing.T) {
	t.Parallel()
	q, now, n := &session.Quota{}, morning, 0
	for q.Login("alice", now) {
		n++
	}
	if n != 60 || !q.Login("bob", now) {
		t.Errorf("%d logins at once", n)
	}
	if now = now.Add(6 * time.Second); !q.Login("alice", now) || q.Login("alice", now) {
		t.Error("after six seconds there is one more")
	}
}
