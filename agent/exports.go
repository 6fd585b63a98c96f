package agent

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// defaultNamespace is what Consul calls the namespace of those who name none.
	defaultNamespace = "default"
	// metaCreated marks an entry that isthmus created: it goes when nothing is left in it.
	metaCreated = "isthmus-created"
	// swapAttempts is how often a merge is tried again in one pass when somebody else writes at the same time.
	swapAttempts = 5
)

func namespaceOf(s string) string {
	if s == "" {
		return defaultNamespace
	}
	return s
}

// exportDesk is what an agent remembers of the exported-services entry.
type exportDesk struct {
	// mu: one look at a time.
	mu   sync.Mutex
	kept *kept
	// allowAdopt is what this host's flags allow.
	allowAdopt bool

	contests contests
	drifts   []*isthmusv1.Drift
}

func exportsID(partition string) entryID {
	return idOf(consul.KindExportedServices, "", partition)
}

const partExport = "export/"

// exportPart is the key of an export, and exportOf the other way.
func exportPart(x export) string { return partExport + x.Namespace + "/" + x.Service + "@" + x.Peer }

func exportOf(key string) (x export, ok bool) {
	rest, ok := strings.CutPrefix(key, partExport)
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return export{}, false
	}
	x.Peer = rest[at+1:]
	x.Namespace, x.Service, ok = strings.Cut(rest[:at], "/")
	return x, ok
}

func exportParts(exports map[export]bool) remembered {
	out := remembered{}
	for x := range exports {
		out[exportPart(x)] = true
	}
	return out
}

// written is what isthmus has in the entry: whoever deletes or replaces it takes isthmus's marks away with it.
func (d *exportDesk) written(partition string) map[export]bool {
	out := map[export]bool{}
	for key := range d.kept.get(exportsID(partition)) {
		if x, ok := exportOf(key); ok {
			out[x] = true
		}
	}
	return out
}

// reconcileExports merges what isthmus exports by the newest desired state into the one exported-services entry, and tells how it stands. Not
// on a secondary: a write from there goes to the primary's entry, and so does a deletion.
func (r *reconciler) reconcileExports(ctx context.Context, newest func() *isthmusv1.DesiredState, self consul.Self) *isthmusv1.ExportsReport {
	r.exports.mu.Lock()
	defer r.exports.mu.Unlock()
	state := newest()
	var item *isthmusv1.ExportedServices
	for _, i := range state.GetItems() {
		if i.GetExportedServices() != nil {
			item = i.GetExportedServices()
		}
	}
	if item == nil {
		// No item is no order: what is exported stays.
		return &isthmusv1.ExportsReport{}
	}
	id := exportsID(r.consul.Partition())
	want := wantedExports(item, state.GetDrift() != resource.DriftReport && r.exports.contests.until(id, r.now()).IsZero())
	want.written = r.exports.written(r.consul.Partition())
	if !r.exports.allowAdopt {
		want.notAdopted, want.adopt = want.adopt, nil
	}
	var result mergeResult
	err := notOnSecondary(self, "exported-services")
	if err == nil {
		result, err = r.mergeEntry(ctx, consul.KindExportedServices, r.consul.Partition(), func(e consul.Entry) (mergeResult, error) {
			return mergeExports(e, want)
		})
	}
	report := &isthmusv1.ExportsReport{}
	if err != nil {
		report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
	} else {
		r.learnExports(result, want.correct)
	}
	if len(result.left) > 0 {
		report.ErrorReason = reasonKubernetes
		report.Error = "isthmus wrote consumers into the exported-services entry that nobody wants any more; the entry says that Kubernetes manages it, so that they are left alone: take them out, or its mark external-source"
	}
	report.Drifts = slices.Clone(r.exports.drifts)
	for _, s := range item.GetServices() {
		report.Exports = append(report.Exports, observeExport(s, result, err))
	}
	return report
}

