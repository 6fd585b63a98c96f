// Package rest serves the API over HTTP: REST under /v1, what machines ask of a server, and the dashboard.
//
// Owns: routes, JSON in and out, limits, security headers, error bodies, cookies and what guards them, the dashboard's files.
// Does not own: who a caller is (auth, which is asked before a body is read), sessions (session), what a call does: every one
// goes to the gRPC services, in this process, through the same interceptors as a call from outside.
// Start reading at New.
//
//	/v1/…              API token or cookie, grpc-gateway ──▶ bufconn ──▶ interceptors ──▶ services
//	                   answers are JSON, or protobuf for who accepts application/protobuf; bodies and errors are JSON
//	/v1/apply          also with the manifests themselves as the body (application/yaml)
//	/v1/session        POST logs in: the one body of a stranger that is read
//	/v1/openapi.json   the description of all this
//	/healthz           this process answers
//	/readyz            it can serve: the store answers and the snapshot follows it
//	/metrics           Prometheus
//	/debug/pprof/…     profiles of the process, for admins
//	/, /peerings, …    the dashboard's page; /assets/… its files
package rest
