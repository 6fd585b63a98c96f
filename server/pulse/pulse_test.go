package pulse_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"isthmus/server/pulse"
)

const (
	quiet    = 20 * time.Second
	patience = 10 * time.Second
	// deadline bounds what a test waits for.
	deadline = 30 * time.Second
)

// clock is set by tests.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// pair is a watched connection, and its other end.
func pair(t *testing.T) (p *pulse.Pulse, c *clock, server *pulse.Conn, framer *http2.Framer, other net.Conn) {
	t.Helper()
	c = &clock{at: time.Unix(1_000_000, 0)}
	p = pulse.New(quiet, patience, c.now)
	near, far := net.Pipe()
	if err := far.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	server = p.Watch(near)
	t.Cleanup(func() { _ = server.Close(); _ = far.Close() })
	return p, c, server, http2.NewFramer(far, far), far
}

// settles writes the first frame of a server.
func settles(t *testing.T, server net.Conn, framer *http2.Framer) {
	t.Helper()
	wrote := make(chan error, 1)
	go func() { wrote <- http2.NewFramer(server, server).WriteSettings() }()
	if _, err := framer.ReadFrame(); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// asked waits for a question. A beat that comes while somebody writes leaves it to the next one.
func asked(t *testing.T, p *pulse.Pulse, framer *http2.Framer) *http2.PingFrame {
	t.Helper()
	type read struct {
		frame http2.Frame
		err   error
	}
	got := make(chan read, 1)
	go func() {
		frame, err := framer.ReadFrame()
		got <- read{frame, err}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		p.Beat()
		select {
		case <-tick.C:
			continue
		case r := <-got:
			if ping, ok := r.frame.(*http2.PingFrame); ok && !ping.IsAck() && ping.StreamID == 0 {
				return ping
			}
			t.Fatalf("%v, %v is no question", r.frame, r.err)
		}
	}
}

// Who is silent is asked, lives on when it answers, and is cut off when it does not.
func TestSilenceIsAskedAbout(t *testing.T) {
	t.Parallel()
	p, c, server, framer, other := pair(t)
	settles(t, server, framer)
	came := make(chan http2.Frame)
	go func() {
		defer close(came)
		for frames := http2.NewFramer(io.Discard, server); ; {
			frame, err := frames.ReadFrame()
			if err != nil {
				return
			}
			came <- frame
		}
	}()
	for range 3 {
		c.advance(quiet - 3*time.Second)
		p.Beat() // nobody is asked yet: the next frame is read below
		c.advance(2 * time.Second)
		ping := asked(t, p, framer)
		c.advance(patience - 3*time.Second)
		p.Beat()
		if err := framer.WritePing(true, ping.Data); err != nil {
			t.Fatal(err)
		}
		<-came
		c.advance(time.Second)
		p.Beat()
	}
	if silence := server.Silence(); silence != 0 {
		t.Errorf("one who answers had been silent for %s", silence)
	}
	c.advance(quiet)
	asked(t, p, framer)
	c.advance(patience)
	p.Beat()
	if n, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after a question without an answer: %d, %v", n, err)
	}
	if frame, ok := <-came; ok {
		t.Errorf("there came %v", frame)
	}
	if silence := server.Silence(); silence < quiet+patience || silence > quiet+patience+2*time.Second {
		t.Errorf("it had been silent for %s", silence)
	}
	p.Beat() // it is forgotten
}

// Before the first frame of its own nothing is sent, and a connection without any is cut off as well.
func TestSilenceBeforeTheFirstFrame(t *testing.T) {
	t.Parallel()
	p, c, _, _, other := pair(t)
	for range 4 {
		c.advance(patience)
		p.Beat()
	}
	if n, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it was sent %d, %v", n, err)
	}
}

// A connection that is stuck in the middle of a frame is cut off, and keeps nobody else from being asked.
func TestStuckWrites(t *testing.T) {
	t.Parallel()
	p, c, server, framer, _ := pair(t)
	settles(t, server, framer)
	stuck := make(chan error, 1)
	go func() { stuck <- http2.NewFramer(server, server).WriteData(1, false, make([]byte, 100)) }()
	for range 4 {
		c.advance(patience)
		p.Beat()
	}
	if err := <-stuck; err == nil {
		t.Error("nobody has read what was written")
	}
}

