package resource

import (
	"regexp"
	"strings"
)

// bareWord is a word that means itself in any shell.
var bareWord = regexp.MustCompile(`^[A-Za-z0-9._:/@%+=][A-Za-z0-9._:/@%+=-]*$`)

// ShellWord is a text as one word of a command that people paste. Names in Consul are whatever its users, or a hostile agent, say.
func ShellWord(text string) string {
	if bareWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), "'", `'\''`) + "'"
}
