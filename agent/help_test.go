package agent_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
)

// patience is how long a test waits for what must come: far longer than it takes.
const patience = 90 * time.Second

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settings reads Consul's variables out of an environment that is the test's own.
func settings(t *testing.T, env ...string) consul.Settings {
	t.Helper()
	s, err := consul.FromEnv(func(name string) (string, bool) {
		for _, e := range env {
			if k, v, _ := strings.Cut(e, "="); k == name {
				return v, true
			}
		}
		return "", false
	})
	need(t, err)
	return s
}

// logWriter shows an agent's log with the test's.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}

// locked makes a clock safe for many.
func locked(now func() time.Time) func() time.Time {
	var mu sync.Mutex
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now()
	}
}

// policyRules are the rules of several purposes.
func policyRules(purposes ...string) (string, error) {
	var all strings.Builder
	for _, purpose := range purposes {
		rules, err := agent.Policy(purpose)
		if err != nil {
			return "", err
		}
		all.WriteString(rules)
	}
	return all.String(), nil
}
