package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// describedEvents is how many of a resource's newest events are shown with it.
const describedEvents = 10

func (p Program) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe KIND NAME",
		Short:   "Show all about one resource: spec, status, evidence and events",
		Example: `  isthmus describe peering demo-dc1-dc2`,
		Args:    cobra.ExactArgs(2),
	}
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeKindAndName(resource.Kinds())
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		kind, err := kindArgument(args[0])
		if err != nil {
			return err
		}
		o, err := c.Get(ctx, kind, args[1])
		if err != nil {
			return err
		}
		events, err := c.Events(ctx, client.EventOptions{Kind: kind.Name, Target: o.GetName(), Last: describedEvents})
		if err != nil && fault.CodeOf(err) != fault.Denied {
			return err
		}
		row, err := connectionOf(ctx, c, o)
		if err != nil {
			return err
		}
		return p.describe(kind, o, row, events)
	})
	return cmd
}

// describe shows all about one resource; row is the verdict on a peering with its evidence, nil for anything else.
func (p Program) describe(kind resource.Kind, o resource.Object, row *isthmusv1.Connection, events []*isthmusv1.Event) error {
	p.printf("%s %s\n\n", kind.Name, o.GetName())
	p.describeMetadata(o)
	status := proto.Clone(resource.Status(o))
	sections := []func() error{
		func() error { return p.section("Spec", resource.Spec(o)) },
		func() error { return p.describePeering(o, row) },
		func() error { return p.describeFederation(o) },
		func() error { return p.describeRemoval(o) },
		func() error { return p.describePolicy(o) },
		func() error { return p.section("Status", withoutTables(status)) },
		func() error { return p.describeConditions(resource.Status(o)) },
		func() error { return p.describeEvents(events) },
	}
	for _, section := range sections {
		if err := section(); err != nil {
			return err
		}
	}
	return nil
}

func (p Program) describeMetadata(o resource.Object) {
	row := func(title, value string) { p.printf("%-12s %s\n", title+":", value) }
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(o.GetLabels())) {
		labels = append(labels, key+"="+o.GetLabels()[key])
	}
	if len(labels) > 0 {
		row("Labels", strings.Join(labels, ", "))
	}
	row("UID", o.GetUid())
	row("Generation", fmt.Sprint(o.GetGeneration()))
	row("Index", fmt.Sprint(o.GetIndex()))
	row("Created", p.when(o.GetCreateTime()))
	row("Updated", p.when(o.GetUpdateTime()))
	if o.GetDeleteTime() != nil {
		row("Deleting", "since "+p.when(o.GetDeleteTime()))
	}
}

// when is a time as it is written in JSON, and how long ago that is.
func (p Program) when(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	at := t.AsTime().UTC()
	age := p.Now().Sub(at).Round(time.Second)
	if age < 0 {
		return fmt.Sprintf("%s (in %s)", at.Format(time.RFC3339), -age)
	}
	return fmt.Sprintf("%s (%s ago)", at.Format(time.RFC3339), age)
}

// section writes a message as YAML under a title; an empty one is left out.
func (p Program) section(title string, m proto.Message) error {
	text, err := messageYAML(m, 2)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	p.printf("\n%s:\n", title)
	return p.write(text)
}

// withoutTables takes out of a status what is shown in tables.
func withoutTables(status proto.Message) proto.Message {
	clearField := func(m protoreflect.Message, name protoreflect.Name) {
		if field := m.Descriptor().Fields().ByName(name); field != nil && m.IsValid() {
			m.Clear(field)
		}
	}
	clearField(status.ProtoReflect(), "conditions")
	if federation, ok := status.(*isthmusv1.FederationStatus); ok && federation != nil {
		federation.Members, federation.Checks = nil, nil
	}
	if policy, ok := status.(*isthmusv1.PolicyStatus); ok && policy != nil {
		policy.Placements, policy.Problems = nil, nil
	}
	if datacenter, ok := status.(*isthmusv1.DatacenterStatus); ok && datacenter != nil {
		datacenter.Removal = nil
	}
	if peering, ok := status.(*isthmusv1.PeeringStatus); ok && peering != nil {
		peering.Acceptor, peering.Dialer = nil, nil
		if peering.Token != nil {
			peering.Token.Ledger = nil
		}
	}
	return status
}

func (p Program) describeConditions(status proto.Message) error {
	conditions := conditionsOf(status)
	if len(conditions) == 0 {
		return nil
	}
	var rows [][]string
	for _, c := range conditions {
		rows = append(rows, []string{c.GetType(), c.GetStatus(), c.GetReason(), p.when(c.GetLastTransitionTime()), c.GetMessage()})
	}
	return p.titledTable("Conditions", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, rows)
}

func conditionsOf(status proto.Message) []*isthmusv1.Condition {
	conditioned, ok := status.(interface {
		GetConditions() []*isthmusv1.Condition
	})
	if !ok {
		return nil
	}
	return conditioned.GetConditions()
}

func (p Program) titledTable(title string, header []string, rows [][]string) error {
	p.printf("\n%s:\n", title)
	return p.table(header, rows)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (p Program) describeEvents(events []*isthmusv1.Event) error {
	if len(events) == 0 {
		return nil
	}
	p.printf("\nEvents:\n")
	return p.eventTable(new(widths), events, true)
}
