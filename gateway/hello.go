package gateway

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

// Sizes of TLS records and handshake messages (RFC 8446, 4 and 5.1; the same in TLS 1.2).
const (
	recordHeader    = 5
	handshakeHeader = 4
	maxFragment     = 1 << 14
	// MaxHello is the largest ClientHello that is read. Consul's have 300 bytes, those with post-quantum keys 2 KiB.
	MaxHello = 16 << 10
	// maxPeek bounds what is kept of a connection before it is routed: a ClientHello in the worst fragmentation, one byte to a
	// record, and one more record whose end has not arrived.
	maxPeek = (MaxHello+handshakeHeader)*(recordHeader+1) + recordHeader + maxFragment
)

const (
	recordTypeHandshake   = 22
	messageClientHello    = 1
	extensionServerName   = 0
	extensionALPN         = 16
	nameTypeHost          = 0
	maxServerName         = 255 // of a DNS name
	maxProtocols          = 8   // for the log; a hello has room for thousands
	randomAndVersionBytes = 2 + 32
)

// Hello is what a gateway needs to know of a ClientHello.
type Hello struct {
	// ServerName is the SNI in lower case; never empty.
	ServerName string
	// ALPN are the protocols that the client offers, the first few of them: Consul's offer one.
	ALPN []string
}

// ReadHello reads the ClientHello of a TLS 1.2 or 1.3 connection, in whatever pieces it comes. peeked holds bytes that have
// been read already; what is returned are these and all that was read further, to be replayed. It allocates at most some
// 250 KiB, and that only for a client that sends the largest hello in the smallest pieces; with room in peeked, nothing for most.
//
// An error carries a Reason: NotTLS, Malformed, TooLarge, NoServerName; Probe or HelloEnded when r ends; HelloTimeout when r's
// deadline passes; Client when r fails otherwise.
func ReadHello(r io.Reader, peeked []byte) (Hello, []byte, error) {
	a := assembly{raw: peeked}
	for {
		body, err := a.body()
		if err != nil {
			return Hello{}, a.raw, err
		}
		if body != nil {
			hello, err := parseHello(body)
			return hello, a.raw, err
		}
		if err := a.more(r); err != nil {
			return Hello{}, a.raw, err
		}
	}
}

// assembly puts a handshake message together out of records. Each byte is looked at once, so that tiny pieces cost no more
// than large ones.
type assembly struct {
	// raw is all that was read; records up to at have been taken in.
	raw []byte
	at  int
	// message are the handshake bytes so far: a part of raw while there was one record only.
	message []byte
	records int
}

// more reads once.
func (a *assembly) more(r io.Reader) error {
	if len(a.raw) == cap(a.raw) {
		// A complete record brings at least one byte of a message of limited size, so maxPeek is never reached in vain.
		grown := make([]byte, len(a.raw), min(max(2*cap(a.raw), 512), maxPeek))
		copy(grown, a.raw)
		a.raw = grown
	}
	n, err := r.Read(a.raw[len(a.raw):cap(a.raw)])
	a.raw = a.raw[:len(a.raw)+n]
	if err == nil || n > 0 {
		return nil // an error will come again when nothing is left to read
	}
	return readFailed(err, len(a.raw))
}

// readFailed gives the failure to read a ClientHello its reason.
func readFailed(err error, have int) error {
	switch {
	case errors.Is(err, io.EOF) && have == 0:
		return refuse(ReasonProbe, nil, "the client said nothing")
	case errors.Is(err, io.EOF):
		return refuse(ReasonHelloEnded, nil, "the client went away after %d bytes of its ClientHello", have)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(ReasonHelloTimeout, nil, "the ClientHello was not complete in time; there were %d bytes", have)
	default:
		return refuse(ReasonClient, err, "reading the ClientHello")
	}
}

// body is the body of the ClientHello as soon as all of it is there; nil before that. What cannot become one is refused at
// the first byte that shows it.
func (a *assembly) body() ([]byte, error) {
	for {
		if err := a.checkRecord(); err != nil {
			return nil, err
		}
		rest := a.raw[a.at:]
		if len(rest) < recordHeader {
			return nil, nil
		}
		size := int(rest[3])<<8 | int(rest[4])
		if len(rest) < recordHeader+size {
			return nil, nil
		}
		a.take(rest[recordHeader : recordHeader+size])
		a.at += recordHeader + size
		body, err := a.complete()
		if body != nil || err != nil {
			return body, err
		}
	}
}

// take adds a fragment. The first one is not copied.
func (a *assembly) take(fragment []byte) {
	a.records++
	switch a.records {
	case 1:
		a.message = slices.Clip(fragment)
	default:
		a.message = append(a.message, fragment...)
	}
}

