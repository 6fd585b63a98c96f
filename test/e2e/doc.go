// Package e2e tells the user's story with everything real: Consul servers, the isthmus binary as server, agents and CLI,
// each a process of its own that a test may kill.
//
// Owns: the stories, and Fleet, the words in which they are told. Does not own: Consul servers (test/consultest).
// Start reading at Fleet, then any test.
package e2e
