package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
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

// tokenPrefix names the kind of string and the version of its form.
const (
	tokenWord   = "isthmus-join-"
	tokenPrefix = tokenWord + "1."
)

// maxToken bounds what is parsed as a token.
const maxToken = 4096

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
	if _, port, err := net.SplitHostPort(o.Address); err != nil || port == "" {
		add("address", "%q is not the host:port of the server's gRPC API", o.Address)
	}
	if !strings.HasPrefix(o.CAFingerprint, "SHA256:") {
		add("caFingerprint", "%q is not a fingerprint (SHA256:…)", o.CAFingerprint)
	}
	if len(v) > 0 {
		return fault.Violated(v...)
	}
	return nil
}

// tokenStatement covers what the grant does not: where the token leads.
func tokenStatement(t *JoinToken) *Statement {
	return NewStatement("join-token").Bytes(grantStatement(t.Grant).Digest()).Bytes(t.Grant.GetSignature()).
		Text(t.Address).Text(t.CAFingerprint)
}

// String is the token as people carry it: one line. It is a secret.
func (t *JoinToken) String() string {
	grant, err := proto.MarshalOptions{Deterministic: true}.Marshal(t.Grant)
	if err != nil {
		panic("identity: encoding a grant: " + err.Error())
	}
	var out []byte
	for _, field := range [][]byte{
		grant, []byte(t.Address), []byte(t.CAFingerprint), t.OneTimeKey.Seed(), tokenStatement(t).Sign(t.OneTimeKey),
	} {
		out = binary.AppendUvarint(out, uint64(len(field)))
		out = append(out, field...)
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(out)
}

// ParseJoinToken reads a token and checks that nothing of it was changed. It does not look at the clock: see Expired.
// Refusals have the reasons NotAToken, TokenVersion, TokenTruncated and TokenTampered. No error holds any part of the token.
func ParseJoinToken(text string) (*JoinToken, error) {
	text = strings.TrimSpace(text)
	bad := func(reason, format string, args ...any) (*JoinToken, error) {
		return nil, refuse(fault.Invalid, reason, "joinToken", format, args...)
	}
	if !strings.HasPrefix(text, tokenWord) || len(text) > maxToken {
		return bad(ReasonNotAToken, "this is not a join token: one begins with %s", tokenPrefix)
	}
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return bad(ReasonTokenVersion, "this join token is of a version that this isthmus does not know: use the same version on both sides")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return bad(ReasonTokenTampered, "the join token is damaged: it has characters that no token has")
	}
	fields, ok := splitFields(data)
	if !ok {
		return bad(ReasonTokenTruncated, "the join token is cut off: copy all of it")
	}
	t := &JoinToken{Grant: &isthmusv1.JoinGrant{}, Address: string(fields[1]), CAFingerprint: string(fields[2])}
	if err := proto.Unmarshal(fields[0], t.Grant); err != nil || len(fields[3]) != ed25519.SeedSize {
		return bad(ReasonTokenTampered, "the join token is damaged: copy it again")
	}
	t.OneTimeKey = ed25519.NewKeyFromSeed(fields[3])
	public, _ := t.OneTimeKey.Public().(ed25519.PublicKey)
	if !bytes.Equal(public, t.Grant.GetOneTimeKey()) || !tokenStatement(t).Verify(public, fields[4]) || t.String() != text {
		return bad(ReasonTokenTampered, "the join token was changed after it was made: get another one")
	}
	if len(t.Grant.GetFleetKey())+len(t.Grant.GetSignature()) > 0 {
		if err := VerifyGrant(t.Grant, t.Grant.GetFleetKey()); err != nil {
			return bad(ReasonTokenTampered, "the join token does not carry the fleet key's signature: get another one")
		}
	}
	return t, nil
}

// tokenFields is how many parts a token has.
const tokenFields = 5

func splitFields(data []byte) ([][]byte, bool) {
	fields := make([][]byte, 0, tokenFields)
	for range tokenFields {
		length, n := binary.Uvarint(data)
		if n <= 0 || length > uint64(len(data)-n) {
			return nil, false
		}
		fields = append(fields, data[n:n+int(length)])
		data = data[n+int(length):]
	}
	return fields, len(data) == 0
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
