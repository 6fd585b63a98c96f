package gateway

import (
	"math"
	"net"
	"sync"
	"syscall"
)

// socket is a connection whose descriptor we may use ourselves, to learn whether there is something to read before we
// borrow room for it.
type socket struct {
	*net.TCPConn
	raw syscall.RawConn
}

func newSocket(conn *net.TCPConn) (socket, error) {
	raw, err := conn.SyscallConn()
	return socket{conn, raw}, err
}

// buffers are lent to whoever has bytes in hand right now.
type buffers struct {
	size int
	pool sync.Pool
}

func (b *buffers) get() *[]byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, b.size)
	return &buffer
}

func (b *buffers) put(buffer *[]byte) { b.pool.Put(buffer) }

// fileLimit is how many files this process may have open.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint16 // what systems commonly allow
	}
	return limit.Cur
}
