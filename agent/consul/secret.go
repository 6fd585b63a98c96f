package consul

import "fmt"

// Secret is text that must not be shown: a Consul token, a peering token. Whatever formats it prints [secret].
type Secret string

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText keeps it out of JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
