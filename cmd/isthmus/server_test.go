package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/resource"
	"isthmus/server"
)

// realServer runs a whole server in this process. What it gives is the environment with which one is its admin.
func realServer(t *testing.T) map[string]string {
	t.Helper()
	s, err := server.New(t.Context(), server.Config{
		DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return map[string]string{
		"ISTHMUS_ADDR": s.URL(), "ISTHMUS_TOKEN_FILE": s.AdminTokenFile(),
		"ISTHMUS_FLEET_KEY": filepath.Join(t.TempDir(), "fleet.key"),
	}
}

// with is an environment with one variable more.
func with(environment map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	for key, v := range environment {
		if key != name {
			out[key] = v
		}
	}
	return out
}

// must runs a command that has to succeed, and gives its output.
func must(t *testing.T, environment map[string]string, stdin string, args ...string) string {
	t.Helper()
	got := runNow(t, environment, stdin, args...)
	if got.code != 0 {
		t.Fatalf("isthmus %s: code %d\n%s%s", strings.Join(args, " "), got.code, got.out, got.err)
	}
	return got.out
}

// refused runs a command that has to fail with all of these words on standard error.
func refused(t *testing.T, environment map[string]string, stdin string, words []string, args ...string) {
	t.Helper()
	got := runNow(t, environment, stdin, args...)
	if got.code != 1 || got.out != "" {
		t.Errorf("isthmus %s: code %d, output %q", strings.Join(args, " "), got.code, got.out)
	}
	for _, word := range words {
		if !strings.Contains(got.err, word) {
			t.Errorf("isthmus %s does not say %q:\n%s", strings.Join(args, " "), word, got.err)
		}
	}
}

// shows repeats a command until what it prints has all words: what is applied comes about, and is looked at, a moment later.
func shows(t *testing.T, environment map[string]string, words []string, args ...string) result {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := run(t, environment, "", args...)
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(got.out, word) }) {
			return got
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("isthmus %s does not come to say %q: code %d\n%s%s", strings.Join(args, " "), words, got.code, got.out, got.err)
		}
	}
}

const datacentersManifest = `kind: Datacenter
name: dc1
labels: {env: demo}
spec: {runtime: vm}
---
kind: Datacenter
name: dc2
labels: {env: demo}
spec: {runtime: vm}
`

const fleetManifest = datacentersManifest + `---
kind: PeeringGroup
name: demo
spec: {shape: full-mesh, selector: env=demo}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=demo}}
`

func TestApplyGetExportDelete(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	file := writeFile(t, "fleet.yaml", fleetManifest)

	dry := must(t, env, "", "apply", "-f", file, "--dry-run")
	for _, want := range []string{"Datacenter dc1 to create", "  + spec.runtime: \"vm\"", "Peering demo-dc1-dc2 to create by group demo", "5 to create, 0 to update"} {
		if !strings.Contains(dry, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, dry)
		}
	}
	if got := must(t, env, "", "get", "datacenters", "-o", "json"); got != "[]\n" {
		t.Errorf("the dry run stored %s", got)
	}
	applied := must(t, env, "", "apply", "-f", file)
	if !strings.Contains(applied, "Datacenter dc1 created\n") {
		t.Errorf("applied: %s", applied)
	}
	if again := must(t, env, fleetManifest, "apply", "-f", "-"); strings.Contains(again, "created") || !strings.Contains(again, "Datacenter dc1 unchanged\n") {
		t.Errorf("applied again: %s", again)
	}
	exported := must(t, env, "", "export")
	if strings.Contains(exported, "demo-dc1-dc2") {
		t.Errorf("the group's peering is exported:\n%s", exported)
	}
	if again := must(t, env, exported, "apply", "-f", "-"); strings.Contains(again, "updated") || strings.Contains(again, "created") {
		t.Errorf("the export does not apply back to the same: %s", again)
	}
	shown := must(t, env, "", "get", "datacenter", "dc1", "-o", "yaml")
	if again := must(t, env, shown, "apply", "-f", "-"); again != "Datacenter dc1 unchanged\n" {
		t.Errorf("what get shows does not apply back to the same: %s", again)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(must(t, env, "", "get", "dc", "-l", "env=demo", "-o", "json")), &list); err != nil || len(list) != 2 {
		t.Errorf("%v %v", list, err)
	}
	must(t, env, "", "describe", "peering-group", "demo")
	if got := shows(t, env, []string{"isthmus join-token create --datacenter dc1"}, "status"); got.code != 2 {
		t.Errorf("status: code %d, %s", got.code, got.out)
	}
	if events := must(t, env, "", "events"); !strings.Contains(events, "Datacenter") || !strings.Contains(events, "api-token/admin") {
		t.Errorf("events: %s", events)
	}
	must(t, env, "", "delete", "-f", file, "--force", "--wait", "30s")
	if got := must(t, env, "", "get", "peerings", "-o", "json"); got != "[]\n" {
		t.Errorf("left: %s", got)
	}
}

func TestApplyWaitTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	must(t, env, fleetManifest, "apply", "-f", "-")
	shows(t, env, []string{"join-token create --datacenter dc1", "PeeringGroup", "demo-dc1-dc2"}, "status")
	got := runNow(t, env, fleetManifest, "apply", "-f", "-", "--wait", "2s")
	if got.code != 1 {
		t.Errorf("code %d", got.code)
	}
	for _, want := range []string{"not everything is as it should be after 2s", "  Datacenter dc1: unknown (", "  Peering demo-dc1-dc2: "} {
		if !strings.Contains(got.err, want) {
			t.Errorf("does not say %q:\n%s", want, got.err)
		}
	}
}

func TestBadManifestsNameTheFile(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n",
		"b.yaml": "# first\n---\nkind: Datacenter\nname: dc2\nspec: {runtime: vm}\n---\nkind: Peering\nname: p\nspec:\n  acceptor: dc1\n  dialer: dc9\n",
		"c.json": `{"kind":"Datacenter","name":"dc3","spec":{"runtime":"vm"}} {"kind":"Datacenter","name":"dc4","spec":{"runtime":"vm"}}`,
		"d.txt":  "not a manifest",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, env, "", []string{filepath.Join(dir, "b.yaml") + ": document 3, line 11: spec.dialer: ", "dc9"}, "apply", "-f", dir)
	refused(t, env, "kind: Peering\nname: p\nspec: {acceptr: dc1}\n---\nkind: Cluster\n",
		[]string{"standard input: document 1, line 3: spec.acceptr", "standard input: document 2, line 5: "}, "apply", "-f", "-")
	refused(t, env, "", []string{"is there twice: in " + filepath.Join(dir, "a.yaml")},
		"apply", "-f", filepath.Join(dir, "a.yaml"), "-f", writeFile(t, "again.yaml", "kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n"))
	refused(t, env, "", []string{"no *.yaml"}, "apply", "-f", t.TempDir())
	refused(t, env, "", []string{"--filename"}, "apply")
	if got := must(t, env, "", "get", "datacenters", "-o", "json"); got != "[]\n" {
		t.Errorf("half-applied: %s", got)
	}
}

