package identity

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"

	"isthmus/resource"
)

// nameRandom is how many random bytes a made-up name ends with: 8 characters.
const nameRandom = 5

// randomName is <prefix>-<8 random characters>, a DNS label.
func randomName(prefix string) (string, error) {
	random := make([]byte, nameRandom)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("making a random name: %w", err)
	}
	suffix := "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random))
	return prefix[:min(len(prefix), resource.MaxNameLength-len(suffix))] + suffix, nil
}
