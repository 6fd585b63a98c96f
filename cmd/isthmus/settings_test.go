package main_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeFile writes a file for a test and gives its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every source sets an address that cannot be: the error tells which one was taken.
func TestFlagsGoBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "server.yaml", "httpAddr: from-file\ngrpcHosts: [a, b]\n")
	for name, test := range map[string]struct {
		environment map[string]string
		args        []string
		want        string
	}{
		"file":                          {args: []string{"--config", file}, want: `httpAddr: "from-file"`},
		"file named in the environment": {environment: map[string]string{"ISTHMUS_CONFIG": file}, want: `httpAddr: "from-file"`},
		"environment over file":         {environment: map[string]string{"ISTHMUS_HTTP_ADDR": "from-environment"}, args: []string{"--config", file}, want: `httpAddr: "from-environment"`},
		"flag over both": {
			environment: map[string]string{"ISTHMUS_HTTP_ADDR": "from-environment"},
			args:        []string{"--config", file, "--http-addr", "from-flag"}, want: `httpAddr: "from-flag"`,
		},
		"empty variable is none": {environment: map[string]string{"ISTHMUS_HTTP_ADDR": ""}, args: []string{"--config", file}, want: `httpAddr: "from-file"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, test.environment, "", append([]string{"server", "--data-dir", t.TempDir()}, test.args...)...)
			if got.code != 1 || !strings.Contains(got.err, test.want) {
				t.Errorf("code %d, %s", got.code, got.err)
			}
		})
	}
}

// The flag that may stand alone takes the same from everywhere; the error of a wrong name shows which source was taken.
func TestAllowJoinNamesPrimaries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environment map[string]string
		file        string
		args        []string
		want        string
	}{
		"wrong name":                {args: []string{"--allow-join=No/Name"}, want: `"No/Name" is no name of a datacenter`},
		"no name":                   {args: []string{"--allow-join="}, want: `"" is no name of a datacenter`},
		"behind a blank":            {args: []string{"--allow-join", "dc1"}, want: "--allow-join=dc1"},
		"an argument":               {args: []string{"--allow-join=dc1", "--", "No/Name"}, want: `unknown command "No/Name"`},
		"environment":               {environment: map[string]string{"ISTHMUS_ALLOW_JOIN": "dc1,No/Name"}, want: `ISTHMUS_ALLOW_JOIN: "No/Name" is no name`},
		"file":                      {file: "allowJoin: [dc1, No/Name]\n", want: `allowJoin: "No/Name" is no name`},
		"alone":                     {args: []string{"--allow-join"}, want: "not a directory"},
		"several":                   {args: []string{"--allow-join=dc1", "--allow-join=dc2,dc3"}, want: "not a directory"},
		"true in the environment":   {environment: map[string]string{"ISTHMUS_ALLOW_JOIN": "true"}, want: "not a directory"},
		"true or a list in a file":  {file: "allowJoin: true\n", want: "not a directory"},
		"flags go before the file":  {file: "allowJoin: No/Name\n", args: []string{"--allow-join=dc1"}, want: "not a directory"},
		"false is none in the file": {file: "allowJoin: false\n", want: "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What is well formed gets as far as to the directory, which cannot be one.
			args := append([]string{"agent", "--data-dir", writeFile(t, "data", ""), "--config", writeFile(t, "agent.yaml", test.file)}, test.args...)
			got := run(t, test.environment, "", args...)
			if got.code == 0 || !strings.Contains(got.err, test.want) {
				t.Errorf("code %d, %s", got.code, got.err)
			}
		})
	}
}

func TestSettingsFilesAreStrict(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"unknown key":       {"dataDir: x\nhtpAddr: y\n", []string{"server.yaml:2: htpAddr: unknown setting; expected one of agentCallsPerSecond, dataDir, "}},
		"flag's own name":   {"data-dir: x\n", []string{"server.yaml:1: data-dir: unknown setting"}},
		"config itself":     {"config: other.yaml\n", []string{"server.yaml:1: config: unknown setting"}},
		"twice":             {"dataDir: x\ndataDir: y\n", []string{"server.yaml:2: dataDir: is set twice"}},
		"nested":            {"dataDir: {a: b}\n", []string{"server.yaml:1: dataDir: expected a single value"}},
		"list for a value":  {"keepChanges: [1, 2]\n", []string{"server.yaml:1: keepChanges: is a list; expected one value"}},
		"not a duration":    {"renewalWindow: soon\n", []string{"server.yaml:1: renewalWindow: ", `"soon"`}},
		"several at once":   {"a: 1\nb: 2\n", []string{"2 problems", "server.yaml:1: a: unknown", "server.yaml:2: b: unknown"}},
		"not a mapping":     {"- a\n", []string{"server.yaml:1: expected a mapping"}},
		"not YAML":          {"a: [\n", []string{"server.yaml is not YAML"}},
		"several documents": {"dataDir: x\n---\ndataDir: y\n", []string{"more than one document"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, "", "server", "--data-dir", t.TempDir(), "--config", writeFile(t, "server.yaml", test.text))
			for _, want := range test.want {
				if got.code != 1 || !strings.Contains(got.err, want) {
					t.Errorf("code %d, %q does not say %q", got.code, got.err, want)
				}
			}
		})
	}
}

func TestBadEnvironmentNamesTheVariable(t *testing.T) {
	t.Parallel()
	got := run(t, map[string]string{"ISTHMUS_RENEWAL_WINDOW": "soon", "ISTHMUS_KEEP_CHANGES": "many"}, "", "server", "--data-dir", t.TempDir())
	for _, want := range []string{"2 problems", "ISTHMUS_RENEWAL_WINDOW: ", "ISTHMUS_KEEP_CHANGES: "} {
		if got.code != 1 || !strings.Contains(got.err, want) {
			t.Errorf("code %d, %q does not say %q", got.code, got.err, want)
		}
	}
}

func TestTokenSources(t *testing.T) {
	t.Parallel()
	environment := canned(t)
	delete(environment, "ISTHMUS_TOKEN")
	missing := filepath.Join(t.TempDir(), "none")
	for name, test := range map[string]struct {
		environment map[string]string
		args        []string
		code        int
		want        string
	}{
		"variable goes before its file":   {environment: map[string]string{"ISTHMUS_TOKEN": "x", "ISTHMUS_TOKEN_FILE": missing}},
		"flag goes before the variable":   {environment: map[string]string{"ISTHMUS_TOKEN": "x"}, args: []string{"--token-file", missing}, code: 1, want: "read the API token"},
		"file that is not there":          {environment: map[string]string{"ISTHMUS_TOKEN_FILE": missing}, code: 1, want: "read the API token"},
		"empty file":                      {environment: map[string]string{"ISTHMUS_TOKEN_FILE": writeFile(t, "token", "\n")}, code: 1, want: "is empty"},
		"no token is the server's matter": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"ISTHMUS_ADDR": environment["ISTHMUS_ADDR"]}
			maps.Copy(env, test.environment)
			got := run(t, env, "", append([]string{"get", "datacenters"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.err, test.want) {
				t.Errorf("code %d, %s", got.code, got.err)
			}
		})
	}
}
