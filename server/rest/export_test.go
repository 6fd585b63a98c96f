package rest

import "google.golang.org/protobuf/proto"

// Marshal makes JSON of an answer, as the gateway does.
func Marshal(m proto.Message) ([]byte, error) { return newMarshaler().Marshal(m) }
