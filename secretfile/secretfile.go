// Package secretfile keeps secrets in files: for the owner only, and never half-written.
//
// Owns: how a secret gets to disk and back. Does not own: what is in it (identity, server, agent).
package secretfile

import (
	"crypto/rand"
	"errors"
	"fmt"
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
)

// Write puts data into a file that only its owner may read. A crash leaves the file as it was or as it shall be: the data
// is on disk under another name before it takes this one. Missing directories are made, for the owner only.
func Write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("making the directory of %s: %w", path, err)
	}
	// CreateTemp makes it 0600.
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
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
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncDir(dir)
}

// Create is Write for a file that must not be there yet: an AlreadyExists fault when it is. Two that create at once: one wins.
func Create(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return fmt.Errorf("making the directory of %s: %w", path, err)
	}
	temp := path + ".new-" + rand.Text()
	if err := Write(temp, data); err != nil {
		return err
	}
	// A link, unlike a rename, fails when the name is taken.
	err := os.Link(temp, path)
	if errors.Is(err, fs.ErrExist) {
		err = fault.Wrap(fault.AlreadyExists, err, "%s is there already, and is not overwritten", path)
	}
	return errors.Join(err, ignoreGone(os.Remove(temp)), syncDir(filepath.Dir(path)))
}

// Read reads a secret, and refuses one that others may read as well: a Refused fault that says how to mend it. A missing
// file is fs.ErrNotExist.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	if mode := info.Mode().Perm(); mode&others != 0 && runtime.GOOS != "windows" {
		return nil, fault.New(fault.Refused, "%s can be read by others (mode %04o): chmod 600 it, and replace what is in it "+
			"if others had access", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	return data, nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
