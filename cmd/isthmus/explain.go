package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Verdicts of an Explanation that have an exit code of their own.
const (
	verdictAllowed = "allowed"
	verdictUnknown = "unknown"
)

// The arrow between the two services, and how a keyboard writes it.
const (
	arrow      = "→"
	typedArrow = "->"
)

func (p Program) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain SOURCE [->] DESTINATION",
		Short: "Walk the way of a call from one service to another, and say what of it holds",
		Long: `Walk the way of a call from one service to another: whether both are registered, healthy and in the mesh; how their datacenters are
connected, and how well; whether the service is exported; where calls of it go; whether intentions allow the call, and which one decides;
the gateways on the way; the name on the wire; the certificates of both ends. Each hop comes with its evidence and how old that is, and
the first one that fails with its fix. See docs/explain.md.

Services are named as service@datacenter or namespace/service@datacenter. The arrow may be left out. A shell takes > for itself: with an
arrow, quote it ('web@dc1 -> api@dc9'), or write → .

Exit codes: 0 allowed; 2 denied, or broken; 3 nobody knows, mostly since an agent is silent; 1 it could not be asked.`,
		Example: `  isthmus explain web@dc1 api@dc9
  isthmus explain 'web@dc1 -> api@dc9'
  isthmus explain web@dc1 → api@dc9 -o json`,
		Args: cobra.MinimumNArgs(1),
	}
	form := outputFlag(cmd, formTable, formJSON, formYAML)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeService()
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		source, destination, err := bothEnds(args)
		if err != nil {
			return err
		}
		answer, err := c.Explain(ctx, source, destination)
		if err != nil {
			return err
		}
		switch form.value {
		case formJSON:
			err = p.printJSON(answer)
		case formYAML:
			err = printYAML(p, answer)
		default:
			p.explanation(answer)
		}
		if err != nil {
			return err
		}
		switch answer.GetVerdict() {
		case verdictAllowed:
			return nil
		case verdictUnknown:
			return &exitStatus{code: exitUnknown}
		}
		return &exitStatus{code: exitDegraded}
	})
	return cmd
}

// arrowed lets -> through as an argument of its own, which would be a flag otherwise.
func arrowed(args []string) []string {
	if !slices.Contains(args, "explain") || !slices.Contains(args, typedArrow) {
		return args
	}
	out := slices.Clone(args)
	for i, arg := range out {
		if arg == typedArrow {
			out[i] = arrow
		}
	}
	return out
}

// bothEnds are the two services out of the arguments, with or without an arrow, in one argument or several.
func bothEnds(args []string) (source, destination string, err error) {
	if args[len(args)-1] == "-" {
		return "", "", fault.New(fault.Invalid, "the shell took what comes after > for a file, and has made it: remove it, and quote the arrow "+
			"('web@dc1 -> api@dc9') or leave it out")
	}
	text := strings.NewReplacer(typedArrow, " ", arrow, " ").Replace(strings.Join(args, " "))
	ends := strings.Fields(text)
	if len(ends) != 2 {
		return "", "", fault.New(fault.Invalid, "%d services are named: expected two, as in isthmus explain web@dc1 api@dc9", len(ends))
	}
	return ends[0], ends[1], nil
}

// completeService completes the datacenter after service@.
func (c *connection) completeService() completer {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		kind, ok := resource.KindNamed(resource.KindDatacenter)
		service, datacenter, at := strings.Cut(toComplete, "@")
		if !ok || !at {
			return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		var out []string
		for _, name := range c.names(cmd.Context(), kind, nil, datacenter) {
			out = append(out, service+"@"+name)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// signs are what a hop's line begins with, by its verdict.
func signs() map[string]string {
	return map[string]string{resource.CheckPass: "✓", resource.CheckFail: "✗", resource.CheckUnknown: "?"}
}

// explanation shows a line for each hop, its evidence below it, and the fix at the end.
func (p Program) explanation(e *isthmusv1.Explanation) {
	p.printf("%s %s %s: %s\n\n", e.GetSource(), arrow, e.GetDestination(), e.GetVerdict())
	for _, h := range e.GetHops() {
		sign, ok := signs()[h.GetVerdict()]
		if !ok {
			sign = "·"
		}
		p.printf("%s %-11s  %s\n", sign, h.GetId(), plainCell(h.GetMessage()))
		for _, line := range h.GetEvidence() {
			p.printf("               %s\n", plainCell(line))
		}
	}
	if e.GetVerdict() == verdictAllowed {
		return
	}
	p.printf("\n%s\n", plainCell(e.GetMessage()))
	if e.GetFix() != "" {
		p.printf("Fix: %s\n", plainCell(e.GetFix()))
	}
}
