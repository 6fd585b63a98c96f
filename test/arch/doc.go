// Package arch tests the shape of the whole: who may import whom, and what the API's messages have in common.
//
// Owns: the table of forbidden imports (imports_test.go) and the rules for messages (messages_test.go). Does not own: style
// within a package, which .golangci.yml checks. Start reading at forbidden.
package arch
