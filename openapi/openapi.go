// Package openapi carries the OpenAPI 3 description of the REST API: what /v1/openapi.json answers and what clients in
// other languages are generated from.
//
// Owns: openapi.json, which `make generate` makes out of proto/ (see tools/openapi); never edit it by hand.
// Does not own: the routes themselves, which are options of the RPCs in proto/. Start reading at Document.
package openapi

import (
	_ "embed"
	"slices"
)

//go:embed openapi.json
var document []byte

// Document is the OpenAPI 3.0 document, in JSON. The caller may change it.
func Document() []byte { return slices.Clone(document) }
