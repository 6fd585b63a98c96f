// Package client talks to an isthmus server's REST API: what the command line and the demo use, and what a Go program may.
//
// Owns: requests, errors decoded back into *fault.Error, paging, blocking queries, reading one's own writes through any
// replica (minIndex), and what "done" means for each kind (Judge, Wait).
// Does not own: what anything means (resource), how it is shown (cmd/isthmus). Start reading at Client.
//
//	Apply, Create, Delete ──▶ X-Isthmus-Index remembered ──▶ every later read asks for at least that index
package client
