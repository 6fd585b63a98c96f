package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"isthmus/gateway"
)

// clientHello is what crypto/tls sends first.
func clientHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(theirs, config).HandshakeContext(ctx)
	}()
	header := make([]byte, 5)
	if _, err := io.ReadFull(ours, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	<-done
	return slices.Concat(header, body)
}

func tls12(name string) *tls.Config {
	return &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
}

func tls13(name string, protocols ...string) *tls.Config {
	return &tls.Config{ServerName: name, MinVersion: tls.VersionTLS13, NextProtos: protocols}
}

// refragment puts a hello of one record into records of the given sizes; what is left goes into the last one.
func refragment(hello []byte, sizes ...int) []byte {
	var out []byte
	message := hello[5:]
	add := func(n int) {
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out = append(out, message[:n]...)
		message = message[n:]
	}
	for _, size := range sizes {
		if size > 0 && size < len(message) {
			add(size)
		}
	}
	add(len(message))
	return out
}

// withBody is one record, or as many as it takes, with a ClientHello of this body.
func withBody(body []byte) []byte {
	message := append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
	var out []byte
	for len(message) > 0 {
		n := min(len(message), 1<<14)
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out = append(out, message[:n]...)
		message = message[n:]
	}
	return out
}

// body is a ClientHello's body with these extensions, of which each is type and data.
func body(extensions ...[]byte) []byte {
	out := append([]byte{3, 3}, make([]byte, 32)...)
	out = append(out, 0, 0, 2, 0x13, 1, 1, 0)
	list := slices.Concat(extensions...)
	return append(append(out, byte(len(list)>>8), byte(len(list))), list...)
}

func extension(kind int, data []byte) []byte {
	return append([]byte{byte(kind >> 8), byte(kind), byte(len(data) >> 8), byte(len(data))}, data...)
}

func serverName(names ...string) []byte {
	var list []byte
	for _, name := range names {
		list = append(append(list, 0, byte(len(name)>>8), byte(len(name))), name...)
	}
	return extension(0, append([]byte{byte(len(list) >> 8), byte(len(list))}, list...))
}

func read(raw []byte) (gateway.Hello, []byte, error) {
	return gateway.ReadHello(bytes.NewReader(raw), nil)
}

func TestHellosOfCryptoTLS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config *tls.Config
		want   gateway.Hello
	}{
		"TLS 1.2":      {tls12("s1.server.dc1.consul"), gateway.Hello{ServerName: "s1.server.dc1.consul"}},
		"TLS 1.3":      {tls13("s1.server.dc1.consul"), gateway.Hello{ServerName: "s1.server.dc1.consul"}},
		"capitals":     {tls13("Server.DC1.Consul"), gateway.Hello{ServerName: "server.dc1.consul"}},
		"ALPN":         {tls13("server.dc1.consul", "consul/rpc-multi"), gateway.Hello{ServerName: "server.dc1.consul", ALPN: []string{"consul/rpc-multi"}}},
		"many of them": {tls13("a.b", "h2", "http/1.1"), gateway.Hello{ServerName: "a.b", ALPN: []string{"h2", "http/1.1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := clientHello(t, test.config)
			for how, r := range map[string]io.Reader{
				"at once": bytes.NewReader(raw), "byte by byte": iotest.OneByteReader(bytes.NewReader(raw)),
				"error with the data": iotest.DataErrReader(bytes.NewReader(raw)),
			} {
				got, peeked, err := gateway.ReadHello(r, nil)
				if err != nil || got.ServerName != test.want.ServerName || !slices.Equal(got.ALPN, test.want.ALPN) || !bytes.Equal(peeked, raw) {
					t.Errorf("%s: %+v, %v, %d of %d bytes", how, got, err, len(peeked), len(raw))
				}
			}
		})
	}
}

