package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// CRDPatch is the kubectl command, in one line, that makes a part so in the custom resource of consul-k8s which manages its entry. isthmus does not run
// it: whoever owns the resource, or the repository that it comes from, has the last word. It is empty for a kind that isthmus does not
// write. What stands in capitals (NAME, NAMESPACE) is for the operator to fill in: Consul does not tell.
func CRDPatch(entry *isthmusv1.ConfigEntry, part *isthmusv1.ConfigPart) string {
	// The plurals that kubectl knows.
	plural := map[string]string{
		KindIntentions: "serviceintentions", KindResolver: "serviceresolvers", KindSplitter: "servicesplitters",
		KindRouter: "servicerouters", KindDefaults: "servicedefaults",
	}[entry.GetKind()]
	var value any
	if err := json.Unmarshal([]byte(part.GetValue()), &value); err != nil || plural == "" {
		return ""
	}
	value = inCamelCase(value)
	if entry.GetKind() == KindIntentions {
		// A list, of which everybody may have a part: the new source goes to its end.
		patch := []map[string]any{{"op": "add", "path": "/spec/sources/-", "value": value}}
		return kubectl(plural, "NAME", "json", patch) + fmt.Sprintf(
			" # NAME has spec.destination.name: %s; a source of the same name that is there already must go first", entry.GetName())
	}
	field, key, _ := strings.Cut(part.GetKey(), "/")
	if key != "" {
		value = map[string]any{key: value}
	}
	return kubectl(plural, entry.GetName(), "merge", map[string]any{"spec": map[string]any{field: value}})
}

func kubectl(plural, name, kind string, patch any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(patch); err != nil {
		return "" // it came out of JSON: there is no such error
	}
	// Within single quotes of a shell, nothing but the single quote is special.
	quoted := strings.ReplaceAll(strings.TrimSpace(out.String()), "'", `'\''`)
	return fmt.Sprintf("kubectl patch %s.consul.hashicorp.com %s -n NAMESPACE --type=%s -p '%s'", plural, name, kind, quoted)
}

// inCamelCase renames the fields of Consul's JSON as the custom resources have them: PathExact to pathExact, HTTP to http.
func inCamelCase(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for name, inner := range value {
			out[camel(name)] = inCamelCase(inner)
		}
		return out
	case []any:
		for i, inner := range value {
			value[i] = inCamelCase(inner)
		}
	}
	return value
}

func camel(name string) string {
	if strings.ToUpper(name) == name {
		return strings.ToLower(name)
	}
	first := []rune(name)
	first[0] = unicode.ToLower(first[0])
	return string(first)
}
