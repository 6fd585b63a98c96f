package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/secretfile"
)

// Files of an agent's identity in its data directory.
const (
	// identityFile holds the keys, what proves them, and what was pinned. Written once, before the server hears of it, so
	// that a crash while enrolling never loses keys that the server already knows.
	identityFile = "identity.json"
	// certificateFile holds what the server gave: replaced at every renewal, and nothing is lost with it but a renewal.
	certificateFile = "certificate.pem"
)

// pemCertificate is the PEM type of a certificate.
const pemCertificate = "CERTIFICATE"

// Identity is an agent's own keys, what proves them, and what it pinned when it enrolled.
type Identity struct {
	// Attestation has the agent's name, datacenter and public keys.
	Attestation *isthmusv1.Attestation
	// Address of the server's gRPC API, and the fingerprint of its CA, from the join token.
	Address       string
	CAFingerprint string

	key ed25519.PrivateKey
	age *age.X25519Identity
}

// identityForm is the file's form.
type identityForm struct {
	Version       int             `json:"version"`
	Attestation   json.RawMessage `json:"attestation"`
	Address       string          `json:"address"`
	CAFingerprint string          `json:"caFingerprint"`
	IdentityKey   string          `json:"identityKey"`
	AgeKey        string          `json:"ageKey"`
}

const identityVersion = 1

// NewIdentity makes an agent's keys and attests them with a join token.
func NewIdentity(token *JoinToken, now time.Time) (*Identity, error) {
	name, err := randomName(token.Grant.GetDatacenter())
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an identity key: %w", err)
	}
	opener, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making an age key: %w", err)
	}
	return &Identity{
		Attestation: Attest(token, name, public, opener.Recipient().String(), now),
		Address:     token.Address, CAFingerprint: token.CAFingerprint, key: private, age: opener,
	}, nil
}

// LoadIdentity reads the identity in a data directory: fs.ErrNotExist when it has none.
func LoadIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	data, err := secretfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("loading the agent's identity: %w", err)
	}
	i, err := parseIdentity(data)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is damaged: enrol anew with another join token, in an empty data directory", path)
	}
	return i, nil
}

func parseIdentity(data []byte) (*Identity, error) {
	var form identityForm
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, err
	}
	if form.Version != identityVersion {
		return nil, fault.New(fault.Invalid, "it is of version %d", form.Version)
	}
	i := &Identity{Attestation: &isthmusv1.Attestation{}, Address: form.Address, CAFingerprint: form.CAFingerprint}
	// A newer isthmus may have written more; what is signed is checked below.
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(form.Attestation, i.Attestation); err != nil {
		return nil, err
	}
	var err error
	if i.key, err = parsePrivateKey([]byte(form.IdentityKey)); err != nil {
		return nil, err
	}
	if i.age, err = age.ParseX25519Identity(form.AgeKey); err != nil {
		// Its error may quote the key.
		return nil, fault.New(fault.Invalid, "its age key does not parse")
	}
	public, _ := i.key.Public().(ed25519.PublicKey)
	if !public.Equal(ed25519.PublicKey(i.Attestation.GetIdentityKey())) || i.age.Recipient().String() != i.Attestation.GetAgeRecipient() {
		return nil, fault.New(fault.Invalid, "its keys are not the ones that it attests")
	}
	// Whether it came in time is for the server to say: an agent that hears so ends with a reason of its own.
	return i, checkAttestation(i.Attestation)
}

