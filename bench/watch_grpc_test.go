package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// grpcWindow is what a server may send before it is told that it was read; after grpcUpdate it is told.
	grpcWindow = 16 << 20
	grpcUpdate = 4 << 20
	// grpcPrefix is before each message: whether it is compressed, and its length.
	grpcPrefix = 5
)

// grpcPoll is one watcher's connection by gRPC, which a single goroutine drives, with one call open at a time: grpc-go's client would have
// five of them and take the machine from the servers that are measured. What it sends is less than any server's window, so it need
// not keep count of that.
type grpcPoll struct {
	conn    net.Conn
	out     *bufio.Writer
	framer  *http2.Framer
	fields  bytes.Buffer
	encoder *hpack.Encoder

	// stream is the id of the call; body what has come of its messages, ended that there is no more.
	stream uint32
	body   []byte
	ended  bool
	status string
	// read is how much the server has not been told of, on the call and on the connection.
	readCall, readConn uint32
}

func dialGRPCPoll(ctx context.Context, addr string, config *tls.Config) (*grpcPoll, error) {
	config = config.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &grpcPoll{conn: conn, out: bufio.NewWriterSize(conn, 1<<10)}
	p.framer = http2.NewFramer(p.out, bufio.NewReader(conn))
	p.framer.SetReuseFrames()
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	p.encoder = hpack.NewEncoder(&p.fields)
	_, err = p.out.WriteString(http2.ClientPreface)
	err = errors.Join(err,
		p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: grpcWindow}),
		p.framer.WriteWindowUpdate(0, grpcWindow), p.out.Flush())
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *grpcPoll) close() { _ = p.conn.Close() } // nothing was to be kept

// call begins a call with its first message; with more, others follow.
func (p *grpcPoll) call(method string, message []byte, more bool) error {
	p.fields.Reset()
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "https"},
		{":path", method},
		{":authority", p.conn.RemoteAddr().String()},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := p.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	if p.stream == 0 {
		p.stream = 1
	} else {
		p.stream += 2
	}
	p.body, p.ended, p.status, p.readCall = p.body[:0], false, "", 0
	err := p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream, BlockFragment: p.fields.Bytes(), EndHeaders: true})
	return errors.Join(err, p.send(message, more))
}

// send sends one message of the call.
func (p *grpcPoll) send(message []byte, more bool) error {
	n := len(message)
	framed := append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
	return errors.Join(p.framer.WriteData(p.stream, !more, framed), p.out.Flush())
}

// next is the next message of the call, good until the one after; io.EOF when it has ended well.
func (p *grpcPoll) next() ([]byte, error) {
	for {
		if len(p.body) >= grpcPrefix {
			n := int(p.body[1])<<24 | int(p.body[2])<<16 | int(p.body[3])<<8 | int(p.body[4])
			if end := grpcPrefix + n; len(p.body) >= end {
				message := bytes.Clone(p.body[grpcPrefix:end])
				p.body = append(p.body[:0], p.body[end:]...)
				return message, nil
			}
		}
		switch {
		case p.ended && p.status == "0":
			return nil, io.EOF
		case p.ended:
			return nil, fmt.Errorf("the call ended with status %q", p.status)
		}
		f, err := p.framer.ReadFrame()
		if err == nil {
			err = p.take(f)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *grpcPoll) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		return errors.Join(p.framer.WriteSettingsAck(), p.out.Flush())
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return errors.Join(p.framer.WritePing(true, f.Data), p.out.Flush())
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server ends the connection: %s", f.DebugData())
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the server ends the call: %s", f.ErrCode)
	case *http2.MetaHeadersFrame:
		for _, field := range f.RegularFields() {
			if field.Name == "grpc-status" {
				p.status = field.Value
			}
		}
		p.ended = f.StreamEnded()
	case *http2.DataFrame:
		p.body = append(p.body, f.Data()...)
		return p.acknowledge(f.Length, f.StreamEnded())
	}
	return nil
}

func (p *grpcPoll) acknowledge(n uint32, ended bool) error {
	p.readCall, p.readConn = p.readCall+n, p.readConn+n
	var errs []error
	if p.readConn >= grpcUpdate {
		errs = append(errs, p.framer.WriteWindowUpdate(0, p.readConn), p.out.Flush())
		p.readConn = 0
	}
	if p.readCall >= grpcUpdate && !ended {
		errs = append(errs, p.framer.WriteWindowUpdate(p.stream, p.readCall), p.out.Flush())
		p.readCall = 0
	}
	return errors.Join(errs...)
}

// etcdWatch is a watch stream with two watches, of its own key and that of all: a change of either is told.
type etcdWatch struct {
	*grpcPoll
	own     string
	begun   bool
	created int
}

func (p *etcdWatch) ask() error {
	if p.begun {
		return nil // the stream goes on
	}
	p.begun = true
	err := p.call("/etcdserverpb.Watch/Watch", watchRequest(p.own), true)
	return errors.Join(err, p.send(watchRequest(keyOfAll), true))
}

// watchRequest is a WatchRequest whose field 1, create_request, has the key as its field 1.
func watchRequest(key string) []byte {
	create := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), create)
}

func (p *etcdWatch) await() ([]byte, error) {
	message, err := p.next()
	if err == nil && !p.settled() {
		p.created++ // the first two say that the watches are there
	}
	return message, err
}

func (p *etcdWatch) settled() bool { return p.created == 2 }

// agentPull is an agent's long poll: one stream of answers, or, as older agents do it, one call for each.
type agentPull struct {
	*grpcPoll
	polls       bool
	epoch, have string
	index       uint64
	open        bool
}

func (p *agentPull) ask() error {
	if p.open {
		return nil // the stream goes on
	}
	request, err := proto.Marshal(&isthmusv1.PullRequest{
		Epoch: p.epoch, MinIndex: p.index, Have: p.have, Wait: longPoll.String(), Version: "bench", Features: plan.Features(), Deltas: true,
	})
	method := isthmusv1.SyncService_Follow_FullMethodName
	if p.polls {
		method = isthmusv1.SyncService_Pull_FullMethodName
	}
	p.open = true
	return errors.Join(err, p.call(method, request, false))
}

func (p *agentPull) await() ([]byte, error) {
	message, err := p.next()
	if errors.Is(err, io.EOF) && !p.polls {
		p.open = false // its time was over
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	answer := &isthmusv1.PullResponse{}
	if err := proto.Unmarshal(message, answer); err != nil {
		return nil, err
	}
	p.epoch, p.index, p.have = answer.GetEpoch(), answer.GetIndex(), answer.GetDigest()
	if !p.polls {
		return message, nil
	}
	p.open = false
	if _, err := p.next(); !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, errors.New("a Pull has one answer"))
	}
	return message, nil
}

func (p *agentPull) settled() bool { return p.have != "" }
