// Package rest serves the API over HTTP: REST under /v1 and what machines ask of a server.
//
// Owns: routes, JSON in and out, limits, security headers, error bodies. Does not own: who a caller is (auth, which is
// asked before a body is read), what a call does: every one goes to the gRPC services, in this process, through the same
// interceptors as a call from outside.
// Start reading at New.
//
//	/v1/…              API token, grpc-gateway ──▶ bufconn ──▶ interceptors ──▶ services
//	/v1/apply          also with the manifests themselves as the body (application/yaml)
//	/v1/openapi.json   the description of all this
//	/healthz           this process answers
//	/readyz            it can serve: the store answers and the snapshot follows it
//	/metrics           Prometheus
package rest
