package agent

import (
	"context"
	"encoding/json"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// metaMesh says in the mesh entry what isthmus set PeerThroughMeshGateways to, and what it was before: true, false or unset.
const (
	metaMesh       = "isthmus-through-gateways"
	metaMeshBefore = "isthmus-through-gateways-before"
)

// Fields of the mesh entry.
const (
	fieldPeering = "Peering"
	fieldThrough = "PeerThroughMeshGateways"
)

// reconcileMesh merges the one switch that isthmus has in the mesh entry, by the newest desired state. Without an item, what isthmus set is put back. A secondary
// has the primary's entry, and leaves it alone.
func (r *reconciler) reconcileMesh(ctx context.Context, newest func() *isthmusv1.DesiredState, self consul.Self) error {
	if self.Secondary() {
		return r.checkMesh(ctx, wantedMesh(newest()), self)
	}
	return r.setMesh(ctx, newest, func(e consul.Entry) { r.dials.through = through(e.Body) == wordOf(true) })
}

// setMesh merges the switch; seen is shown the entry before.
func (r *reconciler) setMesh(ctx context.Context, newest func() *isthmusv1.DesiredState, seen func(consul.Entry)) error {
	r.settings.merging.Lock()
	defer r.settings.merging.Unlock()
	state := newest()
	want := wantedMesh(state)
	s := setting{entry: consul.KindMesh + "/" + consul.NameMesh, part: partThrough}
	if want != nil {
		s.want = wordOf(*want)
	}
	result, err := r.mergeEntry(ctx, consul.KindMesh, consul.NameMesh, func(e consul.Entry) (mergeResult, error) {
		seen(e)
		now := through(e.Body)
		if now == "" && s.want == wordOf(false) {
			now = s.want // which Consul leaves out
		}
		s.look(e, now, e.Meta()[metaMesh])
		return mergeMesh(e, want, state.GetDrift() != resource.DriftReport)
	})
	s.written, s.err = err == nil && result.write, err
	r.settings.learn(s, r.now(), r.log)
	return err
}

// wantedMesh is what the switch shall be; nil: isthmus wants nothing of it.
func wantedMesh(state *isthmusv1.DesiredState) *bool {
	var want *bool
	for _, item := range state.GetItems() {
		if m := item.GetMesh(); m != nil {
			through := m.GetPeerThroughMeshGateways()
			want = &through
		}
	}
	return want
}

// checkMesh tells whether a secondary, which has the primary's mesh entry, has it as it is wanted there.
func (r *reconciler) checkMesh(ctx context.Context, want *bool, self consul.Self) error {
	if want == nil {
		return nil
	}
	e, err := r.consul.Entry(ctx, consul.KindMesh, consul.NameMesh)
	r.dials.through = through(e.Body) == wordOf(true)
	if err != nil || (through(e.Body) == wordOf(true)) == *want {
		return err
	}
	return notOnSecondary(self, consul.KindMesh)
}

// mergeMesh computes the mesh entry with the wanted switch. A human's explicit "through gateways" is not turned off.
func mergeMesh(e consul.Entry, want *bool, correct bool) (mergeResult, error) {
	before, err := json.Marshal(e.Body)
	if err != nil {
		return mergeResult{}, fault.Wrap(fault.Internal, err, "encoding the mesh entry")
	}
	meta := e.Meta()
	now := through(e.Body)
	ours, set := meta[metaMesh]
	managed := meta[metaSource] == sourceKubernetes
	switch {
	case managed && (want == nil || now == wordOf(*want)):
		return mergeResult{entry: e}, nil
	case managed:
		return mergeResult{}, because(fault.Refused, reasonKubernetes,
			"Kubernetes manages the mesh entry: set spec.peering.peerThroughMeshGateways of its Mesh resource to %s", wordOf(*want))
	case want == nil && !set:
		return mergeResult{entry: e}, nil
	case want == nil:
		if now == ours {
			setThrough(e.Body, meta[metaMeshBefore])
		}
		delete(meta, metaMesh)
		delete(meta, metaMeshBefore)
	case !set && now == wordOf(*want):
		return mergeResult{entry: e}, nil // a human wants the same: it stays the human's
	case !set && now == "true":
		return mergeResult{}, because(fault.Refused, reasonConfigByHand, "the mesh entry says by hand that peerings go through gateways, and a Peering says that they do not")
	case set && now != ours && !correct:
		return mergeResult{}, because(fault.Refused, reasonConfigByHand, "somebody changed PeerThroughMeshGateways in the mesh entry, and drift is only reported")
	default:
		if !set {
			meta[metaMeshBefore] = now
		}
		meta[metaMesh] = wordOf(*want)
		setThrough(e.Body, wordOf(*want))
	}
	if e.Index == 0 {
		meta[metaCreated] = "true"
	}
	if want == nil && len(meta) == 1 && meta[metaCreated] != "" && through(e.Body) == "" && onlyMeta(e.Body) {
		return mergeResult{entry: e, remove: true}, nil
	}
	if want == nil {
		delete(meta, metaCreated) // what is left is somebody else's
	}
	e.SetMeta(meta)
	after, err := json.Marshal(e.Body)
	if err != nil {
		return mergeResult{}, fault.Wrap(fault.Internal, err, "encoding the mesh entry")
	}
	return mergeResult{entry: e, write: string(before) != string(after)}, nil
}

func wordOf(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// through is the switch as the entry has it: true, false, or empty when it says nothing.
func through(body map[string]any) string {
	peering, ok := body[fieldPeering].(map[string]any)
	if !ok {
		return ""
	}
	b, _ := peering[fieldThrough].(bool) // Consul leaves false out
	return wordOf(b)
}

// setThrough sets the switch. What else the entry says of peerings stays.
func setThrough(body map[string]any, word string) {
	peering, ok := body[fieldPeering].(map[string]any)
	switch {
	case word != "" && !ok:
		body[fieldPeering] = map[string]any{fieldThrough: word == "true"}
	case word != "":
		peering[fieldThrough] = word == "true"
	case ok:
		delete(peering, fieldThrough)
		if len(peering) == 0 {
			delete(body, fieldPeering)
		}
	}
}

// onlyMeta tells that nothing but what Consul itself puts into every mesh entry is left.
func onlyMeta(body map[string]any) bool {
	for field, value := range body {
		switch field {
		case "Kind", "Name", "Partition", "Namespace", "Meta":
			continue
		}
		fields, ok := value.(map[string]any)
		if !ok || len(fields) > 0 && (field != "TransparentProxy" || fields["MeshDestinationsOnly"] != false) {
			if value != nil && value != false {
				return false
			}
		}
	}
	return true
}
