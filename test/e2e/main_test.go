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
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "isthmus/cmd/isthmus")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building isthmus: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