func TestRefusedHellos(t *testing.T) {
	t.Parallel()
	good := clientHello(t, tls13("server.dc1.consul"))
	big := extension(21, make([]byte, 16<<10-200)) // padding
	for name, test := range map[string]struct {
		raw  []byte
		want gateway.Reason
	}{
		"nothing":                     {nil, gateway.ReasonProbe},
		"HTTP":                        {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), gateway.ReasonNotTLS},
		"one byte of HTTP":            {[]byte("G"), gateway.ReasonNotTLS},
		"SSL 2":                       {[]byte{0x80, 0x2e, 1, 0, 2}, gateway.ReasonNotTLS},
		"alert":                       {[]byte{21, 3, 1, 0, 2, 2, 40}, gateway.ReasonNotTLS},
		"wrong version":               {[]byte{22, 0x10, 1, 0, 1, 1}, gateway.ReasonNotTLS},
		"ends in the header":          {good[:3], gateway.ReasonHelloEnded},
		"ends in the body":            {good[:len(good)-1], gateway.ReasonHelloEnded},
		"empty record":                {[]byte{22, 3, 1, 0, 0}, gateway.ReasonMalformed},
		"record too large":            {[]byte{22, 3, 1, 0x40, 1}, gateway.ReasonMalformed},
		"other message":               {[]byte{22, 3, 1, 0, 4, 2, 0, 0, 0}, gateway.ReasonMalformed},
		"other message at once":       {[]byte{22, 3, 1, 0, 1, 2}, gateway.ReasonMalformed},
		"empty message":               {[]byte{22, 3, 1, 0, 4, 1, 0, 0, 0}, gateway.ReasonMalformed},
		"alert in the middle":         {append(refragment(good, 10)[:15], 21, 3, 1, 0, 2, 2, 40), gateway.ReasonMalformed},
		"no server name":              {clientHello(t, &tls.Config{InsecureSkipVerify: true}), gateway.ReasonNoServerName},
		"no extensions":               {withBody(body()[:41]), gateway.ReasonNoServerName},
		"nothing in the body":         {withBody([]byte{3, 3}), gateway.ReasonMalformed},
		"rest after the extensions":   {withBody(append(body(serverName("a.b")), 0)), gateway.ReasonMalformed},
		"two names":                   {withBody(body(serverName("a.b", "c.d"))), gateway.ReasonMalformed},
		"two lists of names":          {withBody(body(serverName("a.b"), serverName("c.d"))), gateway.ReasonMalformed},
		"empty name":                  {withBody(body(serverName(""))), gateway.ReasonMalformed},
		"name with a line break":      {withBody(body(serverName("a\nb"))), gateway.ReasonMalformed},
		"name that ends in a dot":     {withBody(body(serverName("a.b."))), gateway.ReasonMalformed},
		"name that begins with a dot": {withBody(body(serverName(".a.b"))), gateway.ReasonMalformed},
		"name too long":               {withBody(body(serverName(strings.Repeat("a", 256)))), gateway.ReasonMalformed},
		"16 KiB and one byte":         {[]byte{22, 3, 1, 0, 4, 1, 0, 0x40, 1}, gateway.ReasonTooLarge},
		"16 MiB":                      {[]byte{22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff}, gateway.ReasonTooLarge},
		"large, without a name":       {withBody(body(big)), gateway.ReasonNoServerName},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := read(test.raw); gateway.ReasonOf(err) != test.want {
				t.Errorf("%v (%s), expected %s", err, gateway.ReasonOf(err), test.want)
			}
			if _, _, err := gateway.ReadHello(iotest.OneByteReader(bytes.NewReader(test.raw)), nil); gateway.ReasonOf(err) != test.want {
				t.Errorf("byte by byte: %v (%s), expected %s", err, gateway.ReasonOf(err), test.want)
			}
		})
	}
}

func TestTheLargestHelloInTheSmallestPieces(t *testing.T) {
	t.Parallel()
	name := serverName("s1.server.dc1.consul")
	head := len(body(name))
	largest := body(extension(21, make([]byte, gateway.MaxHello-head-4)), name)
	if len(largest) != gateway.MaxHello {
		t.Fatalf("built %d bytes", len(largest))
	}
	message := append([]byte{1, 0, 0x40, 0}, largest...)
	var raw []byte
	for _, b := range message {
		raw = append(raw, 22, 3, 1, 0, 1, b)
	}
	for _, raw := range [][]byte{raw, withBody(largest)} {
		got, peeked, err := gateway.ReadHello(iotest.OneByteReader(bytes.NewReader(raw)), nil)
		if err != nil || got.ServerName != "s1.server.dc1.consul" || !bytes.Equal(peeked, raw) {
			t.Errorf("%+v, %v, %d of %d bytes", got, err, len(peeked), len(raw))
		}
	}
}

