package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What a join token is worth when nothing else is said: little, and not for long.
const (
	DefaultTTL  = 15 * time.Minute
	DefaultUses = 1
	// MaxTTL bounds how long a lost token can be used.
	MaxTTL = 30 * 24 * time.Hour
)

// The text of a join token is one line: a prefix with the version of its form, then base64url of
//
//	length of all of it (2 bytes, big endian)
//	fields as a Statement has them: address, SHA-256 of the CA, one-time seed, name, kind, datacenter, expiry, uses, fleet
//	key, fleet signature, one-time key's signature over the join-token statement
//
// The length stands first so that a token which was cut off is told from one that was changed.
const (
	tokenWord   = "isthmus-join-"
	tokenPrefix = tokenWord + "1."
	tokenHeader = 2
	// maxToken bounds what is parsed: twice a token with the longest names.
	maxToken = 2048
	// maxAddress is the longest DNS name with a port.
	maxAddress = 253 + len(":65535")
)

// JoinToken lets one agent (or as many as it says) enrol. It holds a private key: a secret.
type JoinToken struct {
	Grant *isthmusv1.JoinGrant
	// Address is the server's gRPC address, host:port.
	Address string
	// CAFingerprint is that of the server's CA: SHA256:….
	CAFingerprint string
	OneTimeKey    ed25519.PrivateKey
}

// MintOptions say what a join token is for.
type MintOptions struct {
	Datacenter string
	// Kind is agent (default) or gateway.
	Kind string
	// TTL defaults to 15 minutes, Uses to 1.
	TTL           time.Duration
	Uses          int32
	Address       string
	CAFingerprint string
}

// MintJoinToken makes a token. With the fleet key, what enrols with it is trusted by the fleet; with nil, by nobody until
// it is approved.
func MintJoinToken(fleet *FleetKey, o MintOptions, now time.Time) (*JoinToken, error) {
	if o.Kind == "" {
		o.Kind = KindAgent
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Uses == 0 {
		o.Uses = DefaultUses
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a one-time key: %w", err)
	}
	name, err := randomName(o.Datacenter)
	if err != nil {
		return nil, err
	}
	grant := &isthmusv1.JoinGrant{
		Name: name, Kind: o.Kind, Datacenter: o.Datacenter, OneTimeKey: public,
		ExpireTime: timestamppb.New(now.Add(o.TTL).Truncate(time.Second)), MaxUses: o.Uses,
	}
	if fleet != nil {
		grant.FleetKey = fleet.Public()
		grant.Signature = grantStatement(grant).Sign(fleet.private)
	}
	return &JoinToken{Grant: grant, Address: o.Address, CAFingerprint: o.CAFingerprint, OneTimeKey: private}, nil
}

func (o MintOptions) check() error {
	var v []fault.Violation
	add := func(field, format string, args ...any) {
		v = append(v, fault.Violation{Field: field, Reason: resource.ReasonInvalid, Message: fmt.Sprintf(format, args...)})
	}
	if !resource.ValidName(o.Datacenter) {
		add("datacenter", "%q is not a datacenter's name: a DNS label is expected", o.Datacenter)
	}
	if o.Kind != KindAgent && o.Kind != KindGateway {
		add("kind", "%q is not one of agent, gateway", o.Kind)
	}
	if o.TTL < time.Second || o.TTL > MaxTTL {
		add("ttl", "%s is not between 1s and %s", o.TTL, MaxTTL)
	}
	if o.Uses < 1 {
		add("uses", "%d is not at least 1", o.Uses)
	}
	if !validAddress(o.Address) {
		add("address", "%q is not the host:port of the server's gRPC API", o.Address)
	}
	if _, ok := parseFingerprint(o.CAFingerprint); !ok {
		add("caFingerprint", "%q is not a fingerprint: SHA256: and 43 characters of base64", o.CAFingerprint)
	}
	if len(v) > 0 {
		return fault.Violated(v...)
	}
	return nil
}

func validAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || len(address) > maxAddress || strings.ContainsAny(host, " \t\r\n/@?#") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// tokenStatement covers what the grant does not: where the token leads.
func tokenStatement(t *JoinToken) *Statement {
	return NewStatement("join-token").Bytes(grantStatement(t.Grant).Digest()).Bytes(t.Grant.GetSignature()).
		Text(t.Address).Text(t.CAFingerprint)
}

// String is the token as people carry it: one line. It is a secret.
func (t *JoinToken) String() string {
	g := t.Grant
	ca, _ := parseFingerprint(t.CAFingerprint)
	body := new(Statement).Text(t.Address).Bytes(ca).Bytes(t.OneTimeKey.Seed()).
		Text(g.GetName()).Text(g.GetKind()).Text(g.GetDatacenter()).Time(g.GetExpireTime()).Number(int64(g.GetMaxUses())).
		Bytes(g.GetFleetKey()).Bytes(g.GetSignature()).
		Bytes(tokenStatement(t).Sign(t.OneTimeKey)).bytes
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(
		binary.BigEndian.AppendUint16(nil, uint16(tokenHeader+len(body))), body...))
}

