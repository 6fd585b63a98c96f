//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"syscall"

	"isthmus/fault"
)

// lockDir makes sure that one agent works in a data directory: two would share one identity. The lock goes with the
// process, however it ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, fileLock)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "opening %s", path)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fault.Wrap(fault.Refused, err, "another agent works in %s", dir)
	}
	return f, nil
}
