package resource

import "maps"

// veil stands for what is not shown.
const veil = "…"

// Masked is JSON (as any) of a config entry, of a part of one, or of a spec, without what may be secret in it: values of headers that a route
// sets or a rule asks for, of query parameters, and of claims. In Consul one needs to read that service for them; what is masked goes to
// everybody who may read isthmus, or stays in the audit log. value is not changed.
func Masked(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for field, inner := range v {
			out[field] = maskOf(field)(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = Masked(inner)
		}
		return out
	}
	return value
}

// mask is what hides the secrets in the value of a field.
type mask struct {
	field string
	of    func(value any) any
}

// masks are all there are.
func masks() [7]mask {
	matches := func(v any) any { return veiled(v, "Exact", "Prefix", "Suffix", "Contains", "Regex", "Value") }
	own := func(v any) any { return veiled(v, "exact", "prefix", "suffix", "contains", "regex") }
	return [...]mask{
		{"Header", matches},
		{"QueryParam", matches},
		{"VerifyClaims", matches},
		{"headers", own},
		{"queryParams", own},
		{"RequestHeaders", veiledHeaders},
		{"ResponseHeaders", veiledHeaders},
	}
}

// maskOf is that of a field; Masked where there is none of its own.
func maskOf(field string) func(value any) any {
	for _, m := range masks() {
		if m.field == field {
			return m.of
		}
	}
	return Masked
}

// MaskedJSON is Masked for text; what is no JSON is not shown at all. Empty for empty.
func MaskedJSON(text string) string {
	if text == "" {
		return ""
	}
	value, err := decodeJSON([]byte(text))
	if err != nil {
		return mustJSON(veil)
	}
	return mustJSON(Masked(value))
}

// HasMasked tells whether MaskedJSON hides something of a text.
func HasMasked(text string) bool {
	if text == "" {
		return false
	}
	value, err := decodeJSON([]byte(text))
	return err != nil || mustJSON(value) != mustJSON(Masked(value))
}

// veiled is a list of matches without the values that they ask for. What is no list of objects is not shown.
func veiled(value any, fields ...string) any {
	list, ok := value.([]any)
	if !ok {
		return hidden(value)
	}
	out := make([]any, len(list))
	for i, one := range list {
		match, ok := one.(map[string]any)
		if !ok {
			out[i] = hidden(one)
			continue
		}
		copied := maps.Clone(match)
		for _, field := range fields {
			if copied[field] != nil && copied[field] != "" {
				copied[field] = veil
			}
		}
		out[i] = copied
	}
	return out
}

// veiledHeaders are changes to headers without the values that they set.
func veiledHeaders(value any) any {
	changes, ok := value.(map[string]any)
	if !ok {
		return hidden(value)
	}
	out := make(map[string]any, len(changes))
	for change, inner := range changes {
		headers, ok := inner.(map[string]any)
		if change != "Add" && change != "Set" || !ok {
			out[change] = inner
			continue
		}
		names := make(map[string]any, len(headers))
		for name := range headers {
			names[name] = veil
		}
		out[change] = names
	}
	return out
}

// hidden stands for a value that has not the form that it should have: nothing stays nothing.
func hidden(value any) any {
	if value == nil {
		return nil
	}
	return veil
}
