package consulrun_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/demo/consulrun"
	"isthmus/test/consultest"
	"isthmus/test/netns"
)

// shell runs a command as an agent does, in a directory of its own.
func shell(t *testing.T, command string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustShell(t *testing.T, command string) {
	t.Helper()
	if out, err := shell(t, command); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func dropIn(t *testing.T, s *consulrun.Server, content map[string]any) {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.ConfigDir, "zz-test.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func logsAt(t *testing.T, s *consulrun.Server, level string) error {
	t.Helper()
	var self struct {
		DebugConfig struct{ Logging struct{ LogLevel string } }
	}
	if err := s.Call(t.Context(), http.MethodGet, "/v1/agent/self", nil, &self); err != nil {
		return err
	}
	if got := self.DebugConfig.Logging.LogLevel; got != level {
		return fmt.Errorf("the log level is %s", got)
	}
	return nil
}

func TestCommandsTakeOverWhatWasDroppedIn(t *testing.T) {
	t.Parallel()
	s := start(t, "dc1")
	dropIn(t, s, map[string]any{"log_level": "WARN"})
	mustShell(t, s.ReloadCommand())
	dropIn(t, s, map[string]any{"log_level": "ERR"})
	mustShell(t, s.RestartCommand())
	consultest.Await(t, "the level is that of the drop-in", func() error { return logsAt(t, s, "ERR") })
	dropIn(t, s, map[string]any{"no_such_setting": true})
	if out, err := shell(t, s.RestartCommand()); err == nil || !strings.Contains(out, "no_such_setting") {
		t.Errorf("a restart that fails says %v: %s", err, out)
	}
	dropIn(t, s, map[string]any{})
	mustShell(t, s.RestartCommand())
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if out, err := shell(t, s.RestartCommand()); err == nil || !strings.Contains(out, "nobody runs") {
		t.Errorf("after Stop a restart says %v: %s", err, out)
	}
}

func TestPreparedServerStartsWithWhatIsDroppedIn(t *testing.T) {
	t.Parallel()
	s, err := consulrun.Start(t.Context(), consulrun.Options{Binary: consultest.Binary(t), Dir: t.TempDir(), Datacenter: "dc2", Prepared: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Call(t.Context(), http.MethodGet, "/v1/status/leader", nil, nil); err == nil {
		t.Fatal("a prepared server runs")
	}
	const token = "0b2f1a3c-9d0e-4c5f-8a7b-123456789abc"
	dropIn(t, s, map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "tokens": map[string]any{"initial_management": token},
	}})
	mustShell(t, s.RestartCommand())
	s.ManagementToken = token
	consultest.Await(t, "the token works", func() error { return s.Call(t.Context(), http.MethodGet, "/v1/acl/token/self", nil, nil) })
}

// Three servers of one datacenter, in a network of their own, which has the same addresses as others.
func TestThreeServersInANamespace(t *testing.T) {
	t.Parallel()
	space := netns.New(t, "dc1").Spaces["dc1"]
	first := consultest.StartWith(t, consulrun.Options{Datacenter: "dc1", NodeName: "s0", Network: space, Address: space.Servers[0]})
	for i, address := range space.Servers[1:] {
		consultest.StartWith(t, consulrun.Options{
			Datacenter: "dc1", NodeName: fmt.Sprintf("s%d", i+1), Network: space, Address: address, Join: first.Server,
		})
	}
	var raft struct{ Servers []struct{ Address string } }
	first.Do(http.MethodGet, "/v1/operator/raft/configuration", nil, &raft)
	if len(raft.Servers) != 3 {
		t.Errorf("the servers are %v, want three", raft.Servers)
	}
}
