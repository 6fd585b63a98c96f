package e2e_test

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"isthmus/demo/child"
	"isthmus/test/netns"
)

// process is one isthmus that a test started.
type process struct {
	*child.Process
	t    testing.TB
	name string
	log  string
	// first is the first line that it printed.
	first <-chan string
	once  sync.Once
}

// stopTimeout is how long a process may take to end in order.
const stopTimeout = 15 * time.Second

// launch starts isthmus with arguments; its log goes to a file, over restarts. It ends with the test.
func launch(t testing.TB, name, log string, env []string, args ...string) *process {
	t.Helper()
	return launchIn(t, nil, name, log, env, args...)
}

// launchIn is launch in a network; nil: that of this process.
func launchIn(t testing.TB, space *netns.Space, name, log string, env []string, args ...string) *process {
	t.Helper()
	return launchAs(t, binary, space, name, log, env, args...)
}

// launchAs is launchIn of another isthmus.
func launchAs(t testing.TB, program string, space *netns.Space, name, log string, env []string, args ...string) *process {
	t.Helper()
	if space != nil {
		program, args = space.Command(program, args)
	}
	out := &firstLine{line: make(chan string, 1)}
	started, err := child.Start(child.Options{Name: name, Binary: program, Args: args, Env: env, LogFile: log, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-started.Done()
		out.give("") // it ended, and had said nothing
	}()
	p := &process{Process: started, t: t, name: name, log: log, first: out.line}
	t.Cleanup(p.stop)
	return p
}

// firstLine is a writer that gives away the first line, and forgets the rest.
type firstLine struct {
	mu     sync.Mutex
	buffer strings.Builder
	given  bool
	line   chan string
}

// Write implements io.Writer.
func (f *firstLine) Write(data []byte) (int, error) {
	f.mu.Lock()
	f.buffer.Write(data)
	line, _, whole := strings.Cut(f.buffer.String(), "\n")
	f.mu.Unlock()
	if whole {
		f.give(line)
	}
	return len(data), nil
}

func (f *firstLine) give(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buffer.Reset()
	if !f.given {
		f.given = true
		f.line <- strings.TrimSpace(line)
	}
}

// stop ends it in order, and by force when that takes too long.
func (p *process) stop() {
	p.once.Do(func() {
		if err := p.Signal(syscall.SIGTERM); err != nil {
			p.t.Error(err)
		}
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-p.Done():
		case <-timer.C:
			p.t.Errorf("%s did not end within %s of SIGTERM", p.name, stopTimeout)
			p.kill()
		}
		if p.t.Failed() {
			p.t.Logf("the end of %s's log:\n%s", p.name, p.tail())
		}
	})
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	if err := p.End(0); err != nil {
		p.t.Error(err)
	}
}

// exit waits until it ends by itself, and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
		p.t.Fatalf("%s still runs after %s", p.name, patience)
	}
	return p.ExitCode()
}

// tail is the end of its log.
func (p *process) tail() string {
	const enough = 4000
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-enough):])
}
