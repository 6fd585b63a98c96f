//go:build unix

package delivery

import (
	"os"
	"path/filepath"
	"syscall"

	"isthmus/fault"
)

// ownMode is of every file here.
const ownMode = 0o600

// own makes a file readable for whom it is: whoever owns its directory, as Consul under a user of its own. Only root can give files
// away; another agent runs as Consul's own user.
func own(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "looking at %s", path)
	}
	if info.Mode().Perm() != ownMode {
		if err := os.Chmod(path, ownMode); err != nil {
			return fault.Wrap(fault.Internal, err, "closing %s to others", path)
		}
	}
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "looking at the directory of %s", path)
	}
	want, ok := dir.Sys().(*syscall.Stat_t)
	is, known := info.Sys().(*syscall.Stat_t)
	if !ok || !known || want.Uid == is.Uid && want.Gid == is.Gid {
		return nil
	}
	if err := os.Lchown(path, int(want.Uid), int(want.Gid)); err != nil {
		return fault.Wrap(fault.Internal, err, "giving %s to the owner of its directory", path)
	}
	return nil
}
