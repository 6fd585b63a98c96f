package pulse

const (
	// frameHeader is the length of a frame's header: three bytes of the payload's length, type, flags, stream (RFC 9113, 4.1).
	frameHeader = 9
	// Types and the flag of frames that carry a field block: nothing may come before its last one (RFC 9113, 4.3).
	headers, pushPromise, continuation = 0x1, 0x5, 0x9
	endHeaders                         = 0x4
)

// pingFrame is a PING of HTTP/2 (RFC 9113, 6.7). Its payload is none that gRPC sends: an answer is read over by it, and heard here.
func pingFrame() []byte {
	return append([]byte{0, 0, 8, 0x6, 0, 0, 0, 0, 0}, "isthmus?"...)
}

// frames follow a stream of frames. The zero value is at its beginning.
type frames struct {
	header [frameHeader]byte
	// have is how much of the header has passed, rest how much of the payload has not.
	have, rest int
	// any: there was one. open: the last one began a field block, or went on with it, and did not end it.
	any, open bool
}

// pass takes in what was written.
func (f *frames) pass(b []byte) {
	for len(b) > 0 {
		f.any = true
		if f.rest > 0 {
			n := min(f.rest, len(b))
			f.rest -= n
			b = b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have == frameHeader {
			f.have, f.rest = 0, int(f.header[0])<<16|int(f.header[1])<<8|int(f.header[2])
			switch f.header[3] {
			case headers, pushPromise, continuation:
				f.open = f.header[4]&endHeaders == 0
			}
		}
	}
}

// between tells that a frame of the connection may stand here, and that it is not the first one, which has to be SETTINGS.
func (f *frames) between() bool { return f.any && !f.open && f.have == 0 && f.rest == 0 }
