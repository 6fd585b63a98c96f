package agent

import (
	"context"
	"encoding/json"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// metaGatewayMode says in the proxy-defaults entry what isthmus set MeshGateway.Mode to, and what it was before; empty: nothing.
const (
	metaGatewayMode       = "isthmus-mesh-gateway-mode"
	metaGatewayModeBefore = "isthmus-mesh-gateway-mode-before"
)

// Fields of the proxy-defaults entry.
const (
	fieldMeshGateway = "MeshGateway"
	fieldMode        = "Mode"
)

// reconcileProxyDefaults merges the one setting that isthmus has in the proxy-defaults entry, by the newest desired state. Without an item, what isthmus set is put back. A
// secondary has the primary's entry, and leaves it alone.
func (r *reconciler) reconcileProxyDefaults(ctx context.Context, newest func() *isthmusv1.DesiredState) error {
	r.settings.merging.Lock()
	defer r.settings.merging.Unlock()
	state, want := newest(), ""
	for _, item := range state.GetItems() {
		if d := item.GetProxyDefaults(); d != nil {
			want = d.GetMeshGatewayMode()
		}
	}
	correct := state.GetDrift() != resource.DriftReport
	s := setting{entry: consul.KindProxyDefaults + "/" + consul.NameProxyDefaults, part: partGatewayMode, want: word(want)}
	result, err := r.mergeEntry(ctx, consul.KindProxyDefaults, consul.NameProxyDefaults, func(e consul.Entry) (mergeResult, error) {
		s.look(e, word(gatewayMode(e.Body)), word(e.Meta()[metaGatewayMode]))
		result, err := mergeProxyDefaults(e, want, correct)
		if err != nil || !result.write && !result.remove {
			return result, err
		}
		self, err := r.consul.Self(ctx)
		if err == nil && self.Secondary() {
			if want == "" {
				return mergeResult{entry: e}, nil
			}
			err = notOnSecondary(self, consul.KindProxyDefaults)
		}
		return result, err
	})
	s.written, s.err = err == nil && result.write, err
	r.settings.learn(s, r.now(), r.log)
	return err
}

// word is a mode as JSON; nothing for none.
func word(mode string) string {
	if mode == "" {
		return ""
	}
	return encode(mode)
}

// mergeProxyDefaults computes the entry with the wanted mode; empty: none. A human's other mode is a conflict.
func mergeProxyDefaults(e consul.Entry, want string, correct bool) (mergeResult, error) {
	before, err := json.Marshal(e.Body)
	if err != nil {
		return mergeResult{}, fault.Wrap(fault.Internal, err, "encoding the proxy-defaults entry")
	}
	meta := e.Meta()
	now := gatewayMode(e.Body)
	ours, set := meta[metaGatewayMode]
	managed := meta[metaSource] == sourceKubernetes
	switch {
	case managed && (want == "" || now == want):
		return mergeResult{entry: e}, nil
	case managed:
		return mergeResult{}, because(fault.Refused, reasonKubernetes,
			"Kubernetes manages the proxy-defaults entry: set spec.meshGateway.mode of its ProxyDefaults resource to %s", want)
	case want == "" && !set:
		return mergeResult{entry: e}, nil
	case want == "":
		if now == ours {
			setGatewayMode(e.Body, meta[metaGatewayModeBefore])
		}
		delete(meta, metaGatewayMode)
		delete(meta, metaGatewayModeBefore)
	case !set && now == want:
		return mergeResult{entry: e}, nil // a human wants the same: it stays the human's
	case !set && now != "":
		return mergeResult{}, because(fault.Refused, reasonConfigByHand,
			"the proxy-defaults entry says by hand that MeshGateway.Mode is %s, and the Federation says %s: change one of them", now, want)
	case set && now != ours && now != want && !correct:
		return mergeResult{}, because(fault.Refused, reasonConfigByHand, "somebody changed MeshGateway.Mode in the proxy-defaults entry to %q, and drift is only reported", now)
	default:
		if !set {
			meta[metaGatewayModeBefore] = now
		}
		meta[metaGatewayMode] = want
		setGatewayMode(e.Body, want)
	}
	if e.Index == 0 {
		meta[metaCreated] = "true"
	}
	if want == "" && len(meta) == 1 && meta[metaCreated] != "" && gatewayMode(e.Body) == "" && saysNothing(e.Body) {
		return mergeResult{entry: e, remove: true}, nil
	}
	if want == "" {
		delete(meta, metaCreated) // what is left is somebody else's
	}
	e.SetMeta(meta)
	after, err := json.Marshal(e.Body)
	if err != nil {
		return mergeResult{}, fault.Wrap(fault.Internal, err, "encoding the proxy-defaults entry")
	}
	return mergeResult{entry: e, write: string(before) != string(after)}, nil
}

// gatewayMode is the mode that an entry sets; empty when it sets none.
func gatewayMode(body map[string]any) string {
	fields, _ := body[fieldMeshGateway].(map[string]any)
	mode, _ := fields[fieldMode].(string)
	return mode
}

// setGatewayMode sets the mode, or takes it out. What else the entry says stays.
func setGatewayMode(body map[string]any, mode string) {
	fields, ok := body[fieldMeshGateway].(map[string]any)
	switch {
	case mode != "" && !ok:
		body[fieldMeshGateway] = map[string]any{fieldMode: mode}
	case mode != "":
		fields[fieldMode] = mode
	case ok:
		delete(fields, fieldMode)
	}
}

// empty tells whether a JSON value says nothing: null, false, 0, "", or containers of such.
func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case json.Number:
		n, err := v.Float64()
		return err == nil && n == 0
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !empty(inner) {
				return false
			}
		}
		return true
	}
	return false
}
