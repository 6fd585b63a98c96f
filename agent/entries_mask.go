package agent

// veil stands for what a report does not tell.
const veil = "…"

// masked is a part of an entry, or all of it, without what may be secret in it: values of headers that a route sets or a rule asks for, of query
// parameters, and of claims. In Consul one needs to read that service for them; a report goes to everybody who may read isthmus.
func masked(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for field, inner := range v {
			switch field {
			case "Header", "QueryParam", "VerifyClaims":
				inner = veiled(inner, "Exact", "Prefix", "Suffix", "Contains", "Regex", "Value")
			case "RequestHeaders", "ResponseHeaders":
				inner = veiledHeaders(inner)
			default:
				inner = masked(inner)
			}
			out[field] = inner
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = masked(inner)
		}
		return out
	}
	return value
}

// veiled is a list of matches without the values that they ask for.
func veiled(value any, fields ...string) any {
	list, _ := value.([]any)
	out := make([]any, len(list))
	for i, one := range list {
		match, _ := cloneJSON(one).(map[string]any)
		for _, field := range fields {
			if text(match[field]) != "" {
				match[field] = veil
			}
		}
		out[i] = match
	}
	return out
}

// veiledHeaders are changes to headers without the values that they set.
func veiledHeaders(value any) any {
	changes, _ := cloneJSON(value).(map[string]any)
	for _, change := range []string{"Add", "Set"} {
		headers, _ := changes[change].(map[string]any)
		for name := range headers {
			headers[name] = veil
		}
	}
	return changes
}
