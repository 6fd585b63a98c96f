//go:build unix

package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"isthmus/fault"
	"isthmus/federation"
)

const (
	// commandLimit is how long a reload or restart may take; Consul itself is there after seconds.
	commandLimit = 5 * time.Minute
	// shownLines and shownBytes of a command's output stand in an error.
	shownLines = 5
	shownBytes = 1024
	// minSecret: what is shorter is no secret, and would be found everywhere.
	minSecret = 8
)

// Carry implements Host.
func (f *Files) Carry(ctx context.Context, effect Effect) error {
	command, doing := f.config.RestartCommand, "restart"
	if effect == EffectReload {
		command, doing = f.config.ReloadCommand, "reload"
	}
	switch {
	case effect == EffectNone:
		return nil
	case command == "":
		return fault.New(fault.Refused, "no flag says how Consul is %sed: start the agent with --consul-%s-command", doing, doing)
	}
	f.log.Info("running the command for Consul", "what", doing)
	output, err := run(ctx, command, filepath.Dir(f.config.PendingFile))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the %s command failed (%s)%s", doing, plain(err), f.shown(output))
	}
	return nil
}

// run runs a command to its end. What it leaves running keeps its output, so that a Consul in the background is no hindrance.
func run(ctx context.Context, command, dir string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	out, err := os.CreateTemp(dir, ".command.*")
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "keeping the output of a command")
	}
	defer func() { err = errors.Join(err, out.Close(), os.Remove(out.Name())) }()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own: what it started ends with it when it takes too long, and the agent's own signals do not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ISTHMUS_") })
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return tail(out), err
	}
	return "", nil
}

// tail is the end of what was written.
func tail(out *os.File) string {
	info, err := out.Stat()
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(out, max(0, info.Size()-shownBytes), shownBytes))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD")), "\n")
	return strings.Join(lines[max(0, len(lines)-shownLines):], "\n")
}

func plain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it took longer than " + commandLimit.String()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.String()
	}
	return "it could not be run to its end"
}

// shown is the output of a command as it may stand in an error: without what we wrote that is secret.
func (f *Files) shown(output string) string {
	if output == "" {
		return ""
	}
	for _, secret := range f.secrets() {
		output = strings.ReplaceAll(output, secret, "[secret]")
	}
	return ": " + output
}

// secrets are those that stand in the files, and so may come back in what Consul says about them.
func (f *Files) secrets() []string {
	var out []string
	add := func(s string) {
		if len(s) >= minSecret {
			out = append(out, s)
		}
	}
	var dropIn struct {
		Encrypt string `json:"encrypt"`
		ACL     struct {
			Tokens map[string]string `json:"tokens"`
		} `json:"acl"`
	}
	if text, err := readFile(f.path(federation.FileDropIn)); err == nil && json.Unmarshal(text, &dropIn) == nil {
		add(dropIn.Encrypt)
		for _, token := range dropIn.ACL.Tokens {
			add(token)
		}
	}
	if key, err := readFile(f.path(federation.FileKey)); err == nil {
		for line := range bytes.Lines(key) {
			add(strings.TrimSpace(string(line)))
		}
	}
	if f.config.GatewayTokenFile != "" {
		if token, err := readFile(f.config.GatewayTokenFile); err == nil {
			add(string(token))
		}
	}
	return out
}
