//go:build unix

package consulrun

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"isthmus/fault"
)

// process is one child. It is in a process group of its own, so that a Ctrl-C on the terminal reaches only its parent,
// which ends it in order.
type process struct {
	cmd *exec.Cmd
	// logFile gets its output; what was in it before this process is before logStart.
	logFile  string
	logStart int64
	// done is closed when it has ended and was waited for.
	done chan struct{}
}

func startProcess(logFile, binary string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "opening %s", logFile)
	}
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(fault.Wrap(fault.Internal, err, "reading %s", logFile), log.Close())
	}
	cmd := exec.Command(binary, args...) //nolint:noctx // Stop ends it, not a context: it must be able to end gracefully
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	p := &process{cmd: cmd, logFile: logFile, logStart: logStart, done: make(chan struct{})}
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
		return nil, fault.Wrap(fault.Internal, err, "starting %s", binary)
	}
	return p, nil
}

// output is what it has written so far.
func (p *process) output() ([]byte, error) {
	text, err := os.ReadFile(p.logFile)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading %s", p.logFile)
	}
	return text[min(p.logStart, int64(len(text))):], nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(fault.Internal, err, "sending %s to process %d", sig, p.pid())
	}
	return nil
}

// end asks it to end, and kills it when it has not after grace, or at once without any.
func (p *process) end(grace time.Duration) error {
	if grace > 0 {
		// A paused process sees SIGTERM only when it goes on.
		if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
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
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}
