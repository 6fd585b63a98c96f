// Package seal carries secrets between agents so that the control plane in between sees ciphertext only, and cannot swap,
// replay, roll back or redirect any of it.
//
// Owns: sealing, opening, what can be checked without a key, and every reason to refuse. Does not own: whose keys are
// whose (identity), what a secret means (agent), where ciphertext is kept (store). Start reading at Seal and Open.
//
//	Seal:  heading = kind, uid, from, to, generation, attempt, times, recipients
//	       SHA-256 of the heading and plaintext ─age─▶ ciphertext ─┐
//	       heading ────────────────────────────────────────────────┴─ signed by the maker's identity key
//	Open:  maker attested up to the pinned fleet key → of the right datacenter → signature → exactly what was expected
//	       → not expired → sealed to this agent → sealed under this very heading → plaintext
//
// The heading is inside of the ciphertext, too, since a signature alone lets others sign what they cannot read: an agent of
// another datacenter, together with a hostile server, could pass on somebody else's token as its own.
//
// What is signed and hashed, as identity.Statement encodes it:
//
//	heading         kind, uid, from, from datacenter, to datacenter, generation, attempt, create time, expire time, recipients
//	sealed-payload  the maker signs: heading, SHA-256 of the ciphertext
//	sealed-content  hashed, what stands before the plaintext: heading
//	sealed-digest   hashed, the payload's name: SHA-256 of the sealed-payload, the signature
package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Kinds of payloads: a Consul peering token; what a datacenter needs to join a WAN federation.
const (
	KindPeeringToken     = "peering-token"
	KindFederationBundle = "federation-bundle"
)

// Operator is the maker's name of a payload that the fleet key itself signed.
const Operator = "operator"

// Limits of what is taken from others. A peering token is some 2 KiB; a federation bundle tens of them.
const (
	MaxPlaintext  = 1 << 20
	maxCiphertext = MaxPlaintext + 64<<10
	maxRecipients = 256
	// maxEncoded: besides the ciphertext, the recipients (62 characters each) and some names.
	maxEncoded = maxCiphertext + maxRecipients*128
)

// clockSkew is how far two hosts' clocks may be apart.
const clockSkew = 5 * time.Minute

// Reasons why a payload is refused.
const (
	ReasonUnknownSender   = "UnknownSender"
	ReasonUntrustedSender = "UntrustedSender"
	ReasonWrongSender     = "WrongSenderDatacenter"
	ReasonBadSignature    = "BadSignature"
	ReasonWrongKind       = "WrongKind"
	ReasonWrongResource   = "WrongResource"
	ReasonWrongDirection  = "WrongDirection"
	ReasonWrongGeneration = "WrongGeneration"
	ReasonExpired         = "Expired"
	ReasonFromTheFuture   = "FromTheFuture"
	ReasonNotForUs        = "NotForUs"
	ReasonTooLarge        = "TooLarge"
	ReasonUndecipherable  = "Undecipherable"
	// ReasonWrongContent: what is inside was sealed by somebody else, or for something else, than the payload says.
	ReasonWrongContent = "WrongContent"
)

// Draft is what a payload says of itself.
type Draft struct {
	Kind string
	// UID of the resource that the secret belongs to.
	UID string
	// From is the making agent's name, or Operator.
	From           string
	FromDatacenter string
	ToDatacenter   string
	Generation     int32
	Attempt        int32
	TTL            time.Duration
}

// Seal encrypts plaintext to recipients (age1…) and signs the payload.
func Seal(d Draft, signer ed25519.PrivateKey, recipients []string, plaintext []byte, now time.Time) (*isthmusv1.SealedPayload, error) {
	switch {
	case len(recipients) == 0:
		return nil, fault.New(fault.Refused, "nobody to seal to: %s has no agent that is trusted up to the fleet key", d.ToDatacenter)
	case len(recipients) > maxRecipients:
		return nil, fault.New(fault.TooLarge, "%d recipients are more than %d", len(recipients), maxRecipients)
	case d.Kind == "" || d.UID == "" || d.From == "" || d.ToDatacenter == "" || d.Generation < 0 || d.TTL <= 0:
		return nil, fault.New(fault.Invalid, "a payload needs a kind, a uid, a maker, a destination, a generation and a time to live")
	case len(signer) != ed25519.PrivateKeySize:
		return nil, fault.New(fault.Invalid, "there is no key to sign with")
	case len(plaintext) > MaxPlaintext:
		return nil, fault.New(fault.TooLarge, "%d bytes are more than can be sealed (%d)", len(plaintext), MaxPlaintext)
	}
	p := &isthmusv1.SealedPayload{
		Kind: d.Kind, Uid: d.UID, From: d.From, FromDatacenter: d.FromDatacenter, ToDatacenter: d.ToDatacenter,
		Generation: d.Generation, Attempt: d.Attempt,
		CreateTime: timestamppb.New(now), ExpireTime: timestamppb.New(now.Add(d.TTL)),
		Recipients: slices.Clone(recipients),
	}
	ciphertext, err := encrypt(recipients, append(contentHash(p), plaintext...))
	if err != nil {
		return nil, err
	}
	p.Ciphertext = ciphertext
	p.Signature = statement(p).Sign(signer)
	return p, nil
}

