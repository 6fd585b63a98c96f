package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/fault"
)

// secretSink is where a new secret goes: alone to standard output, or into a new file that nobody else can read. It is
// opened before the secret is made, so that none is made and then lost.
type secretSink struct {
	program Program
	file    *os.File
}

func (p Program) openSecretSink(path string) (*secretSink, error) {
	if path == "" {
		return &secretSink{program: p}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "make a file for the secret")
	}
	return &secretSink{program: p, file: file}, nil
}

// give hands the secret over.
func (s *secretSink) give(secret string) error {
	text := []byte(strings.TrimSpace(secret) + "\n")
	if s.file == nil {
		return s.program.write(text)
	}
	_, err := s.file.Write(text)
	if err == nil {
		err = s.file.Sync()
	}
	if closeErr := s.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "write the secret (it is lost: make another one)")
	}
	return nil
}

// abandon takes the empty file away when no secret was made.
func (s *secretSink) abandon() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}

// required marks a flag without which the command makes no sense.
func required(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // there is no such flag: found by any test that makes the command
	}
}

// completeFlag completes a flag's values, whatever arguments stand before it.
func completeFlag(cmd *cobra.Command, flag string, complete completer) {
	value := func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, nil, toComplete)
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, value); err != nil {
		panic(err) // there is no such flag: found by any test that makes the command
	}
}
