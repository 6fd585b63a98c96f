package main_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	isthmus "isthmus/cmd/isthmus"
)

// screen is an output that a test can wait for.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (s *screen) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(data)
}

// wait waits until the output has these words.
func (s *screen) wait(t *testing.T, words string) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		text, changed := s.text.String(), s.changed
		s.mu.Unlock()
		if strings.Contains(text, words) {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("no %q in:\n%s", words, text)
		}
	}
}

// follow runs a command that does not end by itself, for the length of a test.
func follow(t *testing.T, environment map[string]string, args ...string) *screen {
	t.Helper()
	s := &screen{changed: make(chan struct{})}
	program := isthmus.Program{
		In: strings.NewReader(""), Out: s, Err: s, Now: time.Now,
		Env: func(name string) (string, bool) {
			value, ok := environment[name]
			return value, ok
		},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan int, 1)
	go func() { done <- program.Run(ctx, args) }()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("isthmus %s: code %d\n%s", strings.Join(args, " "), code, s.text.String())
		}
	})
	return s
}

func TestWatchShowsWhatChanges(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	apply := func(name, runtime string) {
		must(t, env, "kind: Datacenter\nname: "+name+"\nspec: {runtime: "+runtime+"}\n", "apply", "-f", "-")
	}
	apply("a-datacenter", "kubernetes")
	table := follow(t, env, "get", "datacenters", "-w")
	objects := follow(t, env, "get", "datacenters", "-w", "-o", "json")
	table.wait(t, "a-datacenter   kubernetes   ")
	apply("b", "vm")
	table.wait(t, "b              vm           ")
	objects.wait(t, `{"kind":"Datacenter","name":"b"`)
	must(t, env, "", "delete", "datacenter", "b")
	table.wait(t, "b              deleted\n")
	objects.wait(t, `"deleted":true}`)
}

func TestEventsFollow(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	events := follow(t, env, "events", "-f", "--kind", "dc")
	must(t, env, "kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n", "apply", "-f", "-")
	events.wait(t, "dc1")
	must(t, env, "", "delete", "datacenter", "dc1")
	events.wait(t, "delete")
}
