// Package profile tells admins what the server process does: profiles of its processor time, its memory and its goroutines.
//
// Owns: which profiles there are, who may take them, and what the audit log hears of it. Does not own: HTTP (rest). Start reading at
// Profiler.
//
// A profile has names of functions, addresses and numbers, and none of what is in memory: no token, no key, no manifest. What could
// have some is left out on purpose: the command line (a database's URL may have a password), and stacks with the words that functions
// were called with.
package profile
