package gateway

import (
	"errors"
	"net"
	"syscall"
)

const (
	// relayBuffer holds two TLS records.
	relayBuffer = 32 << 10
	// bulkAfter full buffers in a row, a direction carries bulk, and pays for a pipe.
	bulkAfter = 4
	// smallPiece is where moving pages costs more than copying bytes; smallAfter such pieces in a row, bulk is over.
	smallPiece = 8 << 10
	smallAfter = 8
)

// direction moves bytes one way. Between pieces it holds neither buffer nor pipe.
//
//	           bulkAfter full buffers
//	buffers ─────────────────────────────▶ splice
//	        ◀─────────────────────────────
//	           smallAfter small pieces, or the kernel will not
type direction struct {
	c        *connection
	src, dst *socket
	// broken is the reason when src breaks.
	broken Reason

	bulk   bool
	streak int
	moved  uint64

	// What the callbacks of the poller leave for the loop.
	n      int
	err    error
	buffer *[]byte
	pipe   *pipe
	left   int
}

// run moves bytes until src ends or something breaks, and then tells dst. The last direction to be done ends the connection.
func (d *direction) run() {
	defer d.c.directionDone()
	pull, push := d.pull, d.push // made once: each use of a method as a value allocates
	for {
		if err := d.src.raw.Read(pull); err != nil {
			d.err = err
		}
		switch {
		case d.err != nil:
			d.c.stop(d.broken, d.err)
			return
		case d.n == 0:
			d.end()
			return
		}
		d.c.touch()
		if err := d.forward(push); err != nil {
			// What dst had sent before it broke is still to be delivered. The other direction reads it, and then meets the same error.
			d.c.note(d.other(), err)
			return
		}
		d.moved += uint64(d.n)
		d.c.count(d, d.n)
		d.c.touch()
		d.judge()
	}
}

// other is the reason when dst breaks.
func (d *direction) other() Reason {
	if d.broken == ReasonClient {
		return ReasonUpstream
	}
	return ReasonClient
}

// end passes the end of the stream on. For the last direction of a connection where nothing broke, closing says the same.
func (d *direction) end() {
	if d.c.busy.Load() == 1 && !d.c.broken() {
		return
	}
	if err := d.dst.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ENOTCONN) {
		d.c.note(d.other(), err)
	}
}

// pull takes what src has. It is called by the poller, which waits and calls again when it returns false; only when there
// are bytes does it keep what it borrowed.
func (d *direction) pull(descriptor uintptr) bool {
	if d.bulk {
		if wait, ok := d.pullPipe(descriptor); ok {
			return !wait
		}
		d.bulk, d.streak = false, 0
	}
	d.buffer = d.c.g.relayBuffers.get()
	d.n, d.err = readNow(descriptor, *d.buffer)
	if d.n > 0 {
		return true
	}
	d.putBuffer()
	if errors.Is(d.err, syscall.EAGAIN) {
		d.err = nil
		return false
	}
	return true
}

// pullPipe takes what src has into a pipe. Not ok: the kernel cannot, or there is no pipe to be had.
func (d *direction) pullPipe(descriptor uintptr) (wait, ok bool) {
	p, err := d.c.g.pipes.get()
	if err != nil {
		return false, false
	}
	d.n, d.err = p.fill(descriptor)
	if d.n > 0 {
		d.pipe = p
		return false, true
	}
	d.c.g.pipes.put(p)
	switch {
	case errors.Is(d.err, syscall.EAGAIN):
		d.err = nil
		return true, true
	case errors.Is(d.err, syscall.EINVAL), errors.Is(d.err, syscall.ENOSYS):
		return false, false
	}
	return false, true
}

// forward gives dst what was pulled, and gives back what was borrowed for it.
func (d *direction) forward(push func(uintptr) bool) error {
	d.left = d.n
	err := d.dst.raw.Write(push)
	if err == nil {
		err = d.err
	}
	switch {
	case d.pipe == nil:
		d.putBuffer()
	case d.left == 0:
		d.c.g.pipes.put(d.pipe)
	default:
		d.pipe.close() // nobody else's bytes may follow what is stuck in it
	}
	d.pipe = nil
	return err
}

// push empties what was borrowed into dst; as pull, it is called until it returns true.
func (d *direction) push(descriptor uintptr) bool {
	for d.left > 0 {
		n, err := d.drain(descriptor)
		if errors.Is(err, syscall.EAGAIN) {
			return false
		}
		if d.err = err; err != nil {
			return true
		}
		d.left -= n
		d.c.touch()
	}
	return true
}

func (d *direction) drain(descriptor uintptr) (int, error) {
	if d.pipe != nil {
		return d.pipe.drain(descriptor, d.left)
	}
	return writeNow(descriptor, (*d.buffer)[d.n-d.left:d.n])
}

func (d *direction) putBuffer() {
	d.c.g.relayBuffers.put(d.buffer)
	d.buffer = nil
}

// judge decides whether the direction carries bulk.
func (d *direction) judge() {
	telling, enough := d.n == relayBuffer, bulkAfter
	if d.bulk {
		telling, enough = d.n < smallPiece, smallAfter
	}
	if !telling {
		d.streak = 0
		return
	}
	if d.streak++; d.streak < enough || !canSplice {
		return
	}
	d.bulk, d.streak = !d.bulk, 0
	if d.bulk {
		_ = d.dst.raw.Control(limitBacklog) // of a socket that is closed already, the next write tells
	}
}
