package feed

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"isthmus/fault"
)

const (
	// maxPlaces is how many replicas a cursor remembers: those that it listened to last.
	maxPlaces = 8
	// maxCursor is more than any cursor has, in bytes.
	maxCursor = 2048
)

// Cursor is how far a reader was told everything.
type Cursor struct {
	// Epoch of the store, and its index.
	Epoch string `json:"e"`
	Index uint64 `json:"i"`
	// Places are those in the replicas that it listened to, the last one first.
	Places []Place `json:"p"`
}

// Place is how far a reader was told what one process has to tell.
type Place struct {
	// Feed is the process, Seq its count of changes.
	Feed string `json:"f"`
	Seq  uint64 `json:"s"`
}

// String is the cursor as readers have it: opaque to them.
func (c Cursor) String() string {
	raw, err := json.Marshal(c)
	if err != nil {
		return "" // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// ParseCursor reads what String gave. Invalid: it is none.
func ParseCursor(text string) (Cursor, error) {
	var c Cursor
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if len(text) > maxCursor || err != nil || json.Unmarshal(raw, &c) != nil || c.Epoch == "" || len(c.Places) == 0 || len(c.Places) > maxPlaces {
		return Cursor{}, fault.Violated(fault.Violation{
			Field: "cursor", Reason: "Invalid", Message: "is not a cursor; expected that of the answer before, as it is, or none to begin with",
		})
	}
	return c, nil
}

// place is how far the reader was told what one process has to tell; false: it has not listened to it.
func (c Cursor) place(feed string) (uint64, bool) {
	for _, p := range c.Places {
		if p.Feed == feed {
			return p.Seq, true
		}
	}
	return 0, false
}

// at is the cursor after everything was told that one process has to tell.
func (c Cursor) at(epoch string, index uint64, here Place) Cursor {
	out := Cursor{Epoch: epoch, Index: index, Places: []Place{here}}
	if c.Epoch != epoch {
		return out
	}
	out.Index = max(index, c.Index)
	out.Places = append(out.Places, slices.DeleteFunc(slices.Clone(c.Places), func(p Place) bool { return p.Feed == here.Feed })...)
	out.Places = out.Places[:min(len(out.Places), maxPlaces)]
	return out
}
