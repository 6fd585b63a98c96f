package api

import "google.golang.org/protobuf/proto"

// NewRoom is the take of a new room.
func NewRoom(entries int) func(proto.Message) bool { return newRoom(entries).take }
