//go:build !linux

package gateway

import (
	"errors"
	"syscall"
)

// limitBacklog leaves the size of a socket's backlog to the system.
func limitBacklog(uintptr) {}

// readNow is read(2) that does not wait: EAGAIN when there is nothing yet, 0 at the end of the stream.
func readNow(descriptor uintptr, into []byte) (int, error) {
	return transfer(syscall.Read, descriptor, into)
}

// writeNow is write(2) that does not wait: EAGAIN when there is no room.
func writeNow(descriptor uintptr, from []byte) (int, error) {
	return transfer(syscall.Write, descriptor, from)
}

func transfer(call func(int, []byte) (int, error), descriptor uintptr, bytes []byte) (int, error) {
	for {
		n, err := call(int(descriptor), bytes)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
