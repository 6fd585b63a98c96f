package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: see the Makefile.
var version = ""

// versionOf is the version that this program was built as: what the linker was told, else what the Go tool knows.
func versionOf() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

func (p Program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print this program's version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p.printf("isthmus %s %s/%s %s\n", versionOf(), runtime.GOOS, runtime.GOARCH, runtime.Version())
			return nil
		},
	}
}