func encrypt(recipients []string, plaintext []byte) ([]byte, error) {
	parsed := make([]age.Recipient, len(recipients))
	for i, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "recipient %d is not an age recipient (age1…)", i+1)
		}
		parsed[i] = r
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, parsed...)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if _, err := w.Write(plaintext); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return out.Bytes(), nil
}

// heading is everything that a payload says of its content.
func heading(purpose string, p *isthmusv1.SealedPayload) *identity.Statement {
	return identity.NewStatement(purpose).Text(p.GetKind()).Text(p.GetUid()).Text(p.GetFrom()).
		Text(p.GetFromDatacenter()).Text(p.GetToDatacenter()).Number(int64(p.GetGeneration())).Number(int64(p.GetAttempt())).
		Time(p.GetCreateTime()).Time(p.GetExpireTime()).Texts(p.GetRecipients())
}

// statement is what the maker signs: everything, the ciphertext by its hash.
func statement(p *isthmusv1.SealedPayload) *identity.Statement {
	hash := sha256.Sum256(p.GetCiphertext())
	return heading("sealed-payload", p).Bytes(hash[:])
}

// contentHash stands before the plaintext.
func contentHash(p *isthmusv1.SealedPayload) []byte { return heading("sealed-content", p).Digest() }

// Digest names a payload in the store and in desired states: SHA-256 (hex) over everything, the signature included.
func Digest(p *isthmusv1.SealedPayload) string {
	return hex.EncodeToString(identity.NewStatement("sealed-digest").Bytes(statement(p).Digest()).Bytes(p.GetSignature()).Digest())
}

// Encode is a payload's form in the store.
func Encode(p *isthmusv1.SealedPayload) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding a sealed payload: %w", err)
	}
	return data, nil
}

// Decode reads what Encode made.
func Decode(data []byte) (*isthmusv1.SealedPayload, error) {
	if len(data) > maxEncoded {
		return nil, refuse(ReasonTooLarge, "a sealed payload of %d bytes is larger than any can be", len(data))
	}
	p := &isthmusv1.SealedPayload{}
	if err := proto.Unmarshal(data, p); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "this is not a sealed payload")
	}
	return p, nil
}

// Expect is what the opener knows must be in the payload. Everything must match exactly.
type Expect struct {
	Kind           string
	UID            string
	FromDatacenter string
	ToDatacenter   string
	// Generation is the one that the desired state names.
	Generation int32
	// MinGeneration is the newest that this agent has taken before: an older one is a rollback, whoever asks for it.
	MinGeneration int32
}

// Open verifies and decrypts a payload. senders are those whom the server proposes; what counts is that one of them made
// it and is trusted up to fleet, the fleet key that this agent has pinned. Refusals are *fault.Error of code Denied, with
// one of the reasons above.
func Open(p *isthmusv1.SealedPayload, want Expect, senders []*isthmusv1.TrustedAgent, fleet ed25519.PublicKey,
	opener *age.X25519Identity, now time.Time,
) ([]byte, error) {
	if len(p.GetCiphertext()) > maxCiphertext || len(p.GetRecipients()) > maxRecipients {
		return nil, refuse(ReasonTooLarge, "the payload is larger than any can be")
	}
	if err := checkSender(p, senders, fleet); err != nil {
		return nil, err
	}
	if err := checkContent(p, want, now); err != nil {
		return nil, err
	}
	if !slices.Contains(p.GetRecipients(), opener.Recipient().String()) {
		return nil, refuse(ReasonNotForUs, "the payload is not sealed to this agent's key")
	}
	content, err := decrypt(p.GetCiphertext(), opener)
	if err != nil {
		return nil, refuse(ReasonUndecipherable, "the payload does not open with this agent's key, although it says so")
	}
	if len(content) > sha256.Size+MaxPlaintext {
		return nil, refuse(ReasonTooLarge, "the payload holds more than any can")
	}
	plaintext, ok := bytes.CutPrefix(content, contentHash(p))
	if !ok {
		return nil, refuse(ReasonWrongContent, "what is in the payload was sealed for something else than %s says", p.GetFrom())
	}
	return plaintext, nil
}

