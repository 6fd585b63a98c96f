// Package probe tries what others will need later, and tells in one word what is wrong: a handshake with another datacenter's
// servers through a gateway, one with the local Consul server, a request to an HTTPS API.
//
// Owns: how each of them is tried, and the words for what came of it. Does not own: when and how often (agent), what follows from it
// (federation). Nothing is kept between two tries. Start reading at Gateway.
//
//	resolve ─▶ connect ─▶ ClientHello with SNI and ALPN ─▶ server's certificate ─▶ its names
//	  DNS       ConnectionRefused  NoRoute (closed before)     └─ latency           WrongCertificate
//	            Timeout, Unreachable  NotTLS
//
// We have no client certificate that a Consul server would take, so every handshake ends once the server's certificate is there:
// that has the way, both gateways on it and the server behind proven. The certificate's issuer is not looked at; who pretends to
// be a server wins nothing, since nothing is sent to it.
package probe
