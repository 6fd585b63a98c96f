// Package gateway is the SNI mesh gateway: it reads the ClientHello of each connection, looks up where that name lives,
// and passes bytes. It holds no certificate and no key: TLS goes from end to end.
//
//	accept ─▶ limits ─▶ ReadHello ─▶ Table.Lookup ─▶ dial ─▶ replay the hello ─▶ relay until both sides are done
//	            │           │             │            │                           │
//	            └───────────┴─────────────┴────────────┴───────────────────────────┴─▶ a Reason, when it ends there
//
// What a connection costs while nothing moves: two descriptors, two small goroutines, no buffer. A buffer is borrowed when
// bytes are there, and on Linux a pipe in its place once a direction carries bulk, so that bytes never enter the process.
//
// Owns: the parser of ClientHellos, the table of routes, dialling, relaying, limits, draining, the gateway's metrics.
// Does not own: where routes come from (cmd gives a table; Gateway.Replace swaps it), Consul.
// Start reading at Gateway.Run, then connection.serve; hello.go and route.go are pure.
package gateway
