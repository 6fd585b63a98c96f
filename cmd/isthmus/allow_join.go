package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/agent"
	"isthmus/fault"
	"isthmus/resource"
)

// flagAllowJoin is a flag that may stand without a value: its value needs the equals sign.
const flagAllowJoin = "allow-join"

// primariesFlag is the value of that flag: names of primaries, or agent.AnyPrimary. In a settings file or the environment true and false are any
// and none.
type primariesFlag struct{ names *[]string }

// String implements pflag.Value.
func (p primariesFlag) String() string {
	if p.names == nil {
		return ""
	}
	return strings.Join(*p.names, ",")
}

// Set implements pflag.Value: names are added.
func (p primariesFlag) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		if err := p.Append(name); err != nil {
			return err
		}
	}
	return nil
}

// Type implements pflag.Value.
func (primariesFlag) Type() string { return "primary" }

// Append implements pflag.SliceValue.
func (p primariesFlag) Append(name string) error {
	switch {
	case name == "false":
		return nil
	case name == "true":
		name = agent.AnyPrimary
	case name != agent.AnyPrimary && !resource.ValidName(name):
		return fmt.Errorf("%q is no name of a datacenter", name)
	}
	if !slices.Contains(*p.names, name) {
		*p.names = append(*p.names, name)
	}
	return nil
}

// Replace implements pflag.SliceValue.
func (p primariesFlag) Replace(names []string) error {
	*p.names = nil
	var problems []error
	for _, name := range names {
		problems = append(problems, p.Append(name))
	}
	return errors.Join(problems...)
}

// GetSlice implements pflag.SliceValue.
func (p primariesFlag) GetSlice() []string { return *p.names }

// noArgument is cobra.NoArgs for a command with that flag: a name behind a blank is an argument, and not its value.
func noArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && cmd.Flags().Changed(flagAllowJoin) && resource.ValidName(args[0]) {
		return fault.New(fault.Invalid, "%s takes no argument %s: a primary is named with an equals sign, --%s=%s", cmd.CommandPath(), args[0], flagAllowJoin, args[0])
	}
	return cobra.NoArgs(cmd, args) //nolint:wrapcheck // it says all
}
