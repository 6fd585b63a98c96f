package sqlstore

import (
	"bytes"
	"encoding/json"

	"isthmus/fault"
	"isthmus/resource"
)

// relations are what a resource claims and refers to, each once.
type relations struct {
	claims     []resource.Claim
	references []resource.Reference
}

// The first word of a relation in its column.
const (
	relationClaim     = "claim"
	relationReference = "reference"
)

// relationsOf are what the kind says of an object.
func (k *kind) relationsOf(o resource.Object) relations {
	var r relations
	if k.Claims != nil {
		r.claims = unique(k.Claims(o))
	}
	if k.References != nil {
		r.references = unique(k.References(o))
	}
	return r
}

// unique are all, in their order, without those that are there already.
func unique[T comparable](all []T) []T {
	const few = 8 // for which looking is quicker than remembering
	seen := map[T]bool{}
	out := all[:0:0]
next:
	for _, one := range all {
		if len(all) > few {
			if seen[one] {
				continue
			}
			seen[one] = true
		} else {
			for _, other := range out {
				if other == one {
					continue next
				}
			}
		}
		out = append(out, one)
	}
	return out
}

// without are those that are not among others.
func without[T comparable](all, others []T) []T {
	if len(others) == 0 {
		return all
	}
	among := make(map[T]bool, len(others))
	for _, o := range others {
		among[o] = true
	}
	var out []T
	for _, one := range all {
		if !among[one] {
			out = append(out, one)
		}
	}
	return out
}

// relationRoom is how long the text of one mostly is at most.
const relationRoom = 96

// text is the column's: empty for none.
func (r relations) text() string {
	if len(r.claims)+len(r.references) == 0 {
		return ""
	}
	out := append(make([]byte, 0, 1+relationRoom*(len(r.claims)+len(r.references))), '[')
	for _, c := range r.claims {
		out = append(appendTexts(out, relationClaim, c.Scope, c.Key), ',')
	}
	for _, f := range r.references {
		out = append(appendTexts(out, relationReference, f.Field, f.Kind, f.Name), ',')
	}
	out[len(out)-1] = ']'
	return string(out)
}

func parseRelations(text []byte) (relations, error) {
	var r relations
	if len(text) == 0 {
		return r, nil
	}
	var rows [][]string
	if err := json.Unmarshal(text, &rows); err != nil {
		return r, fault.Wrap(fault.Internal, err, "reading what a resource claims and refers to")
	}
	for _, row := range rows {
		switch {
		case len(row) == 3 && row[0] == relationClaim:
			r.claims = append(r.claims, resource.Claim{Scope: row[1], Key: row[2]})
		case len(row) == 4 && row[0] == relationReference:
			r.references = append(r.references, resource.Reference{Field: row[1], Kind: row[2], Name: row[3]})
		default:
			return r, fault.New(fault.Internal, "a resource has a relation that this isthmus does not know")
		}
	}
	return r, nil
}

// appendTexts appends texts as a JSON array.
func appendTexts(out []byte, texts ...string) []byte {
	out = append(out, '[')
	for i, text := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(out, text)
	}
	return append(out, ']')
}

// appendText appends a text as JSON. What needs no escape, as nearly all does, is copied.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic("sqlstore: a text as JSON: " + err.Error()) // a string always encodes
			}
			return append(out, bytes.TrimSpace(quoted)...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}
