// Package secretfile keeps secrets in files: for the owner only, and never half-written.
//
// Owns: how a secret gets to disk and back. Does not own: what is in it (identity, server, agent).
//
// Errors are *fault.Error. Start reading at Write and Read.
package secretfile

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"isthmus/fault"
)

// Permissions of secrets and of the directories that are made for them.
const (
	fileMode = 0o600
	dirMode  = 0o700
	// others is every permission of group and world.
	others = 0o077
	// maxSize is far beyond any key, token or certificate; it keeps a wrong path (a disk image, a device) out of memory.
	maxSize = 16 << 20
)

// Write puts data into a file that only its owner may read. A crash leaves the file as it was or as it shall be: the data
// is on disk under another name before it takes this one. Missing directories are made, for the owner only.
func Write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fault.Wrap(fault.Internal, err, "making the directory of %s", path)
	}
	// CreateTemp makes it 0600.
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreGone(os.Remove(temp.Name())))
		}
	}()
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	return syncDir(dir)
}

// Create is Write for a file that must not be there yet: an AlreadyExists fault when it is. Two that create at once: one wins.
func Create(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return fault.Wrap(fault.Internal, err, "making the directory of %s", path)
	}
	temp := path + ".new-" + rand.Text()
	if err := Write(temp, data); err != nil {
		return err
	}
	return errors.Join(place(temp, path), ignoreGone(os.Remove(temp)), syncDir(filepath.Dir(path)))
}

// place gives a file a name that must be free.
func place(temp, path string) error {
	// A link, unlike a rename, fails when the name is taken.
	err := os.Link(temp, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		// Some file systems of volumes (SMB, FAT) have no links: there, two that create at once are not told apart.
		if _, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(temp, path)
		} else if err == nil {
			err = fs.ErrExist
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return fault.Wrap(fault.AlreadyExists, err, "%s is there already, and is not overwritten", path)
	case err != nil:
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	return nil
}

// Read reads a secret, and refuses one that others may read as well: a Refused fault that says how to mend it. A missing
// file is a NotFound fault, and fs.ErrNotExist.
func Read(path string) (_ []byte, err error) {
	// What is checked is what is read: the open file, not its name.
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.NotFound, err, "there is no file %s", path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading %s", path)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading %s", path)
	}
	// A pipe is welcome: --fleet-key <(pass show fleet).
	if info.IsDir() {
		return nil, fault.New(fault.Refused, "%s is a directory, not a file", path)
	}
	if mode := info.Mode().Perm(); mode&others != 0 && runtime.GOOS != "windows" {
		return nil, fault.New(fault.Refused, "%s can be read or changed by others (mode %04o): chmod 600 it, and replace what is "+
			"in it if others had access", path, mode)
	}
	if info.Size() > maxSize {
		return nil, fault.New(fault.TooLarge, "%s is too large for a secret: %d bytes", path, info.Size())
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSize))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading %s", path)
	}
	return data, nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "syncing %s", dir)
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