func TestTrustCommands(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	refused(t, env, "", []string{"isthmus fleet init"}, "join-token", "create", "--datacenter", "dc1")
	must(t, env, "", "fleet", "init")
	refused(t, env, "", []string{"is there already"}, "fleet", "init")
	if shown := must(t, env, "", "fleet", "show"); !strings.Contains(shown, "SHA256:") || strings.Contains(shown, "PRIVATE") {
		t.Errorf("fleet show: %s", shown)
	}
	secret := must(t, env, "", "join-token", "create", "--datacenter", "dc1", "--ttl", "5m", "--uses", "2")
	if strings.Count(secret, "\n") != 1 || !strings.HasPrefix(secret, "isthmus-join-") {
		t.Errorf("the token is not alone on standard output: %d lines", strings.Count(secret, "\n"))
	}
	inspected := must(t, env, secret, "join-token", "inspect", "-")
	for _, want := range []string{"Datacenter:  dc1", "Uses:        2", "minted with fleet key SHA256:", "State:       active, used 0 of 2 times"} {
		if !strings.Contains(inspected, want) {
			t.Errorf("inspect does not say %q:\n%s", want, inspected)
		}
	}
	if strings.Contains(inspected, strings.TrimSpace(secret)[20:60]) {
		t.Error("inspect shows a part of the token")
	}
	out := filepath.Join(t.TempDir(), "dc2.token")
	if printed := must(t, env, "", "join-token", "create", "--datacenter", "dc2", "--without-fleet-key", "--out", out); printed != "" {
		t.Error("printed although it was to go into a file")
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if inspected := must(t, env, "", "join-token", "inspect", out); !strings.Contains(inspected, "has to be approved") {
		t.Errorf("inspect: %s", inspected)
	}
	if list := must(t, env, "", "join-token", "list"); strings.Count(list, "\n") != 3 {
		t.Errorf("list: %s", list)
	}
	refused(t, env, "", []string{"make a file for the secret"}, "join-token", "create", "--datacenter", "dc2", "--out", out)
	refused(t, env, "isthmus-join-1.damaged", []string{"damaged"}, "join-token", "inspect", "-")
}

func TestAPITokensHaveTheirRoles(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	secret := must(t, env, "", "api-token", "create", "grafana", "--role", "viewer", "--ttl", "1h")
	viewer := with(env, "ISTHMUS_TOKEN", strings.TrimSpace(secret))
	must(t, viewer, "", "get", "datacenters")
	got := run(t, viewer, fleetManifest, "apply", "-f", "-")
	if got.code != 1 || strings.Contains(got.err, strings.TrimSpace(secret)) {
		t.Errorf("code %d, %s", got.code, got.err)
	}
	if list := must(t, env, "", "api-token", "list"); !strings.Contains(list, "grafana") || strings.Contains(list, strings.TrimSpace(secret)) {
		t.Errorf("list: %s", list)
	}
	must(t, env, "", "api-token", "revoke", "grafana")
	refused(t, viewer, "", []string{"ISTHMUS_TOKEN_FILE"}, "get", "datacenters")
}

func TestCompletionAsksTheServer(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	must(t, env, fleetManifest, "apply", "-f", "-")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "peering-g"}, "peering-groups\n"},
		{[]string{"get", "datacenter", ""}, "dc1\ndc2\n"},
		{[]string{"delete", "dc", "dc1", "d"}, "dc2\n"},
		{[]string{"describe", "pg", ""}, "demo\n"},
		{[]string{"services", "--datacenter", "dc"}, "dc1\ndc2\n"},
		{[]string{"get", "dc", "-o", "j"}, "table\nwide\njson\nyaml\n"},
	} {
		got := run(t, env, "", append([]string{"__complete"}, test.args...)...)
		if !strings.HasPrefix(got.out, test.want) {
			t.Errorf("%v: %q", test.args, got.out)
		}
	}
}

func TestStoreRestored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused(t, nil, "", []string{"there is no database"}, "store", "restored", "--data-dir", dir)
	s, err := server.New(t.Context(), server.Config{DataDir: dir, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, nil, "", nil, "store", "restored", "--data-dir", dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	first := must(t, nil, "", "store", "restored", "--data-dir", dir)
	if second := must(t, nil, "", "store", "restored", "--data-dir", dir); first == second || !strings.HasPrefix(second, "New epoch ") {
		t.Errorf("%s%s", first, second)
	}
}

// What HTTP and gRPC have one code for is told apart all the same: one can be tried again, the other cannot.
func TestErrorsKeepTheirExactCodes(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	secret, err := os.ReadFile(environment["ISTHMUS_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Address: environment["ISTHMUS_ADDR"], Token: strings.TrimSpace(string(secret))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(t.Context(), bytes.Repeat([]byte("#"), resource.MaxManifests+1), client.ApplyOptions{})
	if fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("too much: %v (%s)", err, fault.CodeOf(err))
	}
	fleet := "kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n---\nkind: Gateway\nname: gw\nspec: {datacenter: dc1, wanAddress: 'gw.example.com:8443'}\n"
	if _, err := c.Apply(t.Context(), []byte(fleet), client.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	kind, _ := resource.KindNamed(resource.KindDatacenter)
	if _, err := c.Delete(t.Context(), kind, "dc1", client.DeleteOptions{}); fault.CodeOf(err) != fault.Referenced {
		t.Errorf("in use: %v (%s)", err, fault.CodeOf(err))
	}
}
