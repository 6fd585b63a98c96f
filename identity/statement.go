package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// statementPrefix separates isthmus's signatures from everything else that a key may sign.
const statementPrefix = "isthmus/1/"

// Statement is what a signature is over: a purpose and fields in a fixed order, each with its length before it, so that
// no two different lists of fields are the same bytes. JSON and protobuf have several encodings of one value; this has one.
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
