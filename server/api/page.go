package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"isthmus/fault"
)

// listScope is the list that a page token belongs to. A token of another one would silently skip, so it is refused.
type listScope struct {
	Kind     string `json:"k"`
	Selector string `json:"s,omitempty"`
}

type pageToken struct {
	listScope
	After string `json:"a"`
}

// token is the opaque form of "after this name, in this list"; empty for the empty name.
func (s listScope) token(after string) string {
	if after == "" {
		return ""
	}
	raw, err := json.Marshal(pageToken{s, after})
	if err != nil {
		return "" // three strings always encode
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// open reads a token back.
func (s listScope) open(token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	refuse := func(format string, args ...any) error {
		return fault.Violated(fault.Violation{Field: "pageToken", Reason: "Invalid", Message: fmt.Sprintf(format, args...)})
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	var t pageToken
	if err != nil || json.Unmarshal(raw, &t) != nil || t.Kind == "" || t.After == "" {
		return "", refuse("is not a page token; expected the nextPageToken of the page before, as it is")
	}
	if t.listScope != s {
		return "", refuse("belongs to another list: %s; this one is %s", t.listScope, s)
	}
	return t.After, nil
}

func (s listScope) String() string {
	if s.Selector == "" {
		return s.Kind + " without selector"
	}
	return fmt.Sprintf("%s with selector %s", s.Kind, s.Selector)
}