// However frames are cut into writes, questions stand between them.
func TestQuestionsAreBetweenFrames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &clock{at: time.Unix(1_000_000, 0)}
		p := pulse.New(quiet, patience, c.now)
		wire := &recorder{}
		conn := p.Watch(wire)
		var out bytes.Buffer
		frames := http2.NewFramer(&out, nil)
		sizes := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 10).Draw(rt, "sizes")
		for i, size := range sizes {
			if err := frames.WriteData(1, false, make([]byte, size)); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "headers") {
				cutHeaders(rt, frames, uint32(2*i+3))
			}
		}
		for out.Len() > 0 {
			if _, err := conn.Write(out.Next(rapid.IntRange(1, 60).Draw(rt, "piece"))); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "beat") {
				c.advance(time.Hour)
				wire.feed(conn)
				c.advance(quiet)
				p.Beat()
			}
		}
		wire.feed(conn)
		c.advance(quiet)
		await(rt, p, wire)
		read, data := http2.NewFramer(io.Discard, bytes.NewReader(wire.written())), 0
		for {
			frame, err := read.ReadFrame()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				rt.Fatalf("what was written is not made of frames: %v", err)
			}
			if d, ok := frame.(*http2.DataFrame); ok {
				if int(d.Length) != sizes[data] {
					rt.Fatalf("frame %d is of %d bytes, not %d", data, d.Length, sizes[data])
				}
				data++
			}
		}
		if data != len(sizes) {
			rt.Fatalf("%d frames of %d", data, len(sizes))
		}
	})
}

// cutHeaders writes a field block in several frames, between which nothing may stand.
func cutHeaders(rt *rapid.T, frames *http2.Framer, stream uint32) {
	var block bytes.Buffer
	if err := hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: "grpc-status", Value: "0"}); err != nil {
		rt.Fatal(err)
	}
	first := block.Next(rapid.IntRange(0, block.Len()).Draw(rt, "first"))
	if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first}); err != nil {
		rt.Fatal(err)
	}
	if err := frames.WriteContinuation(stream, true, block.Bytes()); err != nil {
		rt.Fatal(err)
	}
}

// A write of a question that is stuck keeps nobody else from being asked.
func TestStuckQuestions(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Unix(1_000_000, 0)}
	p := pulse.New(quiet, patience, c.now)
	full := make(chan struct{})
	t.Cleanup(func() { close(full) })
	var honest []*recorder
	for range 20 {
		for range 5 {
			conn := p.Watch(&deaf{full: full})
			if err := http2.NewFramer(conn, nil).WriteSettings(); err != nil {
				t.Fatal(err)
			}
		}
		wire := &recorder{}
		honest = append(honest, wire)
		if err := http2.NewFramer(p.Watch(wire), nil).WriteSettings(); err != nil {
			t.Fatal(err)
		}
	}
	c.advance(quiet)
	p.Beat()
	patience := time.After(deadline)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, wire := range honest {
		for !wire.asked() {
			select {
			case <-patience:
				t.Fatal("who would answer is not asked")
			case <-tick.C:
			}
		}
	}
}

// deaf is a connection of which the buffer is full after the first write.
type deaf struct {
	recorder

	full  chan struct{}
	wrote bool
}

// Write implements net.Conn.
func (d *deaf) Write(b []byte) (int, error) {
	if d.wrote {
		<-d.full
		return 0, io.ErrClosedPipe
	}
	d.wrote = true
	return len(b), nil
}

// recorder is a connection that takes all that is written.
type recorder struct {
	net.Conn

	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements net.Conn.
func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(b)
}

// Read implements net.Conn.
func (r *recorder) Read(b []byte) (int, error) { return len(b), nil }

// Close implements net.Conn.
func (r *recorder) Close() error { return nil }

// feed lets something come.
func (r *recorder) feed(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

// asked tells that there was a question.
func (r *recorder) asked() bool { return bytes.Contains(r.written(), []byte("isthmus?")) }

func (r *recorder) written() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.out.Bytes())
}

// Whenever something comes over whichever connection, and however far beats are apart: who has been silent for quiet is asked by then, and
// nobody who was not silent for about as long.
func TestEachIsAskedInTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &clock{at: time.Unix(1_000_000, 0)}
		p := pulse.New(quiet, patience, c.now)
		type other struct {
			wire  *recorder
			conn  net.Conn
			heard time.Time
		}
		var others []*other
		for range rapid.IntRange(50, 200).Draw(rt, "beats") {
			if len(others) < 4 && rapid.Bool().Draw(rt, "another") {
				o := &other{wire: &recorder{}, heard: c.now()}
				o.conn = p.Watch(o.wire)
				if err := http2.NewFramer(o.conn, nil).WriteSettings(); err != nil {
					rt.Fatal(err)
				}
				others = append(others, o)
			}
			c.advance(time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(rt, "apart")))
			p.Beat()
			for i, o := range others {
				switch silent := c.now().Sub(o.heard); {
				case silent >= quiet:
					await(rt, p, o.wire)
				case silent >= quiet-time.Second:
					continue // it may be asked just now
				case o.wire.asked():
					rt.Fatalf("connection %d is asked after %s", i, silent)
				case rapid.IntRange(0, 40).Draw(rt, "speaks") != 0:
					continue
				}
				o.wire.forget()
				o.wire.feed(o.conn)
				o.heard = c.now()
			}
		}
	})
}

// await waits until a connection is asked; beats that come meanwhile ask again where somebody wrote just then.
func await(rt *rapid.T, p *pulse.Pulse, wire *recorder) {
	for end := time.After(deadline); !wire.asked(); {
		p.Beat()
		select {
		case <-time.After(time.Millisecond):
		case <-end:
			rt.Fatal("nobody asks")
		}
	}
}

// forget drops what was written.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Reset()
}
