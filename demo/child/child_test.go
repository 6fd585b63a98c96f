//go:build unix

package child_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/demo/child"
	"isthmus/fault"
)

// grace is longer than any shell takes to end.
const grace = time.Minute

func start(t *testing.T, o child.Options, script string) *child.Process {
	t.Helper()
	o.Name, o.Binary, o.Args = "sh", "/bin/sh", []string{"-c", script}
	if o.LogFile == "" {
		o.LogFile = filepath.Join(t.TempDir(), "log")
	}
	p, err := child.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(0); err != nil {
			t.Error(err)
		}
	})
	return p
}

// said waits until a child has written a line to its standard output.
func said(t *testing.T, lines <-chan string) {
	t.Helper()
	select {
	case <-lines:
	case <-time.After(grace):
		t.Fatal("the child says nothing")
	}
}

// sayer is a writer that passes on what it gets.
type sayer chan string

func (s sayer) Write(p []byte) (int, error) {
	s <- string(p)
	return len(p), nil
}

func TestEndsInOrderAlsoWhenPaused(t *testing.T) {
	t.Parallel()
	out := make(sayer, 8)
	log := filepath.Join(t.TempDir(), "log")
	p := start(t, child.Options{Out: out, LogFile: log, Env: []string{"GREETING=hello"}}, `trap 'echo bye >&2; exit 0' TERM; echo "$GREETING"; while :; do sleep 0.05; done`)
	said(t, out)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.End(grace); err != nil {
		t.Fatal(err)
	}
	if err := p.Ended(); !strings.Contains(err.Error(), "bye") {
		t.Fatalf("it was not asked: %v", err)
	}
	if err := errors.Join(p.End(grace), p.Signal(syscall.SIGTERM)); err != nil {
		t.Fatalf("ending what has ended: %v", err)
	}
}

func TestKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	out := make(sayer, 8)
	p := start(t, child.Options{Out: out}, `trap '' TERM; echo ready; while :; do sleep 0.05; done`)
	said(t, out)
	if err := p.End(time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
}

// The log of the process before is not the reason.
func TestTellsWhyItEnded(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	taken := syscall.EADDRINUSE.Error()
	first := start(t, child.Options{LogFile: log}, "echo listen: "+taken+"; exit 1")
	<-first.Done()
	if err := first.Ended(); fault.CodeOf(err) != fault.Refused || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("the taken address: %v", err)
	}
	second := start(t, child.Options{LogFile: log}, "echo no such flag; exit 1")
	<-second.Done()
	err := second.Ended()
	if !strings.Contains(err.Error(), "no such flag") || strings.Contains(err.Error(), taken) || errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("the other reason: %v", err)
	}
	long := start(t, child.Options{}, "yes line | head -n 5000; echo the end")
	<-long.Done()
	if text := []byte(long.Ended().Error()); len(text) > 3000 || !bytes.HasSuffix(text, []byte("the end")) {
		t.Fatalf("%d bytes: %s", len(text), text)
	}
	if _, err := child.Start(child.Options{Name: "nothing", Binary: "/nonexistent", LogFile: log}); err == nil {
		t.Fatal("nothing was started")
	}
}
