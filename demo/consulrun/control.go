package consulrun

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"isthmus/fault"
)

// answerTimeout is how long a command has to open the pipe that it wants its answer in.
const answerTimeout = 10 * time.Second

// script is a command as people have one in systemctl: it asks whoever runs the server, and waits for the answer. The server
// stays a child of that process, and ends with it.
const script = `#!/bin/sh
# Restarts or reloads the Consul server of this directory, and ends when that is done: control restart|reload
set -eu
cd "$(dirname "$0")"
[ -p control.pipe ] || { echo "nobody runs the Consul of this directory" >&2; exit 1; }
answer=answer.$$
rm -f "$answer"
mkfifo -m 600 "$answer"
trap 'rm -f "$answer"' EXIT
echo "$1 $answer" >control.pipe
read -r said <"$answer"
[ "$said" = done ] || { echo "$said" >&2; exit 1; }
`

// control hears the commands: a line in the pipe is one command and the name of the pipe for its answer.
type control struct {
	server *Server
	path   string
	pipe   *os.File
	ended  chan struct{}
}

// RestartCommand is a command for a shell that restarts the server, with the configuration as it is then, and returns when the new
// process serves its API. It starts a server that does not run, too, until Stop.
func (s *Server) RestartCommand() string { return quote(s.scriptFile()) + " restart" }

// ReloadCommand is a command for a shell that makes the server read its configuration again, as far as Consul can.
func (s *Server) ReloadCommand() string { return quote(s.scriptFile()) + " reload" }

func (s *Server) scriptFile() string { return filepath.Join(s.Dir, "control") }

// quote makes one word for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// listenForCommands makes the commands work.
func (s *Server) listenForCommands() (*control, error) {
	if err := os.WriteFile(s.scriptFile(), []byte(script), 0o700); err != nil { //nolint:gosec // it is run by its owner
		return nil, fault.Wrap(fault.Internal, err, "writing the commands of %s", s.Datacenter)
	}
	path := filepath.Join(s.Dir, "control.pipe")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Internal, err, "removing the old pipe of %s", s.Datacenter)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making the pipe for commands of %s", s.Datacenter)
	}
	// Open for both, it has no end while nobody writes.
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "opening the pipe for commands of %s", s.Datacenter)
	}
	c := &control{server: s, path: path, pipe: pipe, ended: make(chan struct{})}
	go c.run()
	return c, nil
}

// endCommand is what close says to run.
const endCommand = "end"

func (c *control) run() {
	defer close(c.ended)
	lines := bufio.NewScanner(c.pipe)
	for lines.Scan() {
		command, answer, _ := strings.Cut(lines.Text(), " ")
		if command == endCommand {
			return
		}
		go c.obey(command, answer)
	}
}

func (c *control) obey(command, answer string) {
	var err error
	switch command {
	case "restart":
		err = c.server.bounce()
	case "reload":
		err = c.server.signal(syscall.SIGHUP)
	default:
		err = fault.New(fault.Invalid, "%q is neither restart nor reload", command)
	}
	said := "done"
	if err != nil {
		said = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if err := reply(filepath.Join(c.server.Dir, filepath.Base(answer)), said+"\n"); err != nil {
		c.server.log.Warn("nobody waited for the answer to a command", "command", command, "datacenter", c.server.Datacenter, "error", err)
	}
}

// reply writes into a pipe that its reader is about to open.
func reply(path, said string) error {
	deadline := time.NewTimer(answerTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		pipe, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			_, err = pipe.WriteString(said)
			return errors.Join(err, pipe.Close())
		}
		select {
		case <-deadline.C:
			return err
		case <-tick.C:
		}
	}
}

func (c *control) close() error {
	_, err := c.pipe.WriteString("\n" + endCommand + "\n")
	if err == nil {
		<-c.ended
	}
	return errors.Join(err, c.pipe.Close(), os.Remove(c.path))
}

// bounce is the restart command: unlike Restart it asks Consul for no more than to listen, since what it shall be is the business of
// who changed its configuration.
func (s *Server) bounce() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.control == nil {
		return fault.New(fault.Refused, "Consul of %s was stopped", s.Datacenter)
	}
	if err := s.end(stopTimeout); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		return err
	}
	return s.await(context.Background(), s.listens)
}

func (s *Server) listens(ctx context.Context) error {
	network, address := "unix", s.Socket
	if s.Socket == "" {
		network, address = "tcp", hostPort("127.0.0.1", s.ports.https)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "Consul's API does not listen yet")
	}
	return conn.Close()
}
