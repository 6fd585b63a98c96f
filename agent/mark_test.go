package agent_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"isthmus/agent"
)

// A token may have the dialer's Consul dial others than the servers, which Consul does not show.
func TestDialledWithAToken(t *testing.T) {
	t.Parallel()
	shown := []string{"10.0.0.10:8503"}
	long := `"` + strings.Repeat("a", 600) + `:8503"`
	for token, want := range map[string][]string{
		`{"ServerAddresses":["10.0.0.10:8503"],"ManualServerAddresses":["lb-1:8503","lb-2:8503"]}`: {"lb-1:8503", "lb-2:8503"},
		`{"ServerAddresses":["10.0.0.10:8503"],"ManualServerAddresses":null}`:                      shown,
		`{"ManualServerAddresses":[` + long + `]}`:                                                 shown,
		`{"ManualServerAddresses":"lb"}`:                                                           shown,
		`hello`:                                                                                    shown,
	} {
		if got := agent.DialledWith(base64.StdEncoding.EncodeToString([]byte(token)), shown); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}

// Whatever somebody hands over as a token: there is something to dial, and nothing that Consul's Meta would not take.
func FuzzDialledWithAToken(f *testing.F) {
	f.Add([]byte(`{"ManualServerAddresses":["lb:8503"]}`))
	f.Fuzz(func(t *testing.T, token []byte) {
		for _, text := range []string{string(token), base64.StdEncoding.EncodeToString(token)} {
			got := agent.DialledWith(text, []string{"10.0.0.10:8503"})
			if len(got) == 0 || len(strings.Join(got, ",")) > 512 {
				t.Errorf("%q", got)
			}
		}
	})
}
