package agent

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"
)

// plain is a JSON value as far as it says something: without what is null, false, 0 or empty, without the namespace and partition that
// everything is in, and with numbers and durations in one form. Consul reads back what was written in that sense.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for field, inner := range v {
			if word, ok := inner.(string); ok && (field == "Namespace" || field == "Partition") && word == defaultNamespace {
				continue
			}
			if inner = plainField(field, inner); !empty(inner) {
				out[field] = inner
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = plain(inner)
		}
		return out
	case json.Number:
		if n, err := v.Float64(); err == nil {
			return json.Number(strconv.FormatFloat(n, 'g', -1, 64))
		}
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return value
}

// plainField is plain for what stands in a field: Consul prints durations in Go's way, and methods in capitals.
func plainField(field string, value any) any {
	switch word, ok := value.(string); {
	case ok && strings.HasSuffix(field, "Timeout"):
		if d, err := time.ParseDuration(word); err == nil {
			return d.String()
		}
	case field == "Methods":
		list, _ := value.([]any)
		out := make([]any, len(list))
		for i, m := range list {
			out[i] = strings.ToUpper(text(m))
		}
		return out
	}
	return plain(value)
}

// plainPart is plain for a part: of a source, also without what Consul computes.
func plainPart(key string, value any) any {
	value = plain(value)
	fields, ok := value.(map[string]any)
	if !ok || !strings.HasPrefix(key, partSource) {
		return value
	}
	for _, computed := range []string{"Precedence", "LegacyID", "LegacyMeta", "LegacyCreateTime", "LegacyUpdateTime"} {
		delete(fields, computed)
	}
	if fields["Type"] == "consul" {
		delete(fields, "Type")
	}
	return fields
}

// encode is canonical JSON.
func encode(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		return "" // it came as JSON
	}
	return string(out)
}

// undescribed is a source without its description, which changes nothing of what it does.
func undescribed(value any) any {
	fields, ok := value.(map[string]any)
	if !ok {
		return value
	}
	fields = maps.Clone(fields)
	delete(fields, fieldDescribe)
	return fields
}

// same tells whether what is there says what is wanted. A human may describe a source that isthmus wants no description of.
func same(key string, wanted, found any) bool {
	w, f := plainPart(key, wanted), plainPart(key, found)
	if encode(w) == encode(f) {
		return true
	}
	return strings.HasPrefix(key, partSource) && encode(w) == encode(undescribed(w)) && encode(w) == encode(undescribed(f))
}

// stamp is a short digest of a part's key, or of its content: enough to know again what isthmus wrote, and little enough that
// 1,000 of them fit into Consul's Meta.
type stamp [6]byte

func stampOf(text string) stamp {
	sum := sha256.Sum256([]byte(text))
	return stamp(sum[:len(stamp{})])
}

// stampPart is the stamp of a part's content.
func stampPart(key string, value any) stamp { return stampOf(encode(plainPart(key, value))) }

// wrote tells whether what is there is what the stamp was made of, a human's description aside.
func (s stamp) wrote(key string, found any) bool {
	if stampPart(key, found) == s {
		return true
	}
	return strings.HasPrefix(key, partSource) && stampOf(encode(undescribed(plainPart(key, found)))) == s
}
