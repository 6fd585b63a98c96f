package peering

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"isthmus/fault"
)

// maxConsulToken bounds what is parsed as a peering token; one with ten addresses and CAs has some 20 KiB.
const maxConsulToken = 256 << 10

// CheckConsulToken tells whether text is a peering token as Consul makes them: base64 of JSON with the peering's id, its
// secret, the name that its servers answer to and at least one of their addresses (Consul's structs.PeeringToken). It cannot
// tell whether the token is still good: only its maker's Consul can. The error holds no part of the text.
func CheckConsulToken(text string) error {
	bad := func(format string, args ...any) error {
		return fault.Violated(fault.Violation{
			Field: "token", Reason: "Invalid", Message: fault.New(fault.Invalid, format, args...).Message,
		})
	}
	text = strings.TrimSpace(text)
	if len(text) > maxConsulToken {
		return bad("is larger than any peering token: %d bytes", len(text))
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return bad("is not a peering token: expected the base64 text that consul peering generate-token prints")
	}
	var token struct {
		ServerName            string
		PeerID                string
		EstablishmentSecret   string
		ServerAddresses       []string
		ManualServerAddresses []string
	}
	if err := json.Unmarshal(raw, &token); err != nil {
		return bad("is not a peering token: it is base64, but not of the JSON that Consul makes")
	}
	switch {
	case token.PeerID == "":
		return bad("is not a peering token: it names no peering (PeerID)")
	case token.EstablishmentSecret == "":
		return bad("is a peering token of before Consul 1.14, without a secret: make it with a newer Consul")
	case token.ServerName == "":
		return bad("is not a whole peering token: it does not say what the other servers are called (ServerName)")
	case len(token.ServerAddresses)+len(token.ManualServerAddresses) == 0:
		return bad("is a peering token without any server's address: nobody could be dialled")
	}
	return nil
}
