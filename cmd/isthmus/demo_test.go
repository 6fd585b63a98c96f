package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demoPatience is how long a demo may take on a machine that does other things as well.
const demoPatience = 5 * time.Minute

// program builds isthmus as a user has it: the demo runs it as child processes.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "isthmus")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// demoRun is a demo as a child process of the test, in a session with directories of its own.
type demoRun struct {
	cmd *exec.Cmd
	// tmp is where its temporary files are.
	tmp string
	// marker is in the environment of the demo and everything that it starts.
	marker string
	mu     sync.Mutex
	output bytes.Buffer
	// ready is closed when it has shown everything, done when it has ended: err is how.
	ready, done chan struct{}
	err         error
}

func (d *demoRun) Write(data []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := strings.Contains(d.output.String(), "Ctrl-C ends it all.")
	d.output.Write(data)
	if !before && strings.Contains(d.output.String(), "Ctrl-C ends it all.") {
		close(d.ready)
	}
	return len(data), nil
}

func (d *demoRun) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.String()
}

func startDemo(t *testing.T, binary string, args ...string) *demoRun {
	t.Helper()
	return startDemoTo(t, func(*exec.Cmd) {}, binary, args...)
}

// startDemoTo is startDemo with something changed before it starts.
func startDemoTo(t *testing.T, change func(*exec.Cmd), binary string, args ...string) *demoRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoPatience)
	t.Cleanup(cancel)
	d := &demoRun{tmp: t.TempDir(), ready: make(chan struct{}), done: make(chan struct{})}
	d.marker = "ISTHMUS_DEMO_TEST=" + d.tmp
	d.cmd = exec.CommandContext(ctx, binary, append([]string{"demo"}, args...)...)
	d.cmd.Env = append(os.Environ(), d.marker, "TMPDIR="+d.tmp)
	d.cmd.Stdout, d.cmd.Stderr = d, d
	change(d.cmd)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		d.err = d.cmd.Wait()
	}()
	return d
}

// signalWhenReady sends a signal when the demo has shown everything, and waits for its end.
func (d *demoRun) signalWhenReady(t *testing.T, signal os.Signal) error {
	t.Helper()
	select {
	case <-d.ready:
	case <-d.done:
		t.Fatalf("ended too early: %v\n%s", d.err, d)
	}
	if err := d.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-d.done
	return d.err
}

// children are the processes that have the demo's marker in their environment, the demo itself included.
func (d *demoRun) children(t *testing.T) []string {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range environments {
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(d.marker)) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, fmt.Sprintf("%s %q", filepath.Base(filepath.Dir(path)), command))
		}
	}
	return found
}

// nothingLeft waits until no process of the demo is there: the kernel tells children of a killed parent in its own time.
func (d *demoRun) nothingLeft(t *testing.T) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left := d.children(t)
		if len(left) == 0 {
			return
		}
		select {
		case <-deadline.C:
			t.Errorf("still running: %s", left)
			return
		case <-tick.C:
		}
	}
}

func (d *demoRun) noFiles(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(d.tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", e.Name())
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	binary := program(t)

	t.Run("exit", func(t *testing.T) {
		keep := filepath.Join(t.TempDir(), "kept")
		d := startDemo(t, binary, "--exit", "--datacenters", "3", "--keep", keep)
		if <-d.done; d.err != nil {
			t.Fatalf("%v\n%s", d.err, d)
		}
		for _, want := range []string{
			"demo-dc1-dc3", "healthy", "From apply to all healthy: ",
			"web?dc=dc1", "api?dc=dc2", "web?peer=dc1", "ConnectionHealthy", "All is well: ",
		} {
			if !strings.Contains(d.String(), want) {
				t.Errorf("the output does not say %q:\n%s", want, d)
			}
		}
		d.nothingLeft(t)
		d.noFiles(t)
		if _, err := os.Stat(filepath.Join(keep, "server.log")); err != nil {
			t.Error(err)
		}
	})

	t.Run("interrupted", func(t *testing.T) {
		d := startDemo(t, binary, "--datacenters", "2")
		if err := d.signalWhenReady(t, os.Interrupt); err != nil {
			t.Errorf("%v\n%s", err, d)
		}
		d.nothingLeft(t)
		d.noFiles(t)
	})

	t.Run("nobody reads on", func(t *testing.T) {
		d := startDemoTo(t, func(cmd *exec.Cmd) {
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = writer
			t.Cleanup(func() { _ = writer.Close() })
			if err := reader.Close(); err != nil {
				t.Fatal(err)
			}
		}, binary, "--exit", "--datacenters", "2")
		if <-d.done; d.err == nil {
			t.Error("what it had to show was not read, and it ended well")
		}
		d.nothingLeft(t)
		d.noFiles(t)
	})

	t.Run("killed", func(t *testing.T) {
		d := startDemo(t, binary, "--datacenters", "2")
		if err := d.signalWhenReady(t, syscall.SIGKILL); err == nil {
			t.Error("it was killed, and ended well")
		}
		d.nothingLeft(t)
	})
}

// What is broken is found, and said only when asked for. What a break has stopped ends with the demo, too.
func TestDemoBreaks(t *testing.T) {
	t.Parallel()
	binary := program(t)

	for way, says := range map[string][]string{
		"cut":     {"Broken in dc3: its agent and its Consul answer nobody.", "AgentOnline dc3"},
		"consul":  {"Broken in dc3: its Consul server was killed.", "ConsulReachable dc3"},
		"gateway": {"Broken in dc2: its mesh gateway was killed.", "GatewayReachable dc2", "dc1 – dc2"},
	} {
		t.Run("broken by "+way, func(t *testing.T) {
			d := startDemo(t, binary, "--exit", "--break="+way)
			if <-d.done; d.err != nil {
				t.Fatalf("%v\n%s", d.err, d)
			}
			for _, want := range says {
				if !strings.Contains(d.String(), want) {
					t.Errorf("the output does not say %q:\n%s", want, d)
				}
			}
			d.nothingLeft(t)
			d.noFiles(t)
		})
	}

	t.Run("broken, and interrupted", func(t *testing.T) {
		d := startDemo(t, binary, "--datacenters", "2", "--break")
		if err := d.signalWhenReady(t, os.Interrupt); err != nil {
			t.Errorf("%v\n%s", err, d)
		}
		if said := d.String(); !strings.Contains(said, "one datacenter is broken") || strings.Contains(said, "Broken in") || !strings.Contains(said, "Dashboard: http://") {
			t.Errorf("it does not only say that something is broken, and where to look:\n%s", said)
		}
		d.nothingLeft(t)
		d.noFiles(t)
	})
}

func TestDemoRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"one datacenter":        {[]string{"--datacenters", "1"}, "2 to 8 datacenters, not 1"},
		"nine datacenters":      {[]string{"--datacenters", "9"}, "2 to 8 datacenters, not 9"},
		"no way to break":       {[]string{"--break=glass"}, "cut, consul or gateway, not \"glass\""},
		"no gateway to break":   {[]string{"--break=gateway", "--datacenters", "2"}, "only of 3 datacenters or more"},
		"a directory with data": {[]string{"--keep", "testdata"}, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, "", append([]string{"demo", "--exit"}, test.args...)...)
			if got.code != 1 || !strings.Contains(got.err, test.want) {
				t.Errorf("code %d, %s", got.code, got.err)
			}
		})
	}
}
