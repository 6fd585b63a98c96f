package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) servicesCommand() *cobra.Command {
	var datacenter string
	cmd := &cobra.Command{
		Use:   "services [PART-OF-A-NAME]",
		Short: "Find services in all datacenters, or show those of one",
		Long: `Show where each service runs, who imports it from a peer, and who sees it: the datacenters that it is exported to, and those of the same
federation. CURRENT is no where the datacenter's agent is silent or does not see its Consul: it is the last that it saw.

With --datacenter alone, show what that datacenter has and imports.`,
		Example: `  isthmus services
  isthmus services api
  isthmus services --datacenter dc2`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&datacenter, "datacenter", "", "only what this datacenter has or sees")
	form := outputFlag(cmd, formTable, formJSON, formYAML)
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		if datacenter == "" || len(args) > 0 {
			return p.fleetServices(ctx, c, strings.Join(args, ""), datacenter, form.value)
		}
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

// fleetServices shows the services whose names have a part, in all datacenters, or those that one has or sees.
func (p Program) fleetServices(ctx context.Context, c *client.Client, part, datacenter, form string) error {
	found, err := c.FleetServices(ctx, part, datacenter)
	if err != nil {
		return err
	}
	switch form {
	case formJSON:
		return printJSONArray(p, found)
	case formYAML:
		return printYAML(p, &isthmusv1.ListServicesResponse{Services: found, Total: int32(len(found))})
	}
	if len(found) == 0 {
		p.note("No services.")
		return nil
	}
	var rows [][]string
	for _, s := range found {
		for _, place := range s.GetPlaces() {
			current := "yes"
			if !place.GetCurrent() {
				current = "no"
			}
			rows = append(rows, []string{
				s.GetName(), place.GetDatacenter(), cmp.Or(place.GetPeer(), "-"), fmt.Sprint(place.GetInstances()), fmt.Sprint(place.GetHealthy()),
				viewers(place), current,
			})
		}
	}
	return p.table([]string{"SERVICE", "DATACENTER", "PEER", "INSTANCES", "HEALTHY", "SEEN BY", "CURRENT"}, rows)
}

// viewers are the other datacenters that see a service in one place, the first of them by name.
func viewers(place *isthmusv1.ServicePlace) string {
	const named = 5
	names := slices.Concat(place.GetExportedTo(), place.GetFederatedTo())
	slices.Sort(names)
	names = slices.Compact(names)
	text := strings.Join(names[:min(len(names), named)], ",")
	if more := len(names) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return cmp.Or(text, "-")
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
