package datacenterstate

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// defaultNamespace is what Consul calls the namespace of those who name none.
	defaultNamespace = "default"
	// reasonKubernetes is what agents say of entries that Kubernetes manages.
	reasonKubernetes = "ManagedByKubernetes"
	fieldConsumers   = "Consumers"
	kindExported     = "exported-services"
)

// called is a thing in Consul by its kind, name and, where it is not the default, namespace.
func called(kind, namespace, name string) string {
	if namespace == "" || namespace == defaultNamespace {
		return kind + "/" + name
	}
	return kind + "/" + namespace + "/" + name
}

// exported is a service as it is to be exported, and as it is.
type exported struct {
	wanted *isthmusv1.ExportedService
	seen   *isthmusv1.ObservedExport
}

// exports enters one item for each service, those that are no longer to be exported, too.
func (l *look) exports(wanted *isthmusv1.ExportedServices) {
	services := map[string]exported{}
	for _, s := range wanted.GetServices() {
		services[called(kindExported, s.GetNamespace(), s.GetName())] = exported{wanted: s}
	}
	for _, s := range l.e.Exports.Body.GetExports() {
		name := called(kindExported, s.GetNamespace(), s.GetName())
		services[name] = exported{wanted: services[name].wanted, seen: s}
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		x := services[name]
		item := &isthmusv1.ItemState{Id: name, Type: resource.ItemExportedServices, Name: name, Differences: x.differences()}
		for _, e := range x.wanted.GetExports() {
			item.WantedBy = append(item.WantedBy, resource.KindServiceExport+"/"+e)
		}
		l.addExport(item, func() verdict { return x.judge(l.datacenter) })
	}
	l.exportsAsWhole()
}

func (l *look) addExport(item *isthmusv1.ItemState, judge func() verdict) {
	l.add(item, resource.ItemExportedServices, l.e.Exports.Body != nil, l.e.Exports.Heard, judge)
}

// exportsAsWhole enters what stands against the whole entry.
func (l *look) exportsAsWhole() {
	report := l.e.Exports.Body
	if report.GetErrorReason() == "" {
		return
	}
	l.addExport(&isthmusv1.ItemState{Id: kindExported, Type: resource.ItemExportedServices, Name: kindExported}, func() verdict {
		v := failed(report.GetErrorReason(), "%s", report.GetError())
		if report.GetErrorReason() == reasonKubernetes {
			v.state = Managed
		}
		return v
	})
}

func (x exported) differences() []*isthmusv1.FieldChange {
	if x.seen == nil && x.wanted == nil || slices.Equal(sorted(x.seen.GetPeers()), sorted(x.wanted.GetPeers())) {
		return nil
	}
	return []*isthmusv1.FieldChange{differs(fieldConsumers, list(x.seen.GetPeers()), list(x.wanted.GetPeers()))}
}

func (x exported) judge(datacenter string) verdict {
	missing := without(x.wanted.GetPeers(), x.seen.GetPeers())
	extra := without(x.seen.GetPeers(), x.wanted.GetPeers())
	switch state := x.seen.GetState(); {
	case x.seen == nil:
		return pending(ReasonNotWritten, "the agent of %s has not written it yet", datacenter)
	case state != resource.ExportApplied:
		return verdict{state: known(state), message: x.seen.GetMessage()}
	case len(missing) > 0:
		return pending(ReasonNotWritten, "not yet exported to %s", strings.Join(missing, ", "))
	case len(extra) > 0:
		return pending(ReasonRemoving, "still exported to %s", strings.Join(extra, ", "))
	}
	return applied()
}

// known is a state as an agent says it; one that is no state is a failure.
func known(state string) string {
	if rank(state) < 0 {
		return Failed
	}
	return state
}

// entryName is what Consul knows a config entry by.
type entryName struct{ kind, namespace, name string }

