package demo

import (
	"context"
	"strings"
	"time"

	"isthmus/demo/child"
	"isthmus/fault"
)

// stopTimeout is how long a child may take to end by itself before it is killed.
const stopTimeout = 10 * time.Second

// firstLine is a writer that gives away the first line written to it, and forgets the rest.
type firstLine struct {
	buffer strings.Builder
	given  bool
	line   chan string
}

func newFirstLine() *firstLine { return &firstLine{line: make(chan string, 1)} }

func (f *firstLine) Write(data []byte) (int, error) {
	if f.given {
		return len(data), nil
	}
	f.buffer.Write(data)
	if line, _, whole := strings.Cut(f.buffer.String(), "\n"); whole {
		f.given = true
		f.line <- line
	}
	return len(data), nil
}

// wait waits for the line, or for the process to end.
func (f *firstLine) wait(ctx context.Context, p *child.Process) (string, error) {
	select {
	case line := <-f.line:
		return line, nil
	case <-p.Done():
		return "", p.Ended()
	case <-ctx.Done():
		return "", fault.Wrap(fault.Timeout, ctx.Err(), "wait for the server to say where it listens")
	}
}
