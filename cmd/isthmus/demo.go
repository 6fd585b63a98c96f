package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"isthmus/demo"
	"isthmus/fault"
	"isthmus/resource"
	"isthmus/server"
)

func (p Program) demoCommand() *cobra.Command {
	config := demo.Config{Now: p.Now, HTTPAddr: server.DefaultHTTPAddr, GRPCAddr: server.DefaultGRPCAddr}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Federate and peer real Consul datacenters on this machine, and show it",
		Long: `Start an isthmus server and real Consul servers (separate datacenters with TLS, gossip encryption and ACLs, on loopback) with an agent
for each, connect them, and discover services of each other. Of three datacenters or more, dc2 joins dc1's WAN federation: its
Consul is only installed at first, its agent gets a bundle and starts it, and two mesh gateways carry what the servers say. All others
are peered with dc1. Two datacenters are peered. It runs until Ctrl-C, then ends every process that it started and leaves no files.

With --break something breaks when all is healthy, and you find out which datacenter it is, and why: cut is a datacenter that nothing arrives at
any more, consul one whose Consul server is gone, gateway a member of the federation whose mesh gateway is.

Consul is the one that ISTHMUS_CONSUL_BIN names, the one on PATH, or the one that make consul builds.`,
		Example: `  isthmus demo
  isthmus demo --break
  isthmus demo --exit --datacenters 4`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&config.Exit, "exit", false, "end when all is shown; exit code 0 only when all is healthy, and with --break when isthmus says what is broken")
	cmd.Flags().StringVar(&config.Break, "break", "", "break a datacenter when all is healthy: cut, consul or gateway; alone: cut")
	cmd.Flags().Lookup("break").NoOptDefVal = demo.BreakCut
	cmd.Flags().IntVar(&config.Datacenters, "datacenters", demo.DefaultDatacenters, fmt.Sprintf("how many, %d to %d", demo.MinDatacenters, demo.MaxDatacenters))
	cmd.Flags().StringVar(&config.Keep, "keep", "", "keep data, logs and configuration in this new directory")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	ways := []string{demo.BreakCut, demo.BreakConsul, demo.BreakGateway}
	completeFlag(cmd, "break", cobra.FixedCompletions(ways, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if config.Executable, err = os.Executable(); err != nil {
			return fault.Wrap(fault.Internal, err, "find this program")
		}
		view := p.newProgress()
		config.Log = hclog.NewNullLogger()
		config.Progress = view.set
		config.Ready = func(r demo.Result) error {
			view.finish()
			return p.showDemo(r, config.Exit)
		}
		announced := context.AfterFunc(cmd.Context(), func() { p.note("\nEnding every process…") })
		defer announced()
		err = demo.Run(cmd.Context(), config)
		view.finish()
		if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
			return &exitStatus{code: exitError} // Ctrl-C before it was ready: nothing to explain
		}
		return err
	}
	return cmd
}

// showDemo shows what the demo has come to. Of what is broken it says no more than that something is.
func (p Program) showDemo(r demo.Result, ends bool) error {
	if r.Broken != nil && !ends {
		p.printf("\nEverything was healthy. Now one datacenter is broken: find out which one, and why.\nisthmus notices within a minute.\n")
		p.demoAccess(r)
		return nil
	}
	if r.Broken != nil {
		b := r.Broken
		p.printf("\nBroken in %s: %s. After %.0f s, isthmus says:\n\n", b.Datacenter, b.What, b.After.Seconds())
		return p.table([]string{"ASKED", "ABOUT", "VERDICT", "WHAT"}, [][]string{
			{"doctor", b.Check.GetId() + " " + b.Datacenter, b.Check.GetVerdict(), b.Check.GetMessage()},
			{"connections", b.Connection.GetA() + " – " + b.Connection.GetB(), b.Connection.GetVerdict(), b.Connection.GetMessage()},
		})
	}
	if err := p.healthyDemo(r); err != nil {
		return err
	}
	if !ends {
		p.demoAccess(r)
	}
	return nil
}

// healthyDemo shows what everything looks like when it is healthy.
func (p Program) healthyDemo(r demo.Result) error {
	kind, err := kindArgument(resource.KindPeering)
	if err != nil {
		return err
	}
	objects := make([]resource.Object, 0, len(r.Peerings))
	for _, peering := range r.Peerings {
		objects = append(objects, peering)
	}
	p.printf("\nPeerings\n")
	if err := p.objectTable(kind, objects, false); err != nil {
		return err
	}
	if r.Members != nil {
		p.printf("\nMembers of the federation, as all its datacenters see them\n")
		if err := p.memberTable(r.Members); err != nil {
			return err
		}
		p.printf("\nWho reaches whose gateways\n")
		if err := p.reachabilityMatrix(r.Reachability.GetCells()); err != nil {
			return err
		}
	}
	p.printf("\nService discovery, asked of each Consul: /v1/health/service/SERVICE?…\n")
	var rows [][]string
	for _, d := range r.Discovered {
		rows = append(rows, []string{d.Datacenter, d.Service + d.From, d.Node, d.Address, d.Status})
	}
	if err := p.table([]string{"ASKED IN", "FOR", "NODE", "ADDRESS", "HEALTH"}, rows); err != nil {
		return err
	}
	p.printf("\nDoctor: everything that has an answer\n")
	if err := p.doctorTable(r.Doctor); err != nil {
		return err
	}
	if r.Explanation != nil {
		p.printf("\nExplain: the way of a call from one datacenter to another\n")
		p.explanation(r.Explanation)
	}
	p.printf("\nFrom apply to all healthy: %.1f s\n", r.Healthy.Seconds())
	return nil
}

// demoAccess says how to look at the demo.
func (p Program) demoAccess(r demo.Result) {
	explain := ""
	if r.Explanation != nil {
		explain = fmt.Sprintf("\n  isthmus explain %s %s", r.Explanation.GetSource(), r.Explanation.GetDestination())
	}
	p.printf(`
Dashboard: %[1]s
Log in with the API token that this prints: cat %[2]s

On the command line, or with REST:

  export ISTHMUS_ADDR=%[1]s ISTHMUS_TOKEN_FILE=%[2]s
  isthmus status
  isthmus doctor%[4]s
  curl -H "Authorization: Bearer $(cat %[2]s)" %[1]s/v1/peerings

Data and logs: %[3]s
Ctrl-C ends it all.
`, r.Address, r.TokenFile, r.Dir, explain)
}
