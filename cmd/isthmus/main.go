// Command isthmus is all of isthmus in one program: server, agent, command line and demo.
//
// Owns: commands and flags, settings from the environment and from files, how things are shown, exit codes.
// Does not own: what any of it means; each command calls server, agent, demo or client. Start reading at Program.Run.
//
//	main.go        the program as a value, so that a test runs it whole
//	settings.go    flags over environment over file
//	connect.go     which server, and who is asking
//	<command>.go   one file per command
//	output.go, table.go, progress.go, problem.go   how things are shown
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"isthmus/fault"
)

// Exit codes. Those of isthmus agent are agent.ExitCode's.
const (
	exitOK = 0
	// exitError: the command did not do what it was asked for.
	exitError = 1
	// exitDegraded: isthmus status or doctor found something that is not healthy, or not known; isthmus adopt something that differs.
	exitDegraded = 2
	// exitUnknown: isthmus explain got no answer that anybody could vouch for.
	exitUnknown = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A reader that went away (| head) is an error of the write rather than the end of the process, which could not clean up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	program := Program{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.LookupEnv, Now: time.Now}
	code := program.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// Program is isthmus with everything that it takes from its surroundings.
type Program struct {
	In  io.Reader
	Out io.Writer
	// Err gets errors, notes and progress, so that Out can be piped.
	Err io.Writer
	// Env looks up an environment variable.
	Env func(string) (string, bool)
	// Now is the clock.
	Now func() time.Time
}

// Run runs one command line and returns the exit code. What went wrong has been written to Err.
func (p Program) Run(ctx context.Context, args []string) int {
	root := p.Command()
	root.SetArgs(arrowed(args))
	err := root.ExecuteContext(ctx)
	var exit *exitStatus
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, syscall.EPIPE):
		return exitError // whoever read the output has read enough
	case errors.As(err, &exit):
		if exit.cause != nil {
			p.printProblem(exit.cause)
		}
		return exit.code
	}
	p.printProblem(err)
	return exitError
}

// exitStatus ends the program with a code of its own.
type exitStatus struct {
	code int
	// cause is printed; nil when everything has been said.
	cause error
}

func (e *exitStatus) Error() string {
	if e.cause == nil {
		return "exit"
	}
	return e.cause.Error()
}

func (e *exitStatus) Unwrap() error { return e.cause }

// Groups of commands in the help text.
const (
	groupRun       = "run"
	groupResources = "resources"
	groupTrust     = "trust"
)

// Command is the tree of all commands.
func (p Program) Command() *cobra.Command {
	root := &cobra.Command{
		Use:   "isthmus",
		Short: "Connect many Consul datacenters, and keep them connected",
		Long: `isthmus connects many Consul datacenters, and keeps them connected: datacenters and how they are peered are declared
in manifests, and an agent in each datacenter makes the local Consul match them.

The server is named by ISTHMUS_ADDR (default http://127.0.0.1:8700), the API token by ISTHMUS_TOKEN_FILE or ISTHMUS_TOKEN.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Invalid, "%s; see %s --help", err, cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run isthmus:"},
		&cobra.Group{ID: groupResources, Title: "Declare and look:"},
		&cobra.Group{ID: groupTrust, Title: "Trust and access:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(groupRun, p.serverCommand(), p.agentCommand(), p.gatewayCommand(), p.demoCommand(), p.simulateCommand(), p.storeCommand(), p.debugCommand())
	add(groupResources, p.applyCommand(), p.getCommand(), p.describeCommand(), p.deleteCommand(), p.exportCommand(),
		p.statusCommand(), p.eventsCommand(), p.peeringCommand(), p.federationCommand(), p.membersCommand(),
		p.connectionsCommand(), p.reachabilityCommand(), p.doctorCommand(), p.servicesCommand(), p.explainCommand(), p.datacenterCommand(), p.adoptCommand())
	add(groupTrust, p.fleetCommand(), p.joinTokenCommand(), p.apiTokenCommand(), p.bundleCommand())
	root.AddCommand(p.versionCommand())
	explainArguments(root)
	return root
}

// explainArguments lets every command that is given too few or too many arguments say what it expects.
func explainArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil && cmd.HasParent() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fault.New(fault.Invalid, "%s; expected: %s", err, strings.TrimSuffix(cmd.UseLine(), " [flags]"))
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		explainArguments(child)
	}
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}
