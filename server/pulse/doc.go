// Package pulse finds out which ends of connections live.
//
// Owns: HTTP/2 pings on connections over which nothing has come for a while, and the end of those that do not answer. gRPC's own keep-alive
// has timers and wakes goroutines for each connection, and so the process for each of thousands; here all that are due are asked together.
// Does not own: connections that the network cut, which the kernel finds (package server), and who is there (observation).
// Start reading at Pulse.Beat.
package pulse
