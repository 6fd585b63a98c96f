package gateway

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never wait, and so are made without a word to Go's scheduler. Told of a call that may take long, it wakes its monitor,
// and gives the processor away when a splice has taken 20 µs: measured under bulk, four times the thread switches that are needed.

// backlog is what a direction that carries bulk leaves unsent in a socket, at most. It trades a little of the gateway's time for more of
// everybody's: what waits long has left the processor's cache when it is read. Half of it, when the kernel asks for more, lasts
// 200 µs at 10 Gbit/s: longer than it takes to wake up.
const backlog = 512 << 10

// limitBacklog keeps the bytes that a socket has not sent yet below backlog. Those in flight do not count.
func limitBacklog(descriptor uintptr) {
	// Kernels before 3.12 cannot; it works without.
	_ = unix.SetsockoptInt(int(descriptor), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, backlog)
}

// readNow is read(2) that does not wait: EAGAIN when there is nothing yet, 0 at the end of the stream.
func readNow(descriptor uintptr, into []byte) (int, error) {
	return transfer(unix.SYS_READ, descriptor, into)
}

// writeNow is write(2) that does not wait: EAGAIN when there is no room.
func writeNow(descriptor uintptr, from []byte) (int, error) {
	return transfer(unix.SYS_WRITE, descriptor, from)
}

func transfer(call, descriptor uintptr, bytes []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(call, descriptor, uintptr(unsafe.Pointer(unsafe.SliceData(bytes))), uintptr(len(bytes)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
