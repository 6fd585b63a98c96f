package e2e_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"isthmus/test/netns"
)

// process is one isthmus that a test started.
type process struct {
	t    testing.TB
	name string
	log  string
	cmd  *exec.Cmd
	// ended is closed when it has ended and was waited for.
	ended chan struct{}
	// first is the first line that it printed.
	first chan string
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
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, log: log, ended: make(chan struct{}), first: make(chan string, 1)}
	program := binary
	if space != nil {
		program, args = space.Command(program, args)
	}
	p.cmd = exec.Command(program, args...) //nolint:noctx // it must be able to end in order: see stop
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = file
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		reader := bufio.NewReader(out)
		line, _ := reader.ReadString('\n') // none: it ended
		p.first <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, reader) // until it ends
		_ = p.cmd.Wait()                   // how it ended is in its log
		_ = file.Close()
	}()
	t.Cleanup(p.stop)
	return p
}

// stop ends it in order, and by force when that takes too long.
func (p *process) stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-p.ended:
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
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// exit waits until it ends by itself, and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.t.Fatalf("%s still runs after %s", p.name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
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
