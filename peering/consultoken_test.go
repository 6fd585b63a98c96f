package peering_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"isthmus/fault"
	"isthmus/peering"
)

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

const whole = `{"CA":["x"],"ServerAddresses":["10.0.0.1:8503"],"ServerName":"server.dc1.peering.td","PeerID":"p","EstablishmentSecret":"s3cret"}`

func TestCheckConsulToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"whole", encoded(whole) + "\n", ""},
		{"with manual addresses alone", encoded(strings.Replace(whole, "ServerAddresses", "ManualServerAddresses", 1)), ""},
		{"nothing", "", "JSON"},
		{"a sentence", "not a token", "base64"},
		{"of a join token", "isthmus-join-1.AAAA", "base64"},
		{"base64 of something else", encoded("hello"), "JSON"},
		{"an empty one", encoded("{}"), "PeerID"},
		{"without a secret", encoded(strings.Replace(whole, "s3cret", "", 1)), "secret"},
		{"without a name", encoded(strings.Replace(whole, "ServerName", "Other", 1)), "ServerName"},
		{"without addresses", encoded(strings.Replace(whole, `"10.0.0.1:8503"`, "", 1)), "address"},
		{"too large", strings.Repeat("A", 1<<20), "larger"},
	} {
		err := peering.CheckConsulToken(tt.text)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want something about %s", tt.name, err, tt.want)
		}
	}
}

func FuzzCheckConsulToken(f *testing.F) {
	f.Add(encoded(whole))
	f.Add("not a token")
	f.Fuzz(func(t *testing.T, text string) {
		err := peering.CheckConsulToken(text)
		if err != nil && len(text) > 40 && strings.Contains(err.Error(), text) {
			t.Error("the error shows the token")
		}
	})
}
