package delivery_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
)

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// vm is a host with a directory for Consul and one for the agent.
type vm struct {
	t         *testing.T
	dir, data string
	config    delivery.FilesConfig
}

func newVM(t *testing.T) *vm {
	t.Helper()
	v := &vm{t: t, dir: filepath.Join(t.TempDir(), "consul.d"), data: t.TempDir()}
	need(t, os.Mkdir(v.dir, 0o755))
	v.config = delivery.FilesConfig{
		Dir: v.dir, ReloadCommand: "echo reload >>" + v.data + "/ran", RestartCommand: "echo restart >>" + v.data + "/ran",
		GatewayTokenFile: filepath.Join(v.data, "gateway-token"), PendingFile: filepath.Join(v.data, "pending.json"),
	}
	return v
}

// open is the host as an agent that starts finds it.
func (v *vm) open() *delivery.Files {
	v.t.Helper()
	f, err := delivery.NewFiles(v.config)
	need(v.t, err)
	return f
}

func (v *vm) read(name string) string {
	v.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		v.t.Fatal(err)
	}
	return string(text)
}

func (v *vm) put(c delivery.Content, want delivery.Effect) {
	v.t.Helper()
	got, err := v.open().Put(v.t.Context(), c)
	if err != nil || got != want {
		v.t.Fatalf("effect %d, %v; want %d", got, err, want)
	}
}

func (v *vm) done() {
	v.t.Helper()
	need(v.t, v.open().Done(v.t.Context()))
}

func dropIn(t *testing.T, b federation.Bundle) []byte {
	t.Helper()
	text, err := b.SecondaryDropIn(federation.TLSFiles{CA: "/a", Cert: "/b", Key: "/c"})
	need(t, err)
	return text
}

func content(t *testing.T) delivery.Content {
	t.Helper()
	b := federation.Bundle{
		Mode: "mesh-gateway", PrimaryDatacenter: "dc1", PrimaryGateways: []string{"10.0.0.20:8443"}, GossipKey: "Z29zc2lwLWtleS1vZi10aGUtZmxlZXQhISEhISEhISE=",
		ACL: true, Tokens: federation.Tokens{Replication: "aaaaaaaa-0000", Agent: "bbbbbbbb-0000"},
	}
	return delivery.Content{
		DropIn: dropIn(t, b), CA: []byte("ca\n"), Cert: []byte("cert\n"), Key: []byte("-----BEGIN\nc2VjcmV0a2V5\n"), GatewayToken: "cccccccc-0000",
	}
}

