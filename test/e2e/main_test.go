package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sync/semaphore"
)

// atOnce is how many Consul servers run at once: six are comfortable on two cores, since stories wait, mostly.
const atOnce = 6

// consuls bounds them.
var consuls = semaphore.NewWeighted(atOnce)

// version is what the isthmus of the tests calls itself.
const version = "v0.9.0"

// binary is the isthmus that all tests run. It is built once, before them.
var binary string

func TestMain(m *testing.M) {
	// What bounds the stories is their Consul servers, and not the processors.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "isthmus-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the system's directory for such harms nobody
	binary = filepath.Join(dir, "isthmus")
	if err := build(context.Background(), binary, version); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer chromium.Close()
	return m.Run()
}

// build makes an isthmus of a version.
func build(ctx context.Context, to, version string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X main.version="+version, "-o", to, "isthmus/cmd/isthmus")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building isthmus %s: %w\n%s", version, err, out)
	}
	return nil
}
