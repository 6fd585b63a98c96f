// Package docs tests that the documents tell the truth where a program can know it: links lead somewhere, paths that they
// name exist, and so do the targets of make. That every flag is documented, and exists, is tested beside the commands
// (cmd/isthmus).
package docs
