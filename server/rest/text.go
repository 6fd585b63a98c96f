package rest

import (
	"encoding/binary"
	"unicode/utf8"
)

// appendText appends a string of a message as JSON.
func appendText(out []byte, s *shape, text []byte) ([]byte, error) {
	out = append(out, '"')
	if n := itself(text); n < len(text) {
		if !utf8.Valid(text) {
			return nil, errWire(s)
		}
		out = append(out, text[:n]...)
		return append(appendEscaped(out, text[n:]), '"'), nil
	}
	return append(append(out, text...), '"'), nil
}

// itself is how much of a text, from its beginning, is ASCII that stands for itself in JSON: nearly always all. It looks at eight characters at a
// time: what has the highest bit set after the subtraction was less than what was subtracted, or had it before.
func itself(text []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	at := 0
	for ; at+8 <= len(text); at += 8 {
		eight := binary.LittleEndian.Uint64(text[at:])
		quotes, slashes := eight^'"'*ones, eight^'\\'*ones
		if (eight|(eight-' '*ones)|(quotes-ones)|(slashes-ones))&highs != 0 {
			break
		}
	}
	for at < len(text) && text[at] >= ' ' && text[at] < utf8.RuneSelf && text[at] != '"' && text[at] != '\\' {
		at++
	}
	return at
}

// appendEscaped appends what stands between quotes in JSON.
func appendEscaped(out, text []byte) []byte {
	const digits = "0123456789abcdef"
	plain := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, text[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, '\\', 'b')
		case '\f':
			out = append(out, '\\', 'f')
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(out, text[plain:]...)
}