// learnExports takes over what came of a merge.
func (r *reconciler) learnExports(result mergeResult, correct bool) {
	r.exports.kept.put(exportsID(r.consul.Partition()), exportParts(result.ours))
	r.exports.kept.save()
	if correct && len(result.missed) > 0 {
		if r.exports.contests == nil {
			r.exports.contests = contests{}
		}
		r.exports.contests.note(exportsID(r.consul.Partition()), r.now())
	}
	for _, x := range slices.SortedFunc(maps.Keys(result.missed), compareExports) {
		r.exports.drifts = noteDrift(r.exports.drifts, &isthmusv1.Drift{
			Entry: consul.KindExportedServices + "/" + result.entry.Name, Part: exportPart(x),
			Wanted: encode(map[string]any{fieldPeer: x.Peer}), Corrected: correct, ModifyIndex: result.entry.Index,
		}, r.now(), r.log)
	}
}

// exportsWish is what isthmus wants to export.
type exportsWish struct {
	want map[export]bool
	// adopt are those of want that become isthmus's although somebody else wrote them.
	adopt map[export]bool
	// notAdopted are those which this host does not allow to become isthmus's.
	notAdopted map[export]bool
	// written is what this agent wrote last.
	written map[export]bool
	// correct: what somebody took out is put back.
	correct bool
}

func wantedExports(item *isthmusv1.ExportedServices, correct bool) exportsWish {
	w := exportsWish{want: map[export]bool{}, adopt: map[export]bool{}, correct: correct}
	for _, s := range item.GetServices() {
		for _, peer := range s.GetPeers() {
			x := export{namespaceOf(s.GetNamespace()), s.GetName(), peer}
			w.want[x] = true
			if s.GetAdopt() {
				w.adopt[x] = true
			}
		}
	}
	return w
}

// notOnSecondary refuses to write a config entry where it would be the primary's.
func notOnSecondary(self consul.Self, entry string) error {
	if !self.Secondary() {
		return nil
	}
	return because(fault.Refused, reasonSecondary, "this datacenter is a secondary of %s, whose %s entry is the only one: isthmus writes none from here",
		self.PrimaryDatacenter, entry)
}

func observeExport(s *isthmusv1.ExportedService, result mergeResult, err error) *isthmusv1.ObservedExport {
	o := &isthmusv1.ObservedExport{Name: s.GetName(), Namespace: s.GetNamespace(), State: resource.ExportApplied}
	drifted, notAdopted := false, false
	for _, peer := range s.GetPeers() {
		e := export{namespaceOf(s.GetNamespace()), s.GetName(), peer}
		if result.there[e] {
			o.Peers = append(o.Peers, peer)
		}
		drifted, notAdopted = drifted || result.drifted[e], notAdopted || result.notAdopted[e]
	}
	switch {
	case fault.CodeOf(err) == fault.Conflict:
		o.State, o.Message = resource.ExportConflict, "somebody else keeps writing the exported-services entry"
	case err != nil:
		o.State, o.Message = resource.ExportFailed, messageOf(err)
	case result.managed && len(o.GetPeers()) < len(s.GetPeers()):
		o.State = resource.ExportConflict
		o.Message = "Kubernetes manages the exported-services entry, and would undo what is written beside it: add the consumers to its ExportedServices resource"
	case notAdopted:
		o.State = resource.ExportConflict
		o.Message = "somebody else exports the same, and no flag on this host lets isthmus take it over: start the agent with --allow-adopt until it is done, or take adopt out of the export"
	case drifted:
		o.State, o.Message = resource.ExportDrifted, "somebody took consumers out of the exported-services entry, and drift is only reported"
	}
	return o
}

// mergeResult is the outcome of one merge.
type mergeResult struct {
	entry consul.Entry
	// write and remove say what to do with the entry; neither: it is as it should be.
	write, remove bool
	// there are the exports that the entry has then, whoever wrote them; ours those that are isthmus's; missed those of isthmus's that somebody had
	// taken out, and drifted those that stay out.
	there, ours, missed, drifted map[export]bool
	// notAdopted: somebody else wrote some that isthmus shall take over, which this host does not allow.
	notAdopted map[export]bool
	// managed: Kubernetes manages the entry, which is left alone; left is what of isthmus's stays in it although nobody wants it.
	managed bool
	left    map[export]bool
}

