package bench_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// childEnv, in the environment of this test's binary, makes it a process that puts load on others: clients are not measured
// together with a server, and not with the benchmark. Its value is the name of the work.
const childEnv = "ISTHMUS_BENCH_CHILD"

// runChild does the work of a child: a task for each line of JSON on its input, and a line of JSON with what came of it on its output.
func runChild(work string) int {
	var err error
	switch work {
	case "writes":
		err = serve(new(writers).run)
	case "watchers":
		err = serve(new(watchers).run)
	case "empty":
		err = serve(emptyCall{}.serve)
	case "floor":
		err = serve(new(floor).serve)
	default:
		err = fmt.Errorf("no work is called %q", work)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, work+":", err)
		return 1
	}
	return 0
}

// serve answers tasks until there are no more.
func serve[Task, Result any](do func(Task) (Result, error)) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var task Task
		if err := in.Decode(&task); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result, err := do(task)
		if err != nil {
			return err
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
}

// child is such a process, with the connections that its tasks have made.
type child struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *json.Decoder
}

// startChild starts one. It ends with the benchmark.
func startChild(b *testing.B, work string) *child {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	cmd := exec.Command(self) //nolint:noctx // the cleanup ends it: its input ends
	cmd.Env = append(os.Environ(), childEnv+"="+work)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		must(b, in.Close())
		must(b, cmd.Wait())
	})
	return &child{cmd: cmd, in: json.NewEncoder(in), out: json.NewDecoder(out)}
}

// do gives the child a task, and waits for what comes of it.
func do[Result, Task any](b *testing.B, c *child, task Task) (result Result) {
	b.Helper()
	must(b, c.in.Encode(task))
	must(b, c.out.Decode(&result))
	return result
}
