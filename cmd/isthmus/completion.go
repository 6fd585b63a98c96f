package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/resource"
)

// completionTimeout is how long somebody who pressed TAB is made to wait.
const completionTimeout = 2 * time.Second

// completer is cobra's type of a function that completes arguments.
type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeKindAndName completes KIND and then NAME... with the names that the server has.
func (c *connection) completeKindAndName(kinds []resource.Kind) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			var words []string
			for _, k := range kinds {
				words = append(words, k.Plural)
			}
			return withPrefix(words, toComplete), cobra.ShellCompDirectiveNoFileComp
		}
		kind, ok := resource.KindNamed(args[0])
		if !ok {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.names(cmd.Context(), kind, args[1:], toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeName completes the name of a resource of one kind, as the only argument or as a flag's value.
func (c *connection) completeName(kindName string) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		kind, ok := resource.KindNamed(kindName)
		if !ok || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.names(cmd.Context(), kind, nil, toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// names are those of a kind but the ones that stand in the command line already; none when the server does not answer.
func (c *connection) names(ctx context.Context, kind resource.Kind, used []string, toComplete string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	connected, err := c.client()
	if err != nil {
		return nil
	}
	var names []string
	for o, err := range connected.List(ctx, kind, client.ListOptions{}) {
		if err != nil {
			return nil
		}
		if !slices.Contains(used, o.GetName()) {
			names = append(names, o.GetName())
		}
	}
	return withPrefix(names, toComplete)
}

func withPrefix(words []string, prefix string) []string {
	var out []string
	for _, w := range words {
		if strings.HasPrefix(w, prefix) {
			out = append(out, w)
		}
	}
	return out
}
