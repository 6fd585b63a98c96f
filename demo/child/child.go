//go:build unix

// Package child runs a program as a child that does not outlive its parent: isthmus itself in the demo, Consul beside it.
//
// Owns: starting it in a process group of its own, its log file, ending it in order or by force.
// Does not own: what is run, and whether it works. Start reading at Start.
package child

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"isthmus/fault"
)

// logEnd is how much of a log Ended shows, in bytes: the last lines, which name the reason.
const logEnd = 2000

// Options say what to run.
type Options struct {
	// Name is what errors call it.
	Name   string
	Binary string
	Args   []string
	// Env is added to the environment of this process.
	Env []string
	// LogFile gets its output, after what is there.
	LogFile string
	// Out gets its standard output in place of the log.
	Out io.Writer
}

// Process is a child. It is in a process group of its own, so that a Ctrl-C on the terminal reaches only its parent, which
// ends it in order. On Linux the kernel kills it when its parent dies without a chance to.
type Process struct {
	name    string
	logFile string
	// logStart: what is before it in the log is not of this process.
	logStart int64
	cmd      *exec.Cmd
	done     chan struct{}
}

// Start starts a child. Whoever starts one ends it, with End.
func Start(o Options) (*Process, error) {
	log, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "opening the log of %s", o.Name)
	}
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(fault.Wrap(fault.Internal, err, "reading the log of %s", o.Name), log.Close())
	}
	cmd := exec.Command(o.Binary, o.Args...) //nolint:noctx // End ends it, not a context: it must be able to end gracefully
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	if o.Out != nil {
		cmd.Stdout = o.Out
	}
	cmd.SysProcAttr = attributes()
	p := &Process{name: o.Name, logFile: o.LogFile, logStart: logStart, cmd: cmd, done: make(chan struct{})}
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
		return nil, fault.Wrap(fault.Internal, err, "starting %s", o.Name)
	}
	return p, nil
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when it has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is how it ended; -1 when a signal ended it, or when it has not ended.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Signal sends it a signal. One that has ended gets none, which is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(fault.Internal, err, "sending %s to %s (process %d)", sig, p.name, p.PID())
	}
	return nil
}

// End asks it to end, and kills it when it has not after grace, or at once without any. It returns when it has ended.
func (p *Process) End(grace time.Duration) error {
	if grace > 0 {
		// A paused process sees SIGTERM only when it goes on.
		if err := errors.Join(p.Signal(syscall.SIGTERM), p.Signal(syscall.SIGCONT)); err != nil {
			return err
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
			return nil
		case <-timer.C:
		}
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Ended is why a child that should run does not: the end of its log. A cause that the log names is in the error's chain:
// syscall.EADDRINUSE when an address was taken.
func (p *Process) Ended() error {
	text, err := os.ReadFile(p.logFile)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "%s ended, and its log cannot be read", p.name)
	}
	text = bytes.TrimSpace(text[min(p.logStart, int64(len(text))):])
	var cause error
	if bytes.Contains(text, []byte(syscall.EADDRINUSE.Error())) {
		cause = syscall.EADDRINUSE
	}
	return fault.Wrap(fault.Refused, cause, "%s ended by itself; the end of its log:\n%s", p.name, text[max(0, len(text)-logEnd):])
}