// However it is cut, it says the same, and every byte that was read is there to be replayed.
func TestFragmentationChangesNothing(t *testing.T) {
	t.Parallel()
	hellos := [][]byte{clientHello(t, tls12("s1.server.dc1.consul")), clientHello(t, tls13("s1.server.dc1.consul", "h2"))}
	rapid.Check(t, func(t *rapid.T) {
		hello := rapid.SampledFrom(hellos).Draw(t, "hello")
		raw := refragment(hello, rapid.SliceOfN(rapid.IntRange(1, 300), 0, 20).Draw(t, "records")...)
		trailing := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "trailing")
		known := rapid.IntRange(0, len(raw)).Draw(t, "already read")
		pieces := rapid.SliceOfN(rapid.IntRange(1, 400), 0, 30).Draw(t, "reads")
		r := &piecewise{data: slices.Concat(raw[known:], trailing), pieces: pieces}
		got, peeked, err := gateway.ReadHello(r, slices.Clone(raw[:known]))
		if err != nil || got.ServerName != "s1.server.dc1.consul" {
			t.Fatalf("%+v, %v", got, err)
		}
		if whole := slices.Concat(peeked, r.data); !bytes.Equal(whole, slices.Concat(raw, trailing)) {
			t.Fatalf("%d bytes peeked and %d left are not the %d sent", len(peeked), len(r.data), len(raw)+len(trailing))
		}
	})
}

// piecewise gives its data in pieces of given sizes, and the rest in one.
type piecewise struct {
	data   []byte
	pieces []int
}

func (p *piecewise) Read(into []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := len(p.data)
	if len(p.pieces) > 0 {
		n, p.pieces = min(n, p.pieces[0]), p.pieces[1:]
	}
	n = copy(into, p.data[:n])
	p.data = p.data[n:]
	return n, nil
}

// FuzzHello compares with what crypto/tls makes of the same bytes as a server.
func FuzzHello(f *testing.F) {
	for _, config := range []*tls.Config{tls12("s1.server.dc1.consul"), tls13("a.b", "h2", "consul/rpc-multi"), {InsecureSkipVerify: true}} {
		hello := clientHello(f, config)
		f.Add(hello)
		f.Add(refragment(hello, 1, 3, 100))
		f.Add(hello[:len(hello)-7])
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(withBody(body(serverName("a.b"), extension(16, []byte{0, 3, 2, 'h', '2'}))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, peeked, err := gateway.ReadHello(bytes.NewReader(raw), nil)
		if !bytes.HasPrefix(raw, peeked) || cap(peeked) > 128<<10 {
			t.Fatalf("%d bytes peeked (room for %d) are not the beginning of the %d sent", len(peeked), cap(peeked), len(raw))
		}
		if (err == nil) != (gateway.ReasonOf(err) == "") || (err == nil) != (got.ServerName != "") {
			t.Fatalf("%+v with error %v and reason %q", got, err, gateway.ReasonOf(err))
		}
		want := heard(t, raw)
		switch {
		case want == nil: // we are the more lenient: what it means is for the server to judge
		case err == nil:
			if !strings.EqualFold(got.ServerName, want.ServerName) || !slices.Equal(got.ALPN, want.SupportedProtos[:min(8, len(want.SupportedProtos))]) {
				t.Fatalf("%+v, and crypto/tls: %q %q", got, want.ServerName, want.SupportedProtos)
			}
		case want.ServerName == "" && gateway.ReasonOf(err) == gateway.ReasonNoServerName:
		case gateway.ReasonOf(err) == gateway.ReasonTooLarge:
		case strings.ContainsFunc(want.ServerName, strange) || strings.HasPrefix(want.ServerName, ".") || len(want.ServerName) > 255:
		default:
			t.Fatalf("%v, and crypto/tls: %q %q", err, want.ServerName, want.SupportedProtos)
		}
	})
}

// strange tells whether a character does not belong into a host name.
func strange(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", r)
}

// heard is the ClientHello as a server of crypto/tls understands it; nil when it does not.
func heard(t *testing.T, raw []byte) *tls.ClientHelloInfo {
	t.Helper()
	var info *tls.ClientHelloInfo
	server := tls.Server(wire{said: bytes.NewReader(raw)}, &tls.Config{
		MinVersion: tls.VersionTLS10,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			info = h
			return nil, errors.New("enough")
		},
	})
	_ = server.HandshakeContext(t.Context())
	return info
}

// wire is a connection of which only what was said is left.
type wire struct {
	net.Conn
	said *bytes.Reader
}

func (w wire) Read(b []byte) (int, error) { return w.said.Read(b) }

func (wire) Write(b []byte) (int, error) { return len(b), nil }

func (wire) Close() error { return nil }
