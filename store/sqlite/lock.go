package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isthmus/fault"
)

// lockDirectory keeps a second server out of a data directory. The kernel gives the lock back when the process ends,
// however it ends; the file stays and holds the last holder's process id, for people.
func lockDirectory(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "opening %s", path)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // only makes the message better
		err = errors.Join(err, f.Close())
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.Wrap(fault.Refused, err, "the data directory %s is in use by another isthmus (process %s): stop it, or use another directory",
				dir, strings.TrimSpace(string(holder)))
		}
		return nil, fault.Wrap(fault.Unavailable, err, "locking %s", path)
	}
	if err := f.Truncate(0); err != nil {
		return nil, fault.Wrap(fault.Unavailable, errors.Join(err, f.Close()), "writing %s", path)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, fault.Wrap(fault.Unavailable, errors.Join(err, f.Close()), "writing %s", path)
	}
	return f, nil
}
