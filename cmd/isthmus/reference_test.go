package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	isthmus "isthmus/cmd/isthmus"
)

// docs/cli.md is what this test makes of the commands: -update writes it, and a flag that is not in it fails here.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	program := isthmus.Program{Env: func(string) (string, bool) { return "", false }}
	root := program.Command()
	root.InitDefaultCompletionCmd()
	var out strings.Builder
	out.WriteString(referenceHead)
	reference(t, &out, root)
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("docs/cli.md is not current: go test ./cmd/isthmus -run TestReferenceIsCurrent -update\n%s", diff)
	}
}

const referenceHead = `# Command line

Written by ` + "`go test ./cmd/isthmus -run TestReferenceIsCurrent -update`" + ` from the program itself.

Settings come from flags, then from the environment (the variable is named with each flag), then, for ` + "`server`, `agent` and `gateway`" + `,
from the YAML file that ` + "`--config`" + ` names; its keys are the flags' names in lowerCamelCase, and unknown ones are errors.

| variable | means |
|---|---|
| ` + "`ISTHMUS_ADDR`" + ` | address of the server, default ` + "`http://127.0.0.1:8700`" + ` |
| ` + "`ISTHMUS_TOKEN_FILE`, `ISTHMUS_TOKEN`" + ` | file with the API token, or the token itself |
| ` + "`ISTHMUS_CACERT`" + ` | file with the authority of the server's certificate |
| ` + "`ISTHMUS_FLEET_KEY`" + ` | file with the fleet key |
| ` + "`ISTHMUS_JOIN_TOKEN`" + ` | a join token, for ` + "`agent`, `gateway` and `join-token inspect`" + ` |
| ` + "`ISTHMUS_CONSUL_BIN`" + ` | the Consul that ` + "`demo`" + ` runs |
| ` + "`NO_COLOR`" + ` | no colours, not even on a terminal |

Exit codes: 0 it worked, 1 it did not (the reason is on standard error), 2 ` + "`status` or `doctor`" + ` found something degraded or unknown, or ` + "`adopt`" + ` something that differs. Those of
` + "`agent`" + ` are with it.

`

// reference writes a command and those below it.
func reference(t *testing.T, out *strings.Builder, cmd *cobra.Command) {
	t.Helper()
	if cmd.Short == "" {
		t.Errorf("%s has no description", cmd.CommandPath())
	}
	fmt.Fprintf(out, "## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(out, "    %s\n\n", cmd.UseLine())
	}
	out.WriteString(strings.TrimSpace(text) + "\n\n")
	if cmd.Example != "" {
		fmt.Fprintf(out, "```sh\n%s\n```\n\n", strings.ReplaceAll(strings.TrimSpace(cmd.Example), "\n  ", "\n"))
	}
	rows := flagRows(t, cmd)
	if len(rows) > 0 {
		out.WriteString("| flag | means |\n|---|---|\n" + strings.Join(rows, "") + "\n")
	}
	for _, child := range cmd.Commands() {
		if child.Name() == "completion" {
			fmt.Fprintf(out, "## %s\n\n%s: `%s bash|zsh|fish|powershell --help` says how to load it.\n\n", child.CommandPath(), child.Short, child.CommandPath())
			continue
		}
		if child.IsAvailableCommand() && child.Name() != "help" {
			reference(t, out, child)
		}
	}
}

func flagRows(t *testing.T, cmd *cobra.Command) []string {
	t.Helper()
	var rows []string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if usage == "" {
			t.Errorf("%s --%s is not described", cmd.CommandPath(), f.Name)
		}
		switch {
		case kind != "" && f.NoOptDefVal != "":
			name += "[=" + kind + "]"
		case kind != "":
			name += " " + strings.ReplaceAll(kind, "|", `\|`)
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "[]" {
			usage += "; default " + f.DefValue
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", name, usage))
	})
	return rows
}
