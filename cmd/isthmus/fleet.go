package main

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/fault"
	"isthmus/identity"
)

func (p Program) fleetCommand() *cobra.Command {
	return group("fleet", "The fleet key, which all trust between agents goes back to", p.fleetInitCommand(), p.fleetShowCommand())
}

// fleetKeyFlag is the flag that names the fleet key's file.
type fleetKeyFlag struct {
	program Program
	flags   *pflag.FlagSet
	path    string
}

func (p Program) fleetKeyFlag(cmd *cobra.Command) *fleetKeyFlag {
	f := &fleetKeyFlag{program: p, flags: pflag.NewFlagSet("fleet key", pflag.ContinueOnError)}
	f.flags.StringVar(&f.path, "fleet-key", "", "file with the fleet key (default isthmus/fleet.key below $XDG_CONFIG_HOME or ~/.config)")
	documentEnvironment(f.flags)
	cmd.Flags().AddFlagSet(f.flags)
	return f
}

// file is the file that flag, environment or default name.
func (f *fleetKeyFlag) file() (string, error) {
	if err := f.program.settle(f.flags); err != nil {
		return "", err
	}
	if f.path != "" {
		return f.path, nil
	}
	base, _ := f.program.Env("XDG_CONFIG_HOME")
	if base == "" {
		home, ok := f.program.Env("HOME")
		if !ok || home == "" {
			return "", fault.New(fault.Invalid, "there is no home directory: name the fleet key with --fleet-key")
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "isthmus", "fleet.key"), nil
}

// load reads the fleet key.
func (f *fleetKeyFlag) load() (*identity.FleetKey, error) {
	path, err := f.file()
	if err != nil {
		return nil, err
	}
	fleet, err := identity.LoadFleetKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no fleet key in %s: make one with isthmus fleet init, or name it with --fleet-key", path)
	}
	return fleet, err
}

func (p Program) fleetInitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a fleet key",
		Long: `Make a fleet key: the root of all trust between agents. It stays with the operator and is never given to a server. Whoever has
it can have agents trust any key; without it, no further agent can be trusted. Keep a copy in a safe place.`,
		Args: cobra.NoArgs,
	}
	key := p.fleetKeyFlag(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(*cobra.Command, []string) error {
		path, err := key.file()
		if err != nil {
			return err
		}
		fleet, err := identity.NewFleetKey()
		if err != nil {
			return err
		}
		err = fleet.Save(path)
		if fault.CodeOf(err) == fault.AlreadyExists {
			return fault.New(fault.AlreadyExists, "%s is there already: a fleet has one key, and agents that know it trust no other", path)
		}
		if err != nil {
			return err
		}
		p.showFleetKey(fleet, path)
		p.note("Keep a copy in a safe place, and never on a server.")
		return nil
	}
	return cmd
}

func (p Program) fleetShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show which fleet key this is, never the key itself",
		Args:  cobra.NoArgs,
	}
	key := p.fleetKeyFlag(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(*cobra.Command, []string) error {
		fleet, err := key.load()
		if err != nil {
			return err
		}
		p.showFleetKey(fleet, key.path)
		return nil
	}
	return cmd
}

func (p Program) showFleetKey(fleet *identity.FleetKey, path string) {
	p.printf("Fleet:      %s\nPublic key: %s\n", fleet.ID(), base64.StdEncoding.EncodeToString(fleet.Public()))
	if path != "" {
		p.printf("File:       %s\n", path)
	}
}