func TestEffectsAreJudgedByWhatWasThere(t *testing.T) {
	t.Parallel()
	v := newVM(t)
	c := content(t)
	v.put(c, delivery.EffectRestart)
	v.put(c, delivery.EffectRestart) // it has not been carried out
	v.done()
	v.put(c, delivery.EffectNone)
	for name, want := range map[string]string{
		federation.FileDropIn: string(c.DropIn), federation.FileCA: "ca\n", federation.FileCert: "cert\n", federation.FileKey: string(c.Key),
	} {
		path := filepath.Join(v.dir, name)
		if got := v.read(path); got != want {
			t.Errorf("%s holds %q", name, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got := v.read(v.config.GatewayTokenFile); got != "cccccccc-0000" {
		t.Errorf("the gateway's token is %q", got)
	}
	renewed := c
	renewed.Cert, renewed.GatewayToken = []byte("another\n"), "dddddddd-0000"
	v.put(renewed, delivery.EffectReload)
	renewed.CA = []byte("two\n")
	v.put(renewed, delivery.EffectReload)
	v.done()
	moved := renewed
	moved.DropIn = []byte(strings.Replace(string(c.DropIn), "10.0.0.20", "10.0.0.21", 1))
	v.put(moved, delivery.EffectRestart)
	v.put(renewed, delivery.EffectRestart) // nobody knows whether it was restarted meanwhile
	v.done()
	v.put(delivery.Content{}, delivery.EffectRestart)
	left, err := os.ReadDir(v.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if v.read(v.config.GatewayTokenFile) != "" {
		t.Error("the gateway's token is still there")
	}
	effect, err := v.open().Clear(t.Context())
	if err != nil || effect != delivery.EffectRestart {
		t.Errorf("cleared again: %d, %v", effect, err)
	}
	v.done()
	if effect, err = v.open().Clear(t.Context()); err != nil || effect != delivery.EffectNone {
		t.Errorf("cleared at last: %d, %v", effect, err)
	}
}

func TestTrustAloneIsReloaded(t *testing.T) {
	t.Parallel()
	v := newVM(t)
	trust, err := federation.TrustDropIn("/ca")
	need(t, err)
	v.put(delivery.Content{DropIn: trust, CA: []byte("both\n")}, delivery.EffectReload)
	v.config.ReloadCommand = "" // a restart does for it
	v.put(delivery.Content{DropIn: trust, CA: []byte("both\n")}, delivery.EffectRestart)
}

// Whatever a crash leaves of the files, and whatever is in the note, the next Put ends with the same files and an effect that is enough.
func TestCrashBetweenAnyTwoFiles(t *testing.T) {
	t.Parallel()
	names := []string{federation.FileCA, federation.FileKey, federation.FileCert, federation.FileDropIn}
	for written := range len(names) + 1 {
		v := newVM(t)
		c := content(t)
		before := delivery.Content{DropIn: []byte("{}\n"), CA: []byte("old\n")}
		v.put(before, delivery.EffectReload)
		v.done()
		v.put(c, delivery.EffectRestart)
		// Back to how it was after so many of the files.
		for i, name := range names {
			if i < written {
				continue
			}
			path := filepath.Join(v.dir, name)
			need(t, os.Remove(path))
			if old := map[string]string{federation.FileCA: "old\n", federation.FileDropIn: "{}\n"}[name]; old != "" {
				need(t, os.WriteFile(path, []byte(old), 0o600))
			}
		}
		need(t, os.WriteFile(filepath.Join(v.dir, "."+federation.FileKey+".123"), []byte("half"), 0o600))
		v.put(c, delivery.EffectRestart)
		if got := v.read(filepath.Join(v.dir, federation.FileDropIn)); got != string(c.DropIn) {
			t.Errorf("after %d files: %q", written, got)
		}
	}
	v := newVM(t)
	need(t, os.WriteFile(v.config.PendingFile, []byte("damaged"), 0o600))
	v.put(delivery.Content{}, delivery.EffectRestart)
}

func TestDirectoriesThatOthersWriteAreRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*vm){
		"others may write":  func(v *vm) { need(t, os.Chmod(v.dir, 0o757)) },
		"a group may write": func(v *vm) { need(t, os.Chmod(v.dir, 0o775)) },
		"not there":         func(v *vm) { need(t, os.Remove(v.dir)) },
		"a file": func(v *vm) {
			need(t, os.Remove(v.dir))
			need(t, os.WriteFile(v.dir, nil, 0o600))
		},
	} {
		v := newVM(t)
		spoil(v)
		f := v.open()
		if f.CanWrite() || fault.CodeOf(f.Check()) != fault.Refused || !strings.Contains(f.Check().Error(), v.dir) {
			t.Errorf("%s: %v", name, f.Check())
		}
		if _, err := f.Put(t.Context(), content(t)); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(v.config.GatewayTokenFile); !os.IsNotExist(err) {
			t.Errorf("%s: a token was written: %v", name, err)
		}
	}
	v := newVM(t)
	v.config.Dir = ""
	f := v.open()
	if f.CanWrite() {
		t.Error("it can write nowhere")
	}
	v.put(delivery.Content{GatewayToken: "t0000000", CA: []byte("x")}, delivery.EffectNone)
	if v.read(v.config.GatewayTokenFile) != "t0000000" {
		t.Error("a host with a gateway alone has no token")
	}
}

// A gateway that had a token before there was a federation keeps it until it gets another; what people put there later is theirs, too.
func TestTokensOfPeopleStay(t *testing.T) {
	t.Parallel()
	v := newVM(t)
	write := func(token string) { need(t, os.WriteFile(v.config.GatewayTokenFile, []byte(token), 0o600)) }
	write("by people\n")
	v.put(delivery.Content{CA: []byte("ca\n")}, delivery.EffectReload)
	if got := v.read(v.config.GatewayTokenFile); got != "by people\n" {
		t.Fatalf("the token is %q", got)
	}
	v.done()
	v.put(delivery.Content{CA: []byte("ca\n"), GatewayToken: "ours"}, delivery.EffectNone)
	if got := v.read(v.config.GatewayTokenFile); got != "ours" {
		t.Fatalf("the token is %q", got)
	}
	write("by people again\n")
	v.put(delivery.Content{}, delivery.EffectReload)
	if got := v.read(v.config.GatewayTokenFile); got != "by people again\n" {
		t.Fatalf("the token is %q", got)
	}
}

func TestFilesBelongToTheOwnerOfTheDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	v := newVM(t)
	need(t, os.Chown(v.dir, 12345, 12346))
	c := content(t)
	v.put(c, delivery.EffectRestart)
	path := filepath.Join(v.dir, federation.FileKey)
	owned := func() bool {
		info, err := os.Stat(path)
		need(t, err)
		stat, ok := info.Sys().(*syscall.Stat_t)
		return ok && stat.Uid == 12345 && stat.Gid == 12346 && info.Mode().Perm() == 0o600
	}
	if !owned() {
		t.Error("the key is not Consul's")
	}
	// A crash came between the file and its owner.
	need(t, os.Chown(path, 0, 0))
	need(t, os.Chmod(path, 0o644))
	v.put(c, delivery.EffectRestart)
	if !owned() {
		t.Error("the key is not Consul's again")
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	v := newVM(t)
	v.put(content(t), delivery.EffectRestart)
	f := v.open()
	need(t, f.Carry(t.Context(), delivery.EffectNone))
	need(t, f.Carry(t.Context(), delivery.EffectReload))
	need(t, f.Carry(t.Context(), delivery.EffectRestart))
	if ran := v.read(v.data + "/ran"); ran != "reload\nrestart\n" {
		t.Errorf("ran %q", ran)
	}
	v.config.RestartCommand = `seq 100; echo "token aaaaaaaa-0000 and c2VjcmV0a2V5 and cccccccc-0000 and Z29zc2lwLWtleS1vZi10aGUtZmxlZXQhISEhISEhISE= are wrong" >&2; exit 3`
	err := v.open().Carry(t.Context(), delivery.EffectRestart)
	if fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("a command that fails: %v", err)
	}
	text := err.Error()
	for _, want := range []string{"exit status 3", "\n100\n", "token [secret] and [secret] and [secret] and [secret] are wrong"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if strings.Contains(text, "\n90\n") {
		t.Errorf("%q is long", text)
	}
	v.config.RestartCommand = ""
	f = v.open()
	if err := f.Carry(t.Context(), delivery.EffectRestart); f.CanRestart() || fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "--consul-restart-command") {
		t.Errorf("without a command: %v", err)
	}
	left, err := os.ReadDir(v.data)
	need(t, err)
	if slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.Contains(e.Name(), "command") }) {
		t.Errorf("left %v", left)
	}
}

// What a command leaves in the background is not waited for; the command itself ends with the agent.
func TestCommandsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	v := newVM(t)
	v.config.RestartCommand = "sleep 600 & echo $! >" + v.data + "/pid"
	need(t, v.open().Carry(t.Context(), delivery.EffectRestart))
	pid := strings.TrimSpace(v.read(v.data + "/pid"))
	if pid == "" {
		t.Fatal("nothing runs")
	}
	v.config.RestartCommand = "kill " + pid + "; touch " + v.data + "/begun; sleep 600"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	f := v.open()
	go func() { ended <- f.Carry(ctx, delivery.EffectRestart) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for v.read(v.data+"/begun") == "" {
		if _, err := os.Stat(v.data + "/begun"); err == nil {
			break
		}
		<-tick.C
	}
	cancel()
	if err := <-ended; fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("stopped: %v", err)
	}
}