// entries enters one item for each config entry, those of which something is left although nobody wants it, too.
func (l *look) entries(wanted *isthmusv1.ConfigEntries) {
	report := l.e.Policy.Body
	seen := map[entryName]*isthmusv1.ObservedEntry{}
	for _, o := range report.GetEntries() {
		seen[entryName{o.GetKind(), cmp.Or(o.GetNamespace(), defaultNamespace), o.GetName()}] = o
	}
	for _, e := range wanted.GetEntries() {
		name := entryName{e.GetKind(), cmp.Or(e.GetNamespace(), defaultNamespace), e.GetName()}
		o := seen[name]
		delete(seen, name)
		item := l.entryItem(name)
		item.WantedBy = wanting(e)
		item.Differences = differencesOf(e, o)
		l.addEntry(item, func() verdict { return l.judgeEntry(e, o) })
	}
	left := slices.SortedFunc(maps.Keys(seen), func(a, b entryName) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	for _, name := range left {
		l.addEntry(l.entryItem(name), func() verdict { return leftover(seen[name]) })
	}
	if report.GetErrorReason() != "" {
		item := &isthmusv1.ItemState{Id: resource.ItemConfigEntries, Type: TypeConfigEntry, Name: resource.ItemConfigEntries}
		l.addEntry(item, func() verdict { return failed(report.GetErrorReason(), "%s", report.GetError()) })
	}
}

func (l *look) entryItem(name entryName) *isthmusv1.ItemState {
	as := called(name.kind, name.namespace, name.name)
	return &isthmusv1.ItemState{Id: TypeConfigEntry + "/" + as, Type: TypeConfigEntry, Name: as}
}

func (l *look) addEntry(item *isthmusv1.ItemState, judge func() verdict) {
	l.add(item, resource.ItemConfigEntries, l.e.Policy.Body != nil, l.e.Policy.Heard, judge)
}

// wanting are the policies that have parts of an entry.
func wanting(e *isthmusv1.ConfigEntry) []string {
	var out []string
	for _, p := range e.GetParts() {
		out = append(out, p.GetPolicies()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// differencesOf are the parts of an entry that its agent says are not as they are wanted; of an entry as it was wanted before, and of one that
// nothing is told of, it says nothing.
func differencesOf(e *isthmusv1.ConfigEntry, o *isthmusv1.ObservedEntry) []*isthmusv1.FieldChange {
	if o.GetWantedDigest() != resource.Digest(e) {
		return nil
	}
	var out []*isthmusv1.FieldChange
	for _, p := range o.GetParts() {
		at := slices.IndexFunc(e.GetParts(), func(w *isthmusv1.ConfigPart) bool { return w.GetKey() == p.GetKey() })
		if at < 0 || p.GetState() == resource.PolicyApplied {
			continue
		}
		out = append(out, differs(p.GetKey(), resource.MaskedJSON(p.GetFound()), resource.MaskedJSON(e.GetParts()[at].GetValue())))
	}
	return out
}

func (l *look) judgeEntry(e *isthmusv1.ConfigEntry, o *isthmusv1.ObservedEntry) verdict {
	switch {
	case o == nil:
		return pending(ReasonNotWritten, "the agent of %s has not written it yet", l.datacenter)
	case o.GetWantedDigest() != resource.Digest(e):
		return pending(ReasonNotWritten, "the agent of %s has not written it as it is wanted now", l.datacenter)
	}
	return verdict{state: known(o.GetState()), reason: o.GetReason(), message: o.GetMessage(), fix: l.fixOfEntry(e, o)}
}

// fixOfEntry is what to do about the worst part of an entry. What an agent says is said to be the agent's word, since people paste it.
func (l *look) fixOfEntry(e *isthmusv1.ConfigEntry, o *isthmusv1.ObservedEntry) string {
	for _, p := range o.GetParts() {
		if p.GetState() != o.GetState() {
			continue
		}
		at := slices.IndexFunc(e.GetParts(), func(w *isthmusv1.ConfigPart) bool { return w.GetKey() == p.GetKey() })
		switch {
		case p.GetState() == resource.PolicyManaged && at >= 0:
			return patch(e, e.GetParts()[at])
		case p.GetFix() != "":
			return "the agent of " + l.datacenter + " says: " + p.GetFix()
		}
	}
	return ""
}

// patch is policy.CRDPatch where nothing in it would have to be masked.
func patch(e *isthmusv1.ConfigEntry, p *isthmusv1.ConfigPart) string {
	if resource.HasMasked(p.GetValue()) {
		return "see the patch in status.placements of " + strings.Join(p.GetPolicies(), ", ")
	}
	return policy.CRDPatch(e, p)
}

// leftover is about an entry that nobody wants any more.
func leftover(o *isthmusv1.ObservedEntry) verdict {
	if o.GetState() == resource.PolicyApplied {
		return pending(ReasonRemoving, "isthmus's part of it is being taken out")
	}
	return verdict{state: known(o.GetState()), reason: o.GetReason(), message: o.GetMessage()}
}

// reported is a config entry as the agent tells of it; nil: there is none, or nothing is said of it. false: nobody knows.
func (l *look) reported(kind, name string) (body map[string]any, ok bool) {
	report := l.e.Entries.Body
	if report == nil {
		return nil, false
	}
	for _, e := range report.GetEntries() {
		if e.GetKind() == kind && e.GetName() == name {
			return body, json.Unmarshal([]byte(e.GetJson()), &body) == nil
		}
	}
	return nil, report.GetErrorReason() == "" && !report.GetTruncated()
}

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

// list is names as JSON; nothing for none.
func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	out, err := json.Marshal(sorted(names))
	if err != nil {
		return ""
	}
	return string(out)
}

// without are the names of the one that the other has not.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}
