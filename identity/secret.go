package identity

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/secretfile"
)

const (
	pemServerKey = "ISTHMUS SERVER KEY"
	// sealedVersion is the first byte of what a server key sealed.
	sealedVersion = 1
)

// ServerKey seals what the server itself must read again: its CA's key. Who has the database but not this key has nothing.
type ServerKey struct {
	aead cipher.AEAD
	raw  []byte
}

// NewServerKey makes one.
func NewServerKey() (*ServerKey, error) {
	raw := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("making a server key: %w", err)
	}
	return newServerKey(raw)
}

func newServerKey(raw []byte) (*ServerKey, error) {
	aead, err := chacha20poly1305.NewX(raw)
	if err != nil {
		return nil, fmt.Errorf("using a server key: %w", err)
	}
	return &ServerKey{aead: aead, raw: raw}, nil
}

// LoadServerKey reads one from a file that only its owner may read; fs.ErrNotExist when there is none.
func LoadServerKey(path string) (*ServerKey, error) {
	data, err := secretfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("loading the server key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemServerKey || len(block.Bytes) != chacha20poly1305.KeySize {
		return nil, fault.New(fault.Invalid, "%s is not a server key", path)
	}
	return newServerKey(block.Bytes)
}

// Save writes it to a file of mode 0600 that must not be there yet.
func (k *ServerKey) Save(path string) error {
	return secretfile.Create(path, pem.EncodeToMemory(&pem.Block{Type: pemServerKey, Bytes: k.raw}))
}

// Derive makes the key for one use out of it: the same on every server that has this one, and of no help to find it.
func (k *ServerKey) Derive(use string) (*ServerKey, error) {
	raw, err := hkdf.Key(sha256.New, k.raw, nil, string(NewStatement("server-key-use").Text(use).bytes), chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for %s: %w", use, err)
	}
	return newServerKey(raw)
}

// String hides the key: no log shows it by mistake.
func (k *ServerKey) String() string { return "server key" }

// GoString hides it, too.
func (k *ServerKey) GoString() string { return k.String() }

// Seal encrypts for this key. The label says what it is; Open must say the same.
func (k *ServerKey) Seal(label string, plaintext []byte) ([]byte, error) {
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(plaintext)+k.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("sealing %s: %w", label, err)
	}
	return append([]byte{sealedVersion}, k.aead.Seal(nonce, nonce, plaintext, serverLabel(label))...), nil
}

// Open decrypts what Seal made. WrongKey: made by another key, for another label, or changed.
func (k *ServerKey) Open(label string, sealed []byte) ([]byte, error) {
	wrong := refuse(fault.Refused, ReasonWrongKey, "serverKeyFile",
		"%s in the store does not open with this server key: use the key with which the store was made", label)
	if len(sealed) < 1+k.aead.NonceSize() || sealed[0] != sealedVersion {
		return nil, wrong
	}
	nonce, body := sealed[1:1+k.aead.NonceSize()], sealed[1+k.aead.NonceSize():]
	plaintext, err := k.aead.Open(nil, nonce, body, serverLabel(label))
	if err != nil {
		return nil, wrong
	}
	return plaintext, nil
}

func serverLabel(label string) []byte { return NewStatement("server-key").Text(label).bytes }

// API tokens.
const (
	apiPrefix = "isthmus_"
	// apiRandom is 256 bits: guessing is no way in, so that a plain hash is enough to store.
	apiRandom = 32
)

// NewAPISecret makes the secret of an API token: isthmus_<name>_<43 random characters>, and the hash to store.
func NewAPISecret(name string) (secret string, hash []byte, err error) {
	random := make([]byte, apiRandom)
	if _, err := rand.Read(random); err != nil {
		return "", nil, fmt.Errorf("making an API token: %w", err)
	}
	secret = apiPrefix + name + "_" + base64.RawURLEncoding.EncodeToString(random)
	return secret, hashSecret(secret), nil
}

// ParseAPISecret reads the token's name out of a secret, and its hash. The error holds no part of it.
func ParseAPISecret(secret string) (name string, hash []byte, err error) {
	bad := fault.New(fault.Unauthenticated, "this is not an API token: one looks like isthmus_<name>_<43 characters>")
	rest, ok := strings.CutPrefix(secret, apiPrefix)
	if !ok {
		return "", nil, bad
	}
	name, random, ok := strings.Cut(rest, "_")
	if !ok || !resource.ValidName(name) || len(random) != base64.RawURLEncoding.EncodedLen(apiRandom) {
		return "", nil, bad
	}
	return name, hashSecret(secret), nil
}

// SameHash compares two hashes in a time that tells nothing.
func SameHash(a, b []byte) bool {
	return len(a) == sha256.Size && subtle.ConstantTimeCompare(a, b) == 1
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