// mergeEntry reads an entry, merges and writes it back, again when somebody else wrote meanwhile.
func (r *reconciler) mergeEntry(ctx context.Context, kind, name string, merge func(consul.Entry) (mergeResult, error)) (mergeResult, error) {
	for attempt := 1; ; attempt++ {
		e, err := r.consul.Entry(ctx, kind, name)
		if err != nil {
			return mergeResult{}, err
		}
		result, err := merge(e)
		if err != nil {
			return mergeResult{}, err
		}
		switch {
		case result.remove:
			err = r.consul.DeleteEntry(ctx, result.entry)
		case result.write:
			err = r.consul.PutEntry(ctx, result.entry)
		}
		if err == nil {
			if result.write || result.remove {
				r.log.Info("merged a config entry", "kind", kind, "name", name, "removed", result.remove)
			}
			return result, nil
		}
		if fault.CodeOf(err) != fault.Conflict || attempt == swapAttempts {
			return result, err
		}
	}
}

// mergeExports computes the entry that has the wanted exports and everything that is not isthmus's. Pure but for the entry's
// body, which it owns.
func mergeExports(e consul.Entry, w exportsWish) (mergeResult, error) {
	before, err := json.Marshal(e.Body)
	if err != nil {
		return mergeResult{}, fault.Wrap(fault.Internal, err, "encoding the exported-services entry")
	}
	meta := e.Meta()
	owned := readOwnership(meta)
	services, _ := e.Body["Services"].([]any)
	result := mergeResult{ours: map[export]bool{}, missed: map[export]bool{}, drifted: map[export]bool{}, notAdopted: map[export]bool{}}

	if meta[metaSource] == sourceKubernetes {
		_, result.there = withoutExports(services, func(export) bool { return false })
		result.left = map[export]bool{}
		for x := range owned {
			if result.there[x] && !w.want[x] {
				result.left[x] = true
			}
		}
		result.entry, result.managed = e, true
		return result, nil
	}
	services, have := withoutExports(services, func(x export) bool { return owned[x] && !w.want[x] })
	next := map[export]bool{}
	var add []export
	for x := range w.want {
		mine := owned[x] || w.written[x] && !have[x] // marks go with an entry that somebody deletes
		switch {
		case have[x] && (owned[x] || w.adopt[x]):
			next[x] = true
		case have[x]: // somebody else's, which does as well
			if w.notAdopted[x] {
				result.notAdopted[x] = true
			}
		case mine && !w.correct:
			result.missed[x], result.drifted[x], result.ours[x] = true, true, true
			if owned[x] {
				next[x] = true
			}
		default:
			if mine {
				result.missed[x] = true
			}
			add = append(add, x)
			next[x], have[x] = true, true
		}
	}
	maps.Copy(result.ours, next)
	slices.SortFunc(add, compareExports)
	services = withExports(services, add)

	if err := writeOwnership(meta, next); err != nil {
		return mergeResult{}, err
	}
	if e.Index == 0 && len(services) > 0 {
		meta[metaCreated] = "true"
	}
	result.there = have
	if len(services) == 0 && len(meta) == 1 && meta[metaCreated] != "" {
		result.entry, result.remove = e, true
		return result, nil
	}
	if len(next) == 0 {
		delete(meta, metaCreated) // what is left is somebody else's
	}
	e.SetMeta(meta)
	if e.Body["Services"] != nil || len(services) > 0 {
		e.Body["Services"] = services
	}
	after, err := json.Marshal(e.Body)
	if err != nil {
		return mergeResult{}, fault.Wrap(fault.Internal, err, "encoding the exported-services entry")
	}
	result.entry, result.write = e, string(before) != string(after)
	return result, nil
}
