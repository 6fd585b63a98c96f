package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// What a server says of an agent's reports when the agent asks.
const (
	ReportsKnown  = "known"
	ReportsWanted = "wanted"
)

// ReportDigest is one digest of what an agent has reported, from those of its parts by their names in ReportRequest; empty: nothing.
func ReportDigest(parts map[string]string) string {
	if len(parts) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		fmt.Fprintf(sum, "%s=%s\n", name, parts[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}
