//go:build unix

package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"isthmus/fault"
)

// stopTimeout is how long a child may take to end by itself before it is killed.
const stopTimeout = 10 * time.Second

// process is isthmus itself as a child. It is in a process group of its own, so that a Ctrl-C on the terminal reaches only
// its parent, which ends it in order.
type process struct {
	name    string
	logFile string
	cmd     *exec.Cmd
	// done is closed when it has ended and was waited for.
	done chan struct{}
}

// launch is what to start.
type launch struct {
	name    string
	binary  string
	args    []string
	env     []string
	logFile string
	// out gets its standard output; nil: the log does.
	out io.Writer
}

func start(l launch) (*process, error) {
	log, err := os.OpenFile(l.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "open the log of %s", l.name)
	}
	cmd := exec.Command(l.binary, l.args...) //nolint:noctx // stop ends it, not a context: it must be able to end gracefully
	cmd.Env = append(os.Environ(), l.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if l.out != nil {
		cmd.Stdout = l.out
	}
	cmd.SysProcAttr = attributes()
	p := &process{name: l.name, logFile: l.logFile, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux tells a child that its parent died when the thread that made it ends, so this thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- errors.Join(err, log.Close())
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, fault.Wrap(fault.Internal, err, "start %s", l.name)
	}
	return p, nil
}

// stop asks it to end, and kills it when it does not.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(fault.Internal, err, "stop %s", p.name)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(fault.Internal, err, "kill %s", p.name)
	}
	<-p.done
	return nil
}

// ended is why a child that should run does not: the end of its log.
func (p *process) ended() error {
	const enough = 1500 // bytes: the last lines, which name the reason
	data, err := os.ReadFile(p.logFile)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "%s ended, and its log cannot be read", p.name)
	}
	data = bytes.TrimSpace(data)
	if len(data) > enough {
		data = data[len(data)-enough:]
	}
	return fault.New(fault.Refused, "%s ended by itself; the end of its log:\n%s", p.name, data)
}

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
func (f *firstLine) wait(ctx context.Context, p *process) (string, error) {
	select {
	case line := <-f.line:
		return line, nil
	case <-p.done:
		return "", p.ended()
	case <-ctx.Done():
		return "", fault.Wrap(fault.Timeout, ctx.Err(), "wait for %s", p.name)
	}
}
