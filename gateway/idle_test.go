package gateway_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

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
