package gateway

import "golang.org/x/sys/unix"

// canSplice: bytes can go from socket to socket within the kernel.
const canSplice = true

// pipeSize is what a pipe shall hold. Up to this an unprivileged process may go (fs.pipe-max-size); less works too.
const pipeSize = 1 << 20

const spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK

// pipe holds bytes on their way from one socket to the other.
type pipe struct {
	read, write int
	size        int
}

func newPipe() (*pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	p := &pipe{read: ends[0], write: ends[1], size: pipeSize}
	// Not allowed to have one as large: the one that we have is large enough.
	if _, err := unix.FcntlInt(uintptr(p.write), unix.F_SETPIPE_SZ, pipeSize); err != nil {
		p.size = 1 << 16
	}
	return p, nil
}

// fill moves what a socket has into an empty pipe: 0 at the end of the stream, EAGAIN when the socket has nothing yet.
func (p *pipe) fill(socket uintptr) (int, error) {
	return p.splice(int(socket), p.write, p.size)
}

// drain moves up to n bytes into a socket: EAGAIN when it takes none right now.
func (p *pipe) drain(socket uintptr, n int) (int, error) {
	return p.splice(p.read, int(socket), n)
}

func (p *pipe) splice(from, to, most int) (int, error) {
	for {
		// It does not wait, as those of socket_linux.go do not.
		n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), spliceFlags)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

func (p *pipe) close() {
	// Nothing can be lost in an empty pipe, nor mended in one that is broken.
	_ = unix.Close(p.read)
	_ = unix.Close(p.write)
}
