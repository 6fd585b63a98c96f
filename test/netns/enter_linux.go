package netns

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// enter moves this thread into a namespace.
func enter(name string) error {
	file, err := os.Open(filepath.Join(nameDir, name))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	return unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
}
