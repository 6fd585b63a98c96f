// Package pgtest runs a real PostgreSQL server for tests.
//
// Owns: finding, starting, crashing and ending a server of its own, and a fresh database for each test. Does not own: what
// is in it. Start reading at Start.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// EnvURL names a server to use instead of one that is started: its user must be allowed to create databases.
const EnvURL = "ISTHMUS_TEST_POSTGRES"

const (
	// superuser of a server that Start makes. Only its socket's directory lets anybody in.
	superuser = "isthmus"
	// readyTimeout is generous: recovery after a crash on a busy machine.
	readyTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

// Server is a running PostgreSQL.
type Server struct {
	// base is the URL without a database.
	base url.URL
	// own is nil for a given server.
	own *process
}

// process is a server that was started here.
type process struct {
	bin, dir string
	as       *syscall.Credential
	cmd      *exec.Cmd
	exited   chan struct{}
}

// Start gives a server that ends with the test. Without one on this machine the test is skipped, in CI it fails.
func Start(tb testing.TB) *Server {
	tb.Helper()
	if given := os.Getenv(EnvURL); given != "" {
		base, err := url.Parse(given)
		if err != nil {
			tb.Fatalf("%s is not a URL", EnvURL)
		}
		return &Server{base: *base}
	}
	bin, err := find()
	if err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("PostgreSQL is needed in CI: %v", err)
		}
		tb.Skipf("no PostgreSQL to test with: %v (install postgresql, or set %s)", err, EnvURL)
	}
	p := &process{bin: bin}
	tb.Cleanup(func() {
		if err := p.remove(); err != nil {
			tb.Errorf("ending PostgreSQL: %v", err)
		}
	})
	if err := p.create(tb.Context()); err != nil {
		tb.Fatalf("making a PostgreSQL cluster: %v", err)
	}
	s := &Server{own: p, base: url.URL{
		Scheme: "postgres", User: url.User(superuser), RawQuery: url.Values{"host": {p.dir}, "port": {"5432"}}.Encode(),
	}}
	s.Restart(tb)
	return s
}

// find looks for the server's programs on PATH and where Debian has them; the newest wins.
func find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		if dir := filepath.Dir(path); executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // what is no number comes last
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range found {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errors.New("initdb is neither on PATH nor in /usr/lib/postgresql")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// create makes a cluster in a directory of its own, not the test's: PostgreSQL refuses to run as root, and nobody else
// may enter the test's.
func (p *process) create(ctx context.Context) (err error) {
	if p.dir, err = os.MkdirTemp("", "isthmus-pg-"); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if p.as, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(p.dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			return err
		}
	}
	initdb := p.command(ctx, "initdb", "--pgdata", filepath.Join(p.dir, "data"), "--username", superuser,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// unprivileged finds a user to run as.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func (p *process) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Setpgid: true}
	return cmd
}

// errEnded is for a server that ends while it starts.
var errEnded = errors.New("the server has ended")

// Restart starts the server, after a Crash or anew.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if s.own == nil {
		tb.Skipf("the server that %s names is not ours to restart", EnvURL)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), readyTimeout)
	defer cancel()
	err := errEnded
	// After a crash the dead server's children, which see its death a moment later, keep a new one out.
	for errors.Is(err, errEnded) && ctx.Err() == nil {
		if err = s.own.start(); err == nil {
			err = s.ready(ctx)
		}
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(s.own.dir, "log")) // only helps to see why
		tb.Fatalf("PostgreSQL does not become ready: %v\n%s", err, log)
	}
}

func (p *process) start() error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// Not bound to a test's context: it is ended by remove, in order.
	p.cmd = p.command(context.Background(), "postgres", "-D", filepath.Join(p.dir, "data"), "-k", p.dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "log_min_messages=warning")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait() // ended on purpose, in whatever way
	}(p.cmd, p.exited)
	return log.Close()
}

// ready polls until the server answers.
func (s *Server) ready(ctx context.Context) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.own.exited:
			return errEnded
		case <-ctx.Done():
			return err
		case <-poll.C:
		}
	}
}

// Crash ends the server as a power cut would: nothing is written any more.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	if s.own == nil {
		tb.Skipf("the server that %s names is not ours to crash", EnvURL)
	}
	if err := s.own.cmd.Process.Kill(); err != nil {
		tb.Fatalf("killing PostgreSQL: %v", err)
	}
	<-s.own.exited
}

// remove ends the server and removes its files.
func (p *process) remove() error {
	if p.cmd != nil && p.cmd.Process != nil {
		select {
		case <-p.exited:
		default:
			// Fast shutdown; what does not end is killed.
			err := p.cmd.Process.Signal(syscall.SIGINT)
			timer := time.NewTimer(stopTimeout)
			defer timer.Stop()
			select {
			case <-p.exited:
			case <-timer.C:
				err = errors.Join(err, p.cmd.Process.Kill())
				<-p.exited
			}
			if err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
		}
	}
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

func (s *Server) url(database string) string {
	u := s.base
	u.Path = "/" + database
	return u.String()
}

// Database makes an empty database and returns its URL; it goes with the test.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "isthmus_" + string(bytes.ReplaceAll([]byte(uuid.NewString()), []byte("-"), nil))
	s.admin(tb, "CREATE DATABASE "+name+" TEMPLATE template0")
	tb.Cleanup(func() { s.admin(tb, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return s.url(name)
}

// admin runs one statement outside of the test's databases.
func (s *Server) admin(tb testing.TB, statement string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), readyTimeout)
	defer cancel()
	at := s.url("postgres")
	if s.own == nil {
		at = s.base.String()
	}
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		tb.Fatalf("connecting to PostgreSQL: %v", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		tb.Errorf("%s: %v", statement, err)
	}
}
