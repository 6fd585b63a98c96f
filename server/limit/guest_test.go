package limit_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/peer"

	"isthmus/fault"
	"isthmus/server/auth"
	"isthmus/server/limit"
)

// visitor is a guest's connection, and the other end, which is told when it is closed.
func visitor(t *testing.T, l *limit.Limiter) (conn net.Conn, closed chan struct{}) {
	t.Helper()
	there, here := net.Pipe()
	conn, err := l.Guest(here)
	if err != nil {
		t.Fatal(err)
	}
	closed = make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, there)
		close(closed)
	}()
	return conn, closed
}

// over calls something over a connection as somebody; end ends the call.
func over(t *testing.T, l *limit.Limiter, conn net.Conn, c auth.Caller) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(auth.WithCaller(t.Context(), c))
	if _, err := l.Tap(peer.NewContext(ctx, &peer.Peer{Addr: conn.RemoteAddr()}), "/any"); err != nil {
		t.Fatal(err)
	}
	return cancel
}

func isClosed(closed <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-closed:
		return true
	default:
		return false
	}
}

// Who shows nothing is not kept without a call, and whoever says with one who they are is.
func TestGuestsLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimiter(t, limit.Limits{})
		_, silent := visitor(t, l)
		stranger, strangerGone := visitor(t, l)
		known, knownGone := visitor(t, l)
		end := over(t, l, stranger, auth.Caller{Role: auth.Anonymous})
		over(t, l, known, caller(auth.Viewer, "v"))()
		elapse(29 * time.Second)
		if isClosed(silent) {
			t.Error("a connection is closed too early")
		}
		elapse(2 * time.Second)
		if !isClosed(silent) || isClosed(strangerGone) {
			t.Error("who calls nothing is kept, or who calls is not")
		}
		end()
		elapse(31 * time.Second)
		if !isClosed(strangerGone) {
			t.Error("a stranger is kept after the call")
		}
		elapse(time.Hour)
		if isClosed(knownGone) {
			t.Error("a connection of somebody known is closed")
		}
		_ = known.Close()
	})
}

// A quarter of all connections are guests' at most; who leaves, or is known, makes room, once.
func TestRoomForGuests(t *testing.T) {
	t.Parallel()
	l, registry := newLimiter(t, limit.Limits{Connections: 8})
	one, _ := visitor(t, l)
	other, _ := visitor(t, l)
	refused := func() {
		t.Helper()
		_, here := net.Pipe()
		if _, err := l.Guest(here); fault.CodeOf(err) != fault.Busy {
			t.Errorf("a guest too many: %v", err)
		}
	}
	refused()
	_ = one.Close()
	_ = one.Close()
	third, _ := visitor(t, l)
	refused()
	over(t, l, other, caller(auth.Admin, "admin"))()
	_ = other.Close()
	fourth, _ := visitor(t, l)
	refused()
	if n := reads(t, registry, "isthmus_limit_refused_total", "guests"); n != 3 {
		t.Errorf("%d refusals are counted", n)
	}
	_, _ = third.Close(), fourth.Close()
}
