package identity_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/identity"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const pinned = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"

// reason is the first violation's reason; "" when there is no error.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Violations) > 0 {
		return f.Violations[0].Reason
	}
	return ""
}

func fleetKey(tb testing.TB) *identity.FleetKey {
	tb.Helper()
	k, err := identity.NewFleetKey()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func mint(tb testing.TB, fleet *identity.FleetKey, datacenter string) *identity.JoinToken {
	tb.Helper()
	token, err := identity.MintJoinToken(fleet, identity.MintOptions{
		Datacenter: datacenter, Address: "127.0.0.1:8701", CAFingerprint: pinned,
	}, noon)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestJoinTokenIsOneUseAndFifteenMinutes(t *testing.T) {
	t.Parallel()
	fleet := fleetKey(t)
	token := mint(t, fleet, "dc1")
	parsed, err := identity.ParseJoinToken("  " + token.String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	info := parsed.Inspect()
	want := identity.TokenInfo{
		Name: token.Grant.GetName(), Kind: "agent", Datacenter: "dc1", Uses: 1, ExpireTime: noon.Add(15 * time.Minute),
		Address: "127.0.0.1:8701", CAFingerprint: pinned, FleetKey: fleet.ID(),
	}
	if info != want {
		t.Errorf("inspected %+v, want %+v", info, want)
	}
	if parsed.Expired(noon.Add(15*time.Minute-time.Second)) || !parsed.Expired(noon.Add(15*time.Minute)) {
		t.Error("it must be good for 15 minutes, and no longer")
	}
	if err := identity.VerifyGrant(parsed.Grant, fleet.Public()); err != nil {
		t.Error(err)
	}
	if err := identity.VerifyGrant(parsed.Grant, fleetKey(t).Public()); reason(err) != identity.ReasonUntrusted {
		t.Errorf("another fleet's key: %v", err)
	}
}

func TestMintRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, err := identity.MintJoinToken(nil, identity.MintOptions{
		Datacenter: "DC 1", Kind: "robot", TTL: -time.Second, Uses: -1, Address: "here", CAFingerprint: "x",
	}, noon)
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Violations) != 6 {
		t.Errorf("got %v, want all six problems at once", err)
	}
}

func TestParseRefusesEachDamageByItsName(t *testing.T) {
	t.Parallel()
	text := mint(t, fleetKey(t), "dc1").String()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", identity.ReasonNotAToken},
		{"an API token", "isthmus_admin_abc", identity.ReasonNotAToken},
		{"far too long", "isthmus-join-1." + strings.Repeat("A", 10_000), identity.ReasonNotAToken},
		{"another version", strings.Replace(text, "join-1.", "join-2.", 1), identity.ReasonTokenVersion},
		{"cut off", text[:len(text)-8], identity.ReasonTokenTruncated},
		{"only the beginning", "isthmus-join-1.", identity.ReasonTokenTruncated},
		{"strange characters", text[:len(text)-1] + "!", identity.ReasonTokenTampered},
	} {
		_, err := identity.ParseJoinToken(tt.text)
		if reason(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if err != nil && len(text) > 30 && strings.Contains(err.Error(), text[20:]) {
			t.Errorf("%s: the error shows the token", tt.name)
		}
	}
}

// Any change of any byte of a token is noticed.
func TestATamperedTokenIsRefused(t *testing.T) {
	t.Parallel()
	text := mint(t, fleetKey(t), "dc1").String()
	prefix := text[:strings.IndexByte(text, '.')+1]
	raw, err := base64.RawURLEncoding.DecodeString(text[len(prefix):])
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := append([]byte(nil), raw...)
		i := rapid.IntRange(0, len(raw)-1).Draw(t, "byte")
		changed[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, err := identity.ParseJoinToken(prefix + base64.RawURLEncoding.EncodeToString(changed)); err == nil {
			t.Fatalf("byte %d of %d was changed and nobody noticed", i, len(raw))
		}
	})
}

func FuzzParseJoinToken(f *testing.F) {
	f.Add(mint(f, fleetKey(f), "dc1").String())
	f.Add(mint(f, nil, "dc1").String())
	f.Add("isthmus-join-1.")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := identity.ParseJoinToken(text)
		if err == nil && token.String() != strings.TrimSpace(text) {
			t.Error("a token has more than one form")
		}
	})
}
