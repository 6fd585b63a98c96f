package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func (p Program) eventsCommand() *cobra.Command {
	e := eventReader{program: p}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show the audit log: who did what, and what changed by itself",
		Example: `  isthmus events -f
  isthmus events --kind peering --target demo-dc1-dc2 --last 0
  isthmus events --actor api-token/admin --action delete -o json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVarP(&e.follow, "follow", "f", false, "go on and show new events")
	cmd.Flags().StringVar(&e.kind, "kind", "", "only events of resources of this kind")
	cmd.Flags().StringVar(&e.target, "target", "", "only events of the resource of this name")
	cmd.Flags().StringVar(&e.actor, "actor", "", "only what this one did: api-token/NAME, agent/NAME or controller")
	cmd.Flags().StringVar(&e.action, "action", "", "only this: create, update, delete, transition, drift, …")
	cmd.Flags().IntVar(&e.last, "last", 50, "how many of the newest events; 0: all")
	e.form = outputFlag(cmd, formTable, formJSON)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(e.run)
	return cmd
}

// eventReader is isthmus events.
type eventReader struct {
	program       Program
	follow        bool
	kind, target  string
	actor, action string
	last          int
	form          *choice
	columns       widths
}

func (e *eventReader) run(ctx context.Context, c *client.Client, _ []string) error {
	options := client.EventOptions{Target: e.target, Actor: e.actor, Action: e.action, Last: e.last}
	if e.kind != "" {
		kind, err := kindArgument(e.kind)
		if err != nil {
			return err
		}
		options.Kind = kind.Name
	}
	events, err := c.Events(ctx, options)
	if err != nil {
		return err
	}
	if e.form.value == formJSON && !e.follow {
		return printJSONArray(e.program, events)
	}
	if len(events) == 0 && !e.follow {
		e.program.note("No events.")
		return nil
	}
	if err := e.show(events, true); err != nil || !e.follow {
		return err
	}
	// What is older than the newest event shown is not shown again; an empty log is followed from its beginning.
	after := ""
	if len(events) > 0 {
		after = events[len(events)-1].GetName()
	}
	for events, err := range c.FollowEvents(ctx, options, after) {
		if err != nil {
			if !client.Retriable(err) {
				return err
			}
			e.program.note("%s; trying again", explain(err))
			continue
		}
		if err := e.show(events, false); err != nil {
			return err
		}
	}
	return nil
}

// show writes events as a table, or in JSON as one object on each line.
func (e *eventReader) show(events []*isthmusv1.Event, first bool) error {
	if e.form.value != formJSON {
		if len(events) == 0 && !first {
			return nil
		}
		return e.program.eventTable(&e.columns, events, first)
	}
	for _, event := range events {
		raw, err := messageJSON(event, true)
		if err != nil {
			return err
		}
		if err := e.program.write(append(raw, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (p Program) eventTable(columns *widths, events []*isthmusv1.Event, withHeader bool) error {
	var rows [][]string
	for _, event := range events {
		spec := event.GetSpec()
		rows = append(rows, []string{
			event.GetCreateTime().AsTime().UTC().Format(time.RFC3339), dash(spec.GetActor()), spec.GetAction(),
			dash(spec.GetKind()), dash(spec.GetTarget()), dash(spec.GetMessage()),
		})
	}
	var header []string
	if withHeader {
		header = []string{"TIME", "ACTOR", "ACTION", "KIND", "NAME", "MESSAGE"}
	}
	return p.grow(columns, header, rows)
}
