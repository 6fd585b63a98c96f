package doctor

import (
	"regexp"
	"strings"
)

// bare is a word that means itself in any shell.
var bare = regexp.MustCompile(`^[A-Za-z0-9._:/@%+=-]+$`)

// shell is a word as it may stand in a command that people paste. Names in Consul are whatever its users, or a hostile agent, say.
func shell(word string) string {
	if bare.MatchString(word) && !strings.HasPrefix(word, "-") {
		return word
	}
	return "'" + strings.ReplaceAll(strings.ReplaceAll(word, "\n", " "), "'", `'\''`) + "'"
}