// checkRecord judges as much of the next record's header as is there.
func (a *assembly) checkRecord() error {
	rest := a.raw[a.at:]
	broken := func(format string, args ...any) error {
		if a.records == 0 {
			return refuse(ReasonNotTLS, nil, "the client does not speak TLS")
		}
		return refuse(ReasonMalformed, nil, format, args...)
	}
	if len(rest) > 0 && rest[0] != recordTypeHandshake {
		return broken("a record of type %d stands in the middle of the ClientHello", rest[0])
	}
	// The version of a record means nothing (RFC 8446, 5.1). As crypto/tls does, we take one far off for something else than TLS.
	if len(rest) > 1 && rest[1] >= 0x10 {
		return broken("a record is of version %d", rest[1])
	}
	if len(rest) < recordHeader {
		return nil
	}
	switch size := int(rest[3])<<8 | int(rest[4]); {
	case size == 0:
		return refuse(ReasonMalformed, nil, "a record is empty")
	case size > maxFragment:
		return refuse(ReasonMalformed, nil, "a record is of %d bytes; TLS allows %d", size, maxFragment)
	}
	return nil
}

// complete is the body of the message if it is all there.
func (a *assembly) complete() ([]byte, error) {
	if a.message[0] != messageClientHello {
		return nil, refuse(ReasonMalformed, nil, "the handshake begins with a message of type %d, not with a ClientHello", a.message[0])
	}
	if len(a.message) < handshakeHeader {
		return nil, nil
	}
	size := int(a.message[1])<<16 | int(a.message[2])<<8 | int(a.message[3])
	if size > MaxHello {
		return nil, refuse(ReasonTooLarge, nil, "the ClientHello is of %d bytes; at most %d are read", size, MaxHello)
	}
	if size == 0 {
		return nil, refuse(ReasonMalformed, nil, "the ClientHello is empty")
	}
	if len(a.message) < handshakeHeader+size {
		return nil, nil
	}
	return a.message[handshakeHeader : handshakeHeader+size], nil
}

// fields takes fields off the front of a message. After one that is not there, broken is set and all others are empty.
type fields struct {
	rest   []byte
	broken bool
}

func (f *fields) bytes(n int) []byte {
	if f.broken || n > len(f.rest) {
		f.broken, f.rest = true, nil
		return nil
	}
	taken := f.rest[:n]
	f.rest = f.rest[n:]
	return taken
}

// number takes a big-endian number of one or two bytes.
func (f *fields) number(bytes int) int {
	n := 0
	for _, b := range f.bytes(bytes) {
		n = n<<8 | int(b)
	}
	return n
}

// vector takes a length of so many bytes, and what it says.
func (f *fields) vector(lengthBytes int) fields {
	inner := fields{rest: f.bytes(f.number(lengthBytes))}
	inner.broken = f.broken
	return inner
}

func (f *fields) more() bool { return len(f.rest) > 0 }

func parseHello(body []byte) (Hello, error) {
	malformed := func(what string) error {
		return refuse(ReasonMalformed, nil, "the ClientHello's %s cannot be read", what)
	}
	f := fields{rest: body}
	f.bytes(randomAndVersionBytes)
	f.vector(1) // session id
	f.vector(2) // cipher suites
	f.vector(1) // compression methods
	if f.broken {
		return Hello{}, malformed("head")
	}
	if !f.more() {
		return Hello{}, refuse(ReasonNoServerName, nil, "the ClientHello has no server name (SNI)")
	}
	extensions := f.vector(2)
	if f.broken || f.more() {
		return Hello{}, malformed("list of extensions")
	}
	var hello Hello
	named := false
	for extensions.more() {
		kind := extensions.number(2)
		data := extensions.vector(2)
		if extensions.broken {
			return Hello{}, malformed("list of extensions")
		}
		ok := true
		switch kind {
		case extensionServerName:
			ok = !named // of two names, the server might take the other one
			if ok {
				hello.ServerName, ok = serverName(data)
			}
			named = true
		case extensionALPN:
			hello.ALPN, ok = protocols(data)
		}
		if !ok {
			return Hello{}, malformed("server name or protocols")
		}
	}
	if hello.ServerName == "" {
		return Hello{}, refuse(ReasonNoServerName, nil, "the ClientHello has no server name (SNI)")
	}
	return hello, nil
}

// serverName is the host name in a server_name extension (RFC 6066, 3).
func serverName(data fields) (string, bool) {
	list := data.vector(2)
	name := ""
	for list.more() {
		kind := list.number(1)
		value := list.vector(2)
		if list.broken || !value.more() {
			return "", false
		}
		if kind != nameTypeHost {
			continue
		}
		if name != "" || !hostName(value.rest) {
			return "", false
		}
		name = strings.ToLower(string(value.rest))
	}
	return name, !data.broken && !list.broken && !data.more()
}

// hostName tells whether a name is one of DNS, which also means that it can stand in a log.
func hostName(name []byte) bool {
	if len(name) > maxServerName || name[0] == '.' || name[len(name)-1] == '.' {
		return false
	}
	for _, c := range name {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// protocols are those in an ALPN extension (RFC 7301, 3.1).
func protocols(data fields) ([]string, bool) {
	list := data.vector(2)
	var names []string
	for list.more() {
		name := list.vector(1)
		if list.broken || !name.more() {
			return nil, false
		}
		if len(names) < maxProtocols {
			names = append(names, string(name.rest))
		}
	}
	return names, !data.broken && !data.more() && len(names) > 0
}