func checkSender(p *isthmusv1.SealedPayload, senders []*isthmusv1.TrustedAgent, fleet ed25519.PublicKey) error {
	if len(fleet) != ed25519.PublicKeySize {
		return refuse(ReasonUntrustedSender, "this agent has pinned no fleet key, so it believes nobody")
	}
	key := fleet
	if p.GetFrom() != Operator {
		i := slices.IndexFunc(senders, func(t *isthmusv1.TrustedAgent) bool { return t.GetAttestation().GetAgent() == p.GetFrom() })
		if i < 0 {
			return refuse(ReasonUnknownSender, "the payload is from %q, who is no agent of %s", p.GetFrom(), p.GetFromDatacenter())
		}
		sender := senders[i]
		if err := identity.VerifyTrusted(sender, fleet); err != nil {
			refusal := refuse(ReasonUntrustedSender, "the payload's maker %s is not trusted by the fleet key", p.GetFrom())
			refusal.Cause = err
			return refusal
		}
		grant := sender.GetAttestation().GetGrant()
		if grant.GetDatacenter() != p.GetFromDatacenter() || grant.GetKind() != identity.KindAgent {
			return refuse(ReasonWrongSender, "the payload says that it is from %s, but its maker is a %s of %s",
				p.GetFromDatacenter(), grant.GetKind(), grant.GetDatacenter())
		}
		key = sender.GetAttestation().GetIdentityKey()
	}
	return verifySignature(p, key)
}

func verifySignature(p *isthmusv1.SealedPayload, key ed25519.PublicKey) error {
	if !statement(p).Verify(key, p.GetSignature()) {
		return refuse(ReasonBadSignature, "the payload does not carry the signature of %s: it was changed or forged", p.GetFrom())
	}
	return nil
}

func checkContent(p *isthmusv1.SealedPayload, want Expect, now time.Time) error {
	switch {
	case p.GetKind() != want.Kind:
		return refuse(ReasonWrongKind, "the payload is a %q, expected a %q", p.GetKind(), want.Kind)
	case p.GetUid() != want.UID:
		return refuse(ReasonWrongResource, "the payload belongs to another resource")
	case p.GetFromDatacenter() != want.FromDatacenter || p.GetToDatacenter() != want.ToDatacenter:
		return refuse(ReasonWrongDirection, "the payload is from %q to %q, expected from %q to %q",
			p.GetFromDatacenter(), p.GetToDatacenter(), want.FromDatacenter, want.ToDatacenter)
	case p.GetGeneration() != want.Generation || p.GetGeneration() < want.MinGeneration:
		return refuse(ReasonWrongGeneration, "the payload is of generation %d, expected %d and none before %d",
			p.GetGeneration(), want.Generation, want.MinGeneration)
	case p.GetExpireTime() == nil || !now.Before(p.GetExpireTime().AsTime().Add(clockSkew)):
		return refuse(ReasonExpired, "the payload has expired")
	case p.GetCreateTime() == nil || p.GetCreateTime().AsTime().After(now.Add(clockSkew)):
		return refuse(ReasonFromTheFuture, "the payload was made in the future: a clock is wrong")
	}
	return nil
}

func decrypt(ciphertext []byte, opener *age.X25519Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(ciphertext), opener)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, sha256.Size+MaxPlaintext+1))
}

// refuse is a fault with one reason.
func refuse(reason, format string, args ...any) *fault.Error {
	message := fmt.Sprintf(format, args...)
	return &fault.Error{
		Code: fault.Denied, Message: message,
		Violations: []fault.Violation{{Field: "payload", Reason: reason, Message: message}},
	}
}
