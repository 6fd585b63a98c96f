package feed_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"isthmus/fault"
	"isthmus/server/feed"
)

func TestCursors(t *testing.T) {
	t.Parallel()
	good := feed.Cursor{Epoch: "e", Index: 7, Places: []feed.Place{{Feed: "a", Seq: 3}, {Feed: "b", Seq: 4}}}
	back, err := feed.ParseCursor(good.String())
	if err != nil || back.String() != good.String() {
		t.Errorf("%v, %v", back, err)
	}
	coded := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, text := range map[string]string{
		"nothing":          "",
		"no base64":        "?",
		"no JSON":          coded("x"),
		"of no epoch":      coded(`{"i":1,"p":[{"f":"a","s":1}]}`),
		"of nobody":        coded(`{"e":"x","i":1}`),
		"of too many":      coded(`{"e":"x","i":1,"p":[` + strings.Repeat(`{"f":"a","s":1},`, 8) + `{"f":"a","s":1}]}`),
		"a negative index": coded(`{"e":"x","i":-1,"p":[{"f":"a","s":1}]}`),
		"too long":         coded(`{"e":"` + strings.Repeat("x", 5000) + `","i":1,"p":[{"f":"a","s":1}]}`),
	} {
		if _, err := feed.ParseCursor(text); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is taken for a cursor says the same again.
func FuzzParseCursor(f *testing.F) {
	f.Add(feed.Cursor{Epoch: "e", Index: 7, Places: []feed.Place{{Feed: "a", Seq: 3}}}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := feed.ParseCursor(text)
		if err != nil {
			return
		}
		again, err := feed.ParseCursor(c.String())
		if err != nil || again.String() != c.String() {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	})
}
