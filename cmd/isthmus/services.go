package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) servicesCommand() *cobra.Command {
	var datacenter string
	cmd := &cobra.Command{
		Use:     "services --datacenter NAME",
		Short:   "Show a datacenter's services, those imported from peers included",
		Example: `  isthmus services --datacenter dc2`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&datacenter, "datacenter", "", "the datacenter")
	form := outputFlag(cmd, formTable, formJSON, formYAML)
	required(cmd, "datacenter")
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		answer, err := c.Services(ctx, datacenter)
		if err != nil {
			return err
		}
		switch form.value {
		case formJSON:
			return printJSONArray(p, answer.GetServices())
		case formYAML:
			return printYAML(p, answer)
		}
		return p.serviceTable(answer)
	})
	return cmd
}

func (p Program) serviceTable(answer *isthmusv1.ListDatacenterServicesResponse) error {
	if answer.GetObserveTime() == nil {
		p.note("Its agent has not reported services yet.")
		return nil
	}
	if len(answer.GetServices()) == 0 {
		p.note("No services, seen %s.", p.when(answer.GetObserveTime()))
		return nil
	}
	var rows [][]string
	for _, s := range answer.GetServices() {
		rows = append(rows, []string{s.GetName(), cmp.Or(s.GetPeer(), "-"), fmt.Sprint(s.GetInstances()), fmt.Sprint(s.GetHealthy())})
	}
	return p.table([]string{"SERVICE", "PEER", "INSTANCES", "HEALTHY"}, rows)
}