// Save writes the identity into a data directory that has none yet.
func (i *Identity) Save(dir string) error {
	attestation, err := protojson.Marshal(i.Attestation)
	if err != nil {
		return fmt.Errorf("encoding the attestation: %w", err)
	}
	key, err := formatPrivateKey(i.key)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(identityForm{
		Version: identityVersion, Attestation: attestation, Address: i.Address, CAFingerprint: i.CAFingerprint,
		IdentityKey: string(key), AgeKey: i.age.String(),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the identity: %w", err)
	}
	return secretfile.Create(filepath.Join(dir, identityFile), data)
}

// Agent is the agent's name.
func (i *Identity) Agent() string { return i.Attestation.GetAgent() }

// Datacenter is the one that the agent was made for.
func (i *Identity) Datacenter() string { return i.Attestation.GetGrant().GetDatacenter() }

func (i *Identity) name() AgentName {
	return AgentName{Name: i.Agent(), Datacenter: i.Datacenter(), Kind: i.Attestation.GetGrant().GetKind()}
}

// String is the agent's name: no log shows its keys by mistake.
func (i *Identity) String() string { return i.Agent() }

// GoString is the agent's name, too.
func (i *Identity) GoString() string { return i.Agent() }

// FleetKey is the pinned public fleet key; empty when the join token was minted without it. Such an agent takes nothing
// from others until it is told the fleet key on its own host.
func (i *Identity) FleetKey() ed25519.PublicKey { return i.Attestation.GetGrant().GetFleetKey() }

// Signer signs what the agent makes.
func (i *Identity) Signer() ed25519.PrivateKey { return i.key }

// Opener opens what is sealed to the agent.
func (i *Identity) Opener() *age.X25519Identity { return i.age }

// CSR asks for a certificate for the identity key (PKCS #10, DER).
func (i *Identity) CSR() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, i.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return der, nil
}

// Credential is the certificate that the server gave to an agent. What the server shows in turn is checked against the
// pinned fingerprint: see PinnedTLS.
type Credential struct {
	Certificate tls.Certificate
}

// Leaf is the parsed certificate.
func (c Credential) Leaf() *x509.Certificate { return c.Certificate.Leaf }

// RenewTime is when to renew: at two thirds of the certificate's life.
func (c Credential) RenewTime() time.Time {
	leaf := c.Leaf()
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
}

// Accept checks an answer to Enrol or Renew (PEM), and keeps it in the data directory: the certificate must be for this
// identity's key and agent, and chain to the CA. That CA is the pinned one unless the server was given a certificate of
// somebody else's for its listener: whose answer it is, the pinned connection has proven.
func (i *Identity) Accept(dir, certificate, ca string) (Credential, error) {
	c, err := i.Credential(certificate, ca)
	if err != nil {
		return Credential{}, err
	}
	return c, secretfile.Write(filepath.Join(dir, certificateFile), []byte(certificate+ca))
}

// LoadCredential reads what Accept kept; fs.ErrNotExist when the agent has not been answered yet.
func (i *Identity) LoadCredential(dir string) (Credential, error) {
	path := filepath.Join(dir, certificateFile)
	data, err := secretfile.Read(path)
	if err != nil {
		return Credential{}, fmt.Errorf("loading the agent's certificate: %w", err)
	}
	leaf, rest := pem.Decode(data)
	if leaf == nil {
		// Nothing is lost: the identity enrols again with the same keys.
		return Credential{}, errors.Join(fs.ErrNotExist, fault.New(fault.Invalid, "%s is damaged", path))
	}
	return i.Credential(string(pem.EncodeToMemory(leaf)), string(rest))
}

// Credential checks what the server gave, PEM, and keeps it nowhere: see Accept.
func (i *Identity) Credential(certificate, ca string) (Credential, error) {
	bad := func(format string, args ...any) (Credential, error) {
		return Credential{}, refuse(fault.Denied, ReasonUnknownServer, "certificate", format, args...)
	}
	block, _ := pem.Decode([]byte(certificate))
	if block == nil || block.Type != pemCertificate {
		return bad("the server's answer holds no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return bad("the server's certificate for this agent does not parse")
	}
	root, err := parseCertificate(ca)
	if err != nil {
		return bad("the server's answer holds no CA")
	}
	public, _ := i.key.Public().(ed25519.PublicKey)
	if !public.Equal(leaf.PublicKey) {
		return bad("the server's certificate is for another key than this agent's")
	}
	who, err := AgentFromCertificate(leaf)
	if err != nil || who != i.name() {
		return bad("the server's certificate names another agent than %s in %s", i.Agent(), i.Datacenter())
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if err := verifyChain(leaf, pool, leaf.NotBefore, x509.ExtKeyUsageClientAuth); err != nil {
		return bad("the server's certificate does not chain to its CA")
	}
	return Credential{
		Certificate: tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: i.key, Leaf: leaf},
	}, nil
}
