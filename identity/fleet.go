package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"

	"isthmus/fault"
	"isthmus/secretfile"
)

// pemPrivateKey is the PEM type of PKCS #8.
const pemPrivateKey = "PRIVATE KEY"

// FleetKey is the operator's key: what it signs, agents of the fleet believe. It never goes to a server.
type FleetKey struct {
	private ed25519.PrivateKey
}

// NewFleetKey makes one.
func NewFleetKey() (*FleetKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a fleet key: %w", err)
	}
	return &FleetKey{private: private}, nil
}

// LoadFleetKey reads one from a file that only its owner may read.
func LoadFleetKey(path string) (*FleetKey, error) {
	data, err := secretfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("loading the fleet key: %w", err)
	}
	private, err := parsePrivateKey(data)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is not a fleet key: make one with isthmus fleet init", path)
	}
	k := &FleetKey{private: private}
	// A key that was typed in from paper with one mistake is a key, too, but one that no agent has ever heard of.
	if said := fleetComment.FindSubmatch(data); said != nil && string(said[1]) != k.ID() {
		return nil, fault.New(fault.Refused, "%s is damaged: it says that it holds fleet key %s, but holds %s; take it from your copy", path, said[1], k.ID())
	}
	return k, nil
}

// fleetComment is the line above the key.
var fleetComment = regexp.MustCompile(`(?m)^# isthmus fleet key (SHA256:\S+)`)

// Save writes it to a file of mode 0600 that must not be there yet: overwriting a fleet key loses the fleet.
func (k *FleetKey) Save(path string) error {
	key, err := formatPrivateKey(k.private)
	if err != nil {
		return err
	}
	comment := "# isthmus fleet key " + k.ID() + "\n# Keep a copy in a safe place, and never on a server.\n"
	return secretfile.Create(path, append([]byte(comment), key...))
}

// String is the ID: no log shows the key by mistake.
func (k *FleetKey) String() string { return k.ID() }

// GoString is the ID, too.
func (k *FleetKey) GoString() string { return k.ID() }

// Public is the half that agents pin.
func (k *FleetKey) Public() ed25519.PublicKey {
	return ed25519.PublicKey(append([]byte(nil), k.private[ed25519.SeedSize:]...))
}

// Signer signs payloads that an operator makes.
func (k *FleetKey) Signer() ed25519.PrivateKey { return k.private }

// ID names the key for people: SHA256:… of its public half.
func (k *FleetKey) ID() string { return KeyID(k.Public()) }

// KeyID names a public key for people, as ssh does: SHA256:… in base64 without padding.
func KeyID(key ed25519.PublicKey) string { return fingerprint(key) }

// fingerprintPrefix names the hash, as ssh does.
const fingerprintPrefix = "SHA256:"

func fingerprint(data []byte) string {
	sum := sha256.Sum256(data)
	return formatFingerprint(sum[:])
}

func formatFingerprint(sum []byte) string {
	return fingerprintPrefix + base64.RawStdEncoding.EncodeToString(sum)
}

// parseFingerprint reads what formatFingerprint wrote.
func parseFingerprint(text string) (sum []byte, ok bool) {
	encoded, ok := strings.CutPrefix(text, fingerprintPrefix)
	if !ok {
		return nil, false
	}
	sum, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	return sum, err == nil && formatFingerprint(sum) == text && len(sum) == sha256.Size
}

func parsePrivateKey(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemPrivateKey {
		return nil, fault.New(fault.Invalid, "it has no PEM block of type %s", pemPrivateKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing PKCS #8: %w", err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "it is not an Ed25519 key")
	}
	return private, nil
}

func formatPrivateKey(private ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}
