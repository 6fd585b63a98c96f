package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell whether everything is healthy",
		Long: `Tell whether everything is healthy. What nobody knows counts as degraded.

Exit codes: 0 healthy, 2 degraded, 1 error (the server cannot be asked).`,
		Args: cobra.NoArgs,
	}
	form := outputFlag(cmd, formTable, formJSON)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		s, err := gatherStatus(ctx, c)
		if err != nil {
			return err
		}
		if form.value == formJSON {
			err = p.printStatusJSON(s)
		} else {
			err = p.printStatus(c, s)
		}
		if err == nil && !s.healthy() {
			return &exitStatus{code: exitDegraded}
		}
		return err
	})
	return cmd
}

// fleetStatus is what isthmus status found.
type fleetStatus struct {
	server *isthmusv1.ServerInfo
	kinds  []kindStatus
}

// kindStatus is how the resources of one kind are.
type kindStatus struct {
	kind  resource.Kind
	total int
	ready int
	// bad are those that are not ready.
	bad []badResource
}

type badResource struct {
	name string
	client.Readiness
}

func (s *fleetStatus) healthy() bool {
	for _, k := range s.kinds {
		if len(k.bad) > 0 {
			return false
		}
	}
	return true
}

// gatherStatus judges every resource of the kinds that can be well or not.
func gatherStatus(ctx context.Context, c *client.Client) (*fleetStatus, error) {
	info, err := c.Server(ctx)
	if err != nil {
		return nil, err
	}
	s := &fleetStatus{server: info}
	for _, kind := range resource.Kinds() {
		if !kind.Manifest {
			continue
		}
		k := kindStatus{kind: kind}
		for o, err := range c.List(ctx, kind, client.ListOptions{}) {
			if err != nil {
				return nil, err
			}
			k.total++
			if r := client.Judge(o); r.Ready {
				k.ready++
			} else {
				k.bad = append(k.bad, badResource{name: o.GetName(), Readiness: r})
			}
		}
		s.kinds = append(s.kinds, k)
	}
	return s, nil
}

// maxShownBad bounds how many resources of a kind are listed for people; JSON has all.
const maxShownBad = 20

func (p Program) printStatus(c *client.Client, s *fleetStatus) error {
	p.printf("Server %s at %s, index %d\n\n", s.server.GetVersion(), c.Address(), s.server.GetIndex())
	var rows [][]string
	for _, k := range s.kinds {
		rows = append(rows, []string{k.kind.Plural, fmt.Sprint(k.ready), fmt.Sprint(len(k.bad))})
	}
	if err := p.table([]string{"KIND", "HEALTHY", "NOT"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, k := range s.kinds {
		for i, bad := range k.bad {
			if i == maxShownBad {
				rows = append(rows, []string{k.kind.Name, "…", "", fmt.Sprintf("and %d more", len(k.bad)-i)})
				break
			}
			rows = append(rows, []string{k.kind.Name, bad.name, bad.State, bad.Message})
		}
	}
	verdict := "healthy"
	if len(rows) > 0 {
		verdict = "degraded"
		p.printf("\n")
		if err := p.table([]string{"KIND", "NAME", "STATE", "WHY"}, rows); err != nil {
			return err
		}
	}
	if p.colourful(p.Out) {
		verdict = paint(verdict)
	}
	return p.write([]byte("\nThe fleet is " + verdict + ".\n"))
}

// printStatusJSON writes the same for programs, with everything that is degraded.
func (p Program) printStatusJSON(s *fleetStatus) error {
	type count struct {
		Total   int `json:"total"`
		Healthy int `json:"healthy"`
	}
	type degraded struct {
		Kind    string `json:"kind"`
		Name    string `json:"name"`
		State   string `json:"state"`
		Message string `json:"message"`
	}
	out := struct {
		Healthy  bool             `json:"healthy"`
		Version  string           `json:"version"`
		Index    uint64           `json:"index"`
		Kinds    map[string]count `json:"kinds"`
		Degraded []degraded       `json:"degraded"`
	}{
		Healthy: s.healthy(), Version: s.server.GetVersion(), Index: s.server.GetIndex(),
		Kinds: map[string]count{}, Degraded: []degraded{},
	}
	for _, k := range s.kinds {
		out.Kinds[k.kind.Plural] = count{Total: k.total, Healthy: k.ready}
		for _, bad := range k.bad {
			out.Degraded = append(out.Degraded, degraded{Kind: k.kind.Name, Name: bad.name, State: bad.State, Message: bad.Message})
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "show the status")
	}
	return p.writeIndented(raw)
}
