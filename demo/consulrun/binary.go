package consulrun

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"isthmus/fault"
)

// EnvBinary names a Consul to use instead of any other.
const EnvBinary = "ISTHMUS_CONSUL_BIN"

// pinned is the tool cache's folder of the pinned Consul: the first 16 hex digits of the SHA-256 over tools/consul/go.mod
// and go.sum. A test compares it with these files.
const pinned = "c3365d481a4246cc"

// Binary finds a consul to run: the one that ISTHMUS_CONSUL_BIN names, the one on PATH, or the pinned one that `make
// consul` builds into the tool cache. NotFound tells what to do.
func Binary(_ context.Context) (string, error) {
	if named := os.Getenv(EnvBinary); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fault.Wrap(fault.NotFound, err, "%s names %s, which is not a program that can be run", EnvBinary, named)
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("consul"); err == nil {
		return filepath.Abs(path)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(filepath.Join(cache, "isthmus", pinned, "consul"))
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err,
			"no consul was found: run `make consul` (about five minutes, once per machine), put a consul on PATH, or name one in %s", EnvBinary)
	}
	return path, nil
}

// cacheDir is the one that make uses, on every platform.
func cacheDir() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "no home directory to find the tool cache in; name a consul in %s", EnvBinary)
	}
	return filepath.Join(home, ".cache"), nil
}
