package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/fault"
	"isthmus/server"
	"isthmus/store"
	"isthmus/store/postgres"
	"isthmus/store/sqlite"
)

func (p Program) storeCommand() *cobra.Command {
	return group("store", "Things to do to a server's database", p.storeRestoredCommand())
}

func (p Program) storeRestoredCommand() *cobra.Command {
	var config server.Config
	flags := pflag.NewFlagSet("store restored", pflag.ContinueOnError)
	flags.StringVar(&config.DataDir, "data-dir", "", "directory of the SQLite database (default $XDG_DATA_HOME/isthmus/server)")
	flags.StringVar(&config.Store, "store", "", "PostgreSQL URL, postgres://…; without it, SQLite in the data directory")
	documentEnvironment(flags)
	cmd := &cobra.Command{
		Use:   "restored",
		Short: "Tell a database that it was restored from a backup",
		Long: `Renew the epoch of a database that was restored from a backup, before any server starts on it. Agents then know that what they
have may be newer than what the server wants, and hold removals back until isthmus datacenter confirm.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().AddFlagSet(flags)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := p.settle(flags); err != nil {
			return err
		}
		if err := config.Validate(); err != nil {
			return err
		}
		database, err := p.openDatabase(cmd.Context(), config)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, database.Close()) }()
		revision, err := database.Restored(cmd.Context())
		if err != nil {
			return err
		}
		p.printf("New epoch %s at index %d. Start the servers now.\n", revision.Epoch, revision.Index)
		return nil
	}
	return cmd
}

// openDatabase opens a database that is there: to make a new one here would hide that the path is wrong.
func (p Program) openDatabase(ctx context.Context, config server.Config) (store.Keeper, error) {
	log := hclog.NewNullLogger()
	if config.Store != "" {
		return postgres.Open(ctx, config.Store, log)
	}
	dir := config.DataDir
	if dir == "" {
		var err error
		if dir, err = p.dataDir("server"); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, sqlite.File)); err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "there is no database of isthmus in %s", dir)
	}
	return sqlite.Open(ctx, dir, log)
}
