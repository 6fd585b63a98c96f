package agent

import (
	"cmp"
	"slices"
)

// The services of an exported-services entry as raw JSON values: what is not touched stays exactly as it was.

func compareExports(a, b export) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Peer, b.Peer))
}

// withoutExports takes the consumers that drop chooses out of the services, with those services that have none left then,
// and tells which exports remain.
func withoutExports(services []any, drop func(export) bool) (kept []any, have map[export]bool) {
	have = map[export]bool{}
	kept = make([]any, 0, len(services))
	for _, s := range services {
		fields, ok := s.(map[string]any)
		if !ok {
			kept = append(kept, s)
			continue
		}
		consumers, _ := fields["Consumers"].([]any)
		remaining := make([]any, 0, len(consumers))
		for _, c := range consumers {
			x, isPeer := exportIn(fields, c)
			if isPeer && drop(x) {
				continue
			}
			if isPeer {
				have[x] = true
			}
			remaining = append(remaining, c)
		}
		if len(remaining) == 0 && len(consumers) > 0 {
			continue
		}
		if len(remaining) < len(consumers) {
			fields["Consumers"] = remaining
		}
		kept = append(kept, s)
	}
	return kept, have
}

// exportIn is the export that one consumer of a service stands for; false for a partition or a sameness group.
func exportIn(service map[string]any, consumer any) (export, bool) {
	fields, ok := consumer.(map[string]any)
	if !ok {
		return export{}, false
	}
	peer, _ := fields["Peer"].(string)
	name, _ := service["Name"].(string)
	namespace, _ := service["Namespace"].(string)
	return export{namespaceOf(namespace), name, peer}, peer != ""
}

// withExports adds consumers: to the first block of their service, or as a new one.
func withExports(services []any, add []export) []any {
	for _, x := range add {
		consumer := map[string]any{"Peer": x.Peer}
		i := slices.IndexFunc(services, func(s any) bool {
			fields, ok := s.(map[string]any)
			if !ok {
				return false
			}
			name, _ := fields["Name"].(string)
			namespace, _ := fields["Namespace"].(string)
			return name == x.Service && namespaceOf(namespace) == x.Namespace
		})
		if i < 0 {
			fields := map[string]any{"Name": x.Service, "Consumers": []any{consumer}}
			if x.Namespace != defaultNamespace {
				fields["Namespace"] = x.Namespace
			}
			services = append(services, fields)
			continue
		}
		fields, _ := services[i].(map[string]any)
		consumers, _ := fields["Consumers"].([]any)
		fields["Consumers"] = append(consumers, consumer)
	}
	return services
}
