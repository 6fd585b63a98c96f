package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// statementPrefix separates isthmus's signatures from everything else that a key may sign.
const statementPrefix = "isthmus/1/"

// Statement is what a signature or a fingerprint is over: a purpose and fields in a fixed order. JSON and protobuf have
// several encodings of one value; this has one, and no two different lists of fields are the same bytes. It is part of the
// product: versions of isthmus must agree on it for ever, so a statement that needs another field gets another purpose.
//
//	statement = field*           the first field is the text "isthmus/1/" and the purpose
//	field     = length content   length: 8 bytes, big endian
//	text      = UTF-8 as it is
//	number    = 8 bytes, big endian, two's complement
//	time      = seconds since 1970 (8 bytes) and nanoseconds (4 bytes), big endian; no content when there is no time
//	list      = the number of its elements, then each as a field
//
// The purposes, and what is said in which order:
//
//	join-grant      the fleet key signs: name, kind, datacenter, one-time key, expiry, uses, fleet key
//	attestation     the one-time key signs: SHA-256 of the join-grant, the grant's signature, agent, identity key, age
//	                recipient, create time
//	agent-keys      hashed, what a fingerprint shows: agent, kind, datacenter, identity key, age recipient
//	approval        the fleet key signs: SHA-256 of the agent-keys, fleet key, create time
//	join-token      the one-time key signs: SHA-256 of the join-grant, the grant's signature, address, CA fingerprint
//	server-csr      the identity key signs: federation's uid, agent, datacenter, its name in Consul, PKCS #10 request
//	own-ca          the identity key signs: federation's uid, the datacenter's role in it, agent, datacenter, number of the CA's
//	                certificates, SHA-256 of the DER of each in order
//	bundle-recipient  the fleet key signs: federation's uid, datacenter, age recipient, fleet key, create time
//	server-key      what the server key authenticates besides its ciphertext: label
//	sealed-payload, sealed-content, sealed-digest   see package seal
type Statement struct {
	bytes []byte
}

// NewStatement begins a statement. The purpose keeps a signature of one kind from being taken for another.
func NewStatement(purpose string) *Statement {
	return (&Statement{}).Text(statementPrefix + purpose)
}

// Bytes appends a field.
func (s *Statement) Bytes(field []byte) *Statement {
	s.bytes = binary.BigEndian.AppendUint64(s.bytes, uint64(len(field)))
	s.bytes = append(s.bytes, field...)
	return s
}

// Text appends a field.
func (s *Statement) Text(field string) *Statement { return s.Bytes([]byte(field)) }

// Texts appends a list: its length, then its elements.
func (s *Statement) Texts(fields []string) *Statement {
	s.Number(int64(len(fields)))
	for _, field := range fields {
		s.Text(field)
	}
	return s
}

// Number appends a field.
func (s *Statement) Number(field int64) *Statement {
	return s.Bytes(binary.BigEndian.AppendUint64(nil, uint64(field)))
}

// Time appends a moment; none is an empty field.
func (s *Statement) Time(field *timestamppb.Timestamp) *Statement {
	if field == nil {
		return s.Bytes(nil)
	}
	moment := binary.BigEndian.AppendUint64(nil, uint64(field.GetSeconds()))
	return s.Bytes(binary.BigEndian.AppendUint32(moment, uint32(field.GetNanos())))
}

// Digest is the statement's SHA-256.
func (s *Statement) Digest() []byte {
	sum := sha256.Sum256(s.bytes)
	return sum[:]
}

// Sign signs the statement.
func (s *Statement) Sign(key ed25519.PrivateKey) []byte { return ed25519.Sign(key, s.bytes) }

// Verify tells whether a signature is this statement's by this key; a key or signature of the wrong size is not.
func (s *Statement) Verify(key ed25519.PublicKey, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, s.bytes, signature)
}

// reader reads the fields that a Statement wrote, out of bytes that may be anything.
type reader struct {
	rest []byte
	// bad: a field was asked for that is not there, or is not of its form.
	bad bool
}

func (r *reader) bytes() []byte {
	const header = 8
	if r.bad || len(r.rest) < header {
		r.bad = true
		return nil
	}
	length, rest := binary.BigEndian.Uint64(r.rest), r.rest[header:]
	if length > uint64(len(rest)) {
		r.bad = true
		return nil
	}
	r.rest = rest[length:]
	return rest[:length:length]
}

func (r *reader) text() string { return string(r.bytes()) }

// sized reads a field of exactly n bytes.
func (r *reader) sized(n int) []byte {
	field := r.bytes()
	if len(field) != n {
		r.bad = true
		return make([]byte, n)
	}
	return field
}

func (r *reader) number() int64 { return int64(binary.BigEndian.Uint64(r.sized(8))) }

func (r *reader) time() *timestamppb.Timestamp {
	moment := r.sized(12)
	t := &timestamppb.Timestamp{
		Seconds: int64(binary.BigEndian.Uint64(moment)), Nanos: int32(binary.BigEndian.Uint32(moment[8:])),
	}
	r.bad = r.bad || t.CheckValid() != nil
	return t
}
