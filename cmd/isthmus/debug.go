package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/secretfile"
)

func (p Program) debugCommand() *cobra.Command {
	return group("debug", "Look into a server that is slow or large", p.profileCommand())
}

// profiles are the words of the command line, and how the server calls each.
func profiles() map[string]string {
	return map[string]string{"cpu": "profile", "heap": "heap", "goroutine": "goroutine"}
}

func (p Program) profileCommand() *cobra.Command {
	var seconds int
	var out string
	cmd := &cobra.Command{
		Use:   "profile cpu|heap|goroutine",
		Short: "Write a profile of the server process to a file",
		Long: `Write a profile of the server process to a file: what the processor's time goes to, what is in memory, or what all goroutines do.
It takes an API token of role admin, and stands in the audit log. It has names of functions and numbers, and nothing of what the server
keeps. Read it with: go tool pprof -top FILE, or go tool pprof -http :8080 FILE.

Of several servers behind one address it is of the one that answers: name one with --addr.`,
		Example: `  isthmus debug profile cpu --seconds 10
  isthmus debug profile heap --out heap.pprof`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: sortedKeys(profiles()),
	}
	cmd.Flags().IntVar(&seconds, "seconds", 30, "how long the processor's time is watched, at most 120")
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: isthmus-PROFILE-TIME.pprof in this directory)")
	conn := p.connectionOf(cmd)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		if seconds < 1 {
			return fault.New(fault.Invalid, "--seconds: %d is not a time to watch; expected 1 to 120", seconds)
		}
		data, err := c.Profile(ctx, profiles()[args[0]], time.Duration(seconds)*time.Second)
		if err != nil {
			return err
		}
		if out == "" {
			out = fmt.Sprintf("isthmus-%s-%s.pprof", args[0], p.Now().UTC().Format("20060102T150405Z"))
		}
		if err := secretfile.Write(out, data); err != nil {
			return fault.Wrap(fault.Unavailable, err, "write the profile")
		}
		p.printf("%s: %d bytes; read it with: go tool pprof -top %s\n", out, len(data), out)
		return nil
	})
	return cmd
}