// ParseJoinToken reads a token and checks that nothing of it was changed; space around it is ignored. It does not look at
// the clock: see Expired. Refusals have the reasons NotAToken, TokenVersion, TokenTruncated and TokenTampered. No error holds
// any part of the token.
func ParseJoinToken(text string) (*JoinToken, error) {
	body, err := tokenBody(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	r := reader{rest: body}
	t := &JoinToken{Address: r.text(), CAFingerprint: formatFingerprint(r.sized(sha256.Size))}
	t.OneTimeKey = ed25519.NewKeyFromSeed(r.sized(ed25519.SeedSize))
	public, _ := t.OneTimeKey.Public().(ed25519.PublicKey)
	t.Grant = &isthmusv1.JoinGrant{Name: r.text(), Kind: r.text(), Datacenter: r.text(), OneTimeKey: public, ExpireTime: r.time()}
	uses := r.number()
	t.Grant.MaxUses = int32(uses)
	t.Grant.FleetKey, t.Grant.Signature = r.bytes(), r.bytes()
	signature := r.bytes()
	switch {
	case r.bad || len(r.rest) > 0 || int64(t.Grant.GetMaxUses()) != uses:
		return nil, badToken(ReasonTokenTampered, "the join token is damaged: copy it again, as one line")
	case !tokenStatement(t).Verify(public, signature) || !validAddress(t.Address):
		return nil, badToken(ReasonTokenTampered, "the join token was changed after it was made: get another one")
	}
	if len(t.Grant.GetFleetKey())+len(t.Grant.GetSignature()) > 0 {
		if err := VerifyGrant(t.Grant, t.Grant.GetFleetKey()); err != nil {
			return nil, badToken(ReasonTokenTampered, "the join token does not carry the fleet key's signature: get another one")
		}
	}
	return t, nil
}

// tokenBody is what the text of a token encodes, without prefix and length.
func tokenBody(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case strings.HasPrefix(text, apiPrefix):
		return nil, badToken(ReasonNotAToken, "this is an API token, not a join token: isthmus join-token create makes one")
	case !ok && strings.HasPrefix(text, tokenWord) && len(text) > len(tokenWord):
		if digits := strings.TrimLeft(text[len(tokenWord):], "0123456789"); digits == "" {
			return nil, badToken(ReasonTokenTruncated, "the join token is cut off: copy all of it")
		}
		return nil, badToken(ReasonTokenVersion, "this join token is of a version that this isthmus does not know: use the same version on both sides")
	case !ok && text != "" && strings.HasPrefix(tokenPrefix, text):
		return nil, badToken(ReasonTokenTruncated, "the join token is cut off: copy all of it")
	case !ok || len(text) > maxToken:
		return nil, badToken(ReasonNotAToken, "this is not a join token: one begins with %s", tokenPrefix)
	}
	const first = 4 // characters that hold the first 3 bytes
	if len(encoded) < first {
		return nil, badToken(ReasonTokenTruncated, "the join token is cut off: copy all of it")
	}
	head, err := base64.RawURLEncoding.DecodeString(encoded[:first])
	if err != nil {
		return nil, badToken(ReasonTokenTampered, "the join token is damaged: it has characters that no token has")
	}
	length := int(binary.BigEndian.Uint16(head))
	if len(encoded) < base64.RawURLEncoding.EncodedLen(length) && base64.RawURLEncoding.EncodedLen(length) <= maxToken {
		return nil, badToken(ReasonTokenTruncated, "the join token is cut off: copy all of it")
	}
	// Strict, and without the line breaks that the decoder would skip: a token has one form.
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") || len(data) != length {
		return nil, badToken(ReasonTokenTampered, "the join token is damaged: copy it again, as one line")
	}
	return data[tokenHeader:], nil
}

func badToken(reason, format string, args ...any) error {
	return refuse(fault.Invalid, reason, "joinToken", format, args...)
}

// Expired tells whether the token's time is over.
func (t *JoinToken) Expired(now time.Time) bool { return !now.Before(t.Grant.GetExpireTime().AsTime()) }

// TokenInfo is all of a join token but its secret.
type TokenInfo struct {
	Name          string    `json:"name"`
	Kind          string    `json:"kind"`
	Datacenter    string    `json:"datacenter"`
	Uses          int32     `json:"uses"`
	ExpireTime    time.Time `json:"expireTime"`
	Address       string    `json:"address"`
	CAFingerprint string    `json:"caFingerprint"`
	// FleetKey is the fleet key's id; empty when the token was minted without it.
	FleetKey string `json:"fleetKey,omitempty"`
}

// Inspect shows the token without its secret.
func (t *JoinToken) Inspect() TokenInfo {
	info := TokenInfo{
		Name: t.Grant.GetName(), Kind: t.Grant.GetKind(), Datacenter: t.Grant.GetDatacenter(), Uses: t.Grant.GetMaxUses(),
		ExpireTime: t.Grant.GetExpireTime().AsTime(), Address: t.Address, CAFingerprint: t.CAFingerprint,
	}
	if len(t.Grant.GetFleetKey()) > 0 {
		info.FleetKey = KeyID(t.Grant.GetFleetKey())
	}
	return info
}
