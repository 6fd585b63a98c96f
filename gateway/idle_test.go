package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"isthmus/gateway"
)

// Thousands of idle connections, each of which has carried bulk before or is about to, cost two descriptors each and no more, and
// still work. Both ends are in this process: together four descriptors each.
func TestIdleConnectionsCostTwoDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	const connections, busy, bulk = 2000, 20, 1 << 20
	hello := string(clientHello(t, tls13(name)))
	var accepted atomic.Int64
	address := upstream(t, func(conn *net.TCPConn) {
		accepted.Add(1)
		echo(conn)
	})
	g := start(t, gateway.Config{}, table(t, name+"="+address))
	before := descriptors(t)
	open := make([]*net.TCPConn, connections)
	for i := range open {
		open[i] = dial(t, g.Addr())
		roundTrip(t, open[i], hello)
	}
	for _, conn := range open[:busy] {
		go func() { _, _ = io.Copy(conn, io.LimitReader(&pattern{}, bulk)) }()
		if err := same(io.LimitReader(conn, bulk), &pattern{}, bulk); err != nil {
			t.Fatal(err)
		}
	}
	if g.Open() != connections || accepted.Load() != connections {
		t.Errorf("%d are open, %d upstream", g.Open(), accepted.Load())
	}
	// Pipes that are kept for the next bulk are few, and belong to nobody.
	const spare = 2 * 64
	if after := descriptors(t); after > before+4*connections+spare {
		t.Errorf("%d descriptors for %d connections", after-before, connections)
	}
	for _, conn := range open {
		roundTrip(t, conn, "still there")
	}
}

// farSideVariable makes this binary the far side of the test of ten thousand connections: its clients, and what is upstream.
const farSideVariable = "ISTHMUS_GATEWAY_FAR_SIDE"

// TestFarSide is no test but the other process of TestTenThousandIdleConnections. It says where its upstream is, opens as many connections
// through the gateway as it is told, and uses each of them whenever it is told to.
func TestFarSide(t *testing.T) {
	if os.Getenv(farSideVariable) == "" {
		t.Skip("only for another test, which runs it in a process of its own")
	}
	told, hello := json.NewDecoder(os.Stdin), string(clientHello(t, tls13(name)))
	say := func(format string, args ...any) { _, _ = fmt.Printf(farSideSays+format+"\n", args...) }
	say("%s", upstream(t, echo))
	var open []*net.TCPConn
	for {
		var order struct {
			Gateway     string
			Connections int
		}
		if err := told.Decode(&order); err != nil {
			return // the end
		}
		for range order.Connections {
			conn := dial(t, order.Gateway)
			roundTrip(t, conn, hello)
			open = append(open, conn)
		}
		for _, conn := range open {
			if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
				t.Fatal(err)
			}
			roundTrip(t, conn, "still there")
		}
		say("%d", len(open))
	}
}

const farSideSays = "far side: "

// Ten thousand connections idle on one gateway, or as many as this system lets a process have, and all of them still work.
func TestTenThousandIdleConnections(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("opens thousands of connections")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Both processes have two descriptors for each, and some for themselves.
	connections := min(10_000, int(min(limit.Cur, 1<<20)-500)/2)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	far := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFarSide$")
	far.Env = append(os.Environ(), farSideVariable+"=1")
	stdin, err := far.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := far.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	hear := func() string {
		for lines.Scan() {
			if said, ok := strings.CutPrefix(lines.Text(), farSideSays); ok {
				return said
			}
			t.Log(lines.Text())
		}
		t.Fatal("the far side has ended")
		return ""
	}
	g := start(t, gateway.Config{MaxConnections: connections}, table(t, name+"="+hear()))
	before := descriptors(t)
	for _, more := range []int{connections, 0} {
		if _, err := fmt.Fprintf(stdin, `{"gateway": %q, "connections": %d}`, g.Addr(), more); err != nil {
			t.Fatal(err)
		}
		if said := hear(); said != strconv.Itoa(connections) || g.Open() != connections {
			t.Errorf("%s work and %d are open, of %d", said, g.Open(), connections)
		}
		if n := descriptors(t) - before; n > 2*connections+8 {
			t.Errorf("%d descriptors for %d connections", n, connections)
		}
	}
	_ = stdin.Close()
	for lines.Scan() { // until it has ended
	}
	if err := far.Wait(); err != nil {
		t.Error(err)
	}
	eventually(t, func() bool { return g.Open() == 0 }, "all are closed")
}

func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// A reader that takes its time is waited for, and gets everything.
func TestSlowReaderGetsEverything(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	hello := clientHello(t, tls13(name))
	written := make(chan int64, 1)
	address := upstream(t, func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, len(hello)))
		n, _ := io.Copy(conn, io.LimitReader(&pattern{}, size))
		written <- n
	})
	g := start(t, gateway.Config{}, table(t, name+"="+address))
	conn := dial(t, g.Addr())
	_, _ = conn.Write(hello)
	var got bytes.Buffer
	small := make([]byte, 300)
	for range 1000 { // drops, while the gateway and its upstream wait
		n, err := conn.Read(small)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(small[:n])
	}
	if err := same(io.MultiReader(&got, conn), &pattern{}, size); err != nil {
		t.Error(err)
	}
	if n := <-written; n != size {
		t.Errorf("upstream could write %d bytes", n)
	}
}
