package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/simulate"
)

// Defaults of isthmus simulate: what a large fleet looks like, small enough for a laptop.
const (
	simulatedDatacenters = 100
	simulatedPerDC       = 5
	simulatedRegions     = 6
	simulatedServices    = 20
	// progressSteps is how often progress is shown.
	progressSteps = 10
)

// simulator is isthmus simulate.
type simulator struct {
	program Program
	config  simulate.Config
	faults  simulate.Faults
	exit    bool
}

func (p Program) simulateCommand() *cobra.Command {
	s := simulator{program: p}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run a simulated fleet against a server, to size a deployment",
		Long: `Run a simulated fleet against a server: many datacenters in one process, to see what a deployment needs and what isthmus looks like at
that size. Each datacenter's agent has keys of its own, enrols with a join token, and speaks the agents' protocol over its own connection:
long polls, reports, peering tokens that are sealed and opened. There is no Consul behind them, only what one would say.

The server must be a new one: one that has datacenters is refused. The fleet has a key of its own that is kept nowhere.
When all is healthy, faults begin: silent datacenters, Consul servers without a leader, peerings whose stream hangs, or of which one end is
lost again and again. It runs until Ctrl-C; what was declared stays.`,
		Example: `  isthmus simulate --datacenters 1000 --peerings 5000
  isthmus simulate --datacenters 200 --federation-size 10 --gateways --cut 3 --stale 5 --one-sided 2 --failing-consul 1`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&s.config.Datacenters, "datacenters", simulatedDatacenters, "how many datacenters")
	flags.IntVar(&s.config.Peerings, "peerings", -1, fmt.Sprintf("how many peerings; -1: %d for each datacenter", simulatedPerDC))
	flags.IntVar(&s.config.Regions, "regions", simulatedRegions, "over how many regions they are spread (label region)")
	flags.IntVar(&s.config.FederationSize, "federation-size", 0, "datacenters in each WAN federation, of which each region has one; 0: there are none")
	flags.BoolVar(&s.config.Gateways, "gateways", false, "each datacenter has a mesh gateway with an identity of its own")
	flags.IntVar(&s.config.Services, "services", simulatedServices, "services in each datacenter's catalog")
	flags.Uint64Var(&s.config.Seed, "seed", 0, "another fleet of the same size, and other faults")
	flags.IntVar(&s.faults.Cut, "cut", 0, "how many datacenters fall silent")
	flags.IntVar(&s.faults.FailingConsul, "failing-consul", 0, "in how many datacenters Consul loses its leader")
	flags.IntVar(&s.faults.Unreachable, "unreachable", 0, "how many members of federations the others reach no more")
	flags.IntVar(&s.faults.Stale, "stale", 0, "how many peerings' streams hang")
	flags.IntVar(&s.faults.OneSided, "one-sided", 0, "how many peerings lose one end")
	flags.BoolVar(&s.exit, "exit", false, "end when all is healthy and the faults have begun")
	logging := logFlags(flags)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if s.config.Server, err = conn.config(); err != nil {
			return err
		}
		if s.config.Log, err = logging.logger(p, "simulate"); err != nil {
			return err
		}
		s.config.Now = p.Now
		return s.run(cmd.Context())
	}
	return cmd
}

func (s *simulator) run(ctx context.Context) error {
	if s.config.Peerings < 0 {
		s.config.Peerings = s.config.DefaultPeerings(simulatedPerDC)
	}
	s.config.Regions = min(s.config.Regions, s.config.Datacenters)
	view, began := s.program.newProgress(), s.program.Now()
	s.config.Progress = func(p simulate.Progress) { view.set(stepTitle(p.Step), howFar(p), "", p.Done == p.Total) }
	fleet, err := simulate.Start(ctx, s.config)
	if err != nil {
		view.finish()
		return endedByHand(ctx, err)
	}
	defer fleet.Close()
	const healthy = "all healthy, as the server sees it"
	view.set(healthy, "waiting", "", false)
	err = fleet.WaitHealthy(ctx)
	if err == nil {
		view.set(healthy, "yes", "", true)
	}
	view.finish()
	if err != nil {
		return endedByHand(ctx, err)
	}
	s.program.printf("%d datacenters and %d peerings are healthy after %.1f s.\n", len(fleet.Datacenters()), len(fleet.Peerings()),
		s.program.Now().Sub(began).Seconds())
	datacenters, peerings, err := fleet.Inflict(s.faults)
	if err != nil {
		return err
	}
	if hurt := append(datacenters, peerings...); len(hurt) > 0 {
		s.program.printf("Faults: %s\n", strings.Join(hurt, ", "))
	}
	if s.exit {
		return nil
	}
	s.program.printf("Ctrl-C ends it.\n")
	<-ctx.Done()
	return nil
}

// endedByHand is nothing to explain when it was Ctrl-C.
func endedByHand(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &exitStatus{code: exitError}
	}
	return err
}

func stepTitle(step string) string {
	switch step {
	case simulate.StepDeclare:
		return "datacenters declared"
	case simulate.StepEnrol:
		return "agents enrolled"
	}
	return "peerings, federations and exports declared"
}

// howFar is in tenths, so that what is written to a file is not a line for each of a thousand.
func howFar(p simulate.Progress) string {
	if p.Done == p.Total {
		return fmt.Sprintf("%d", p.Total)
	}
	return fmt.Sprintf("%d %% of %d", p.Done*progressSteps/p.Total*(100/progressSteps), p.Total)
}
