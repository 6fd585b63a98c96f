package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// kindExports is Consul's kind of the config entry that says what peers may see; there is one, named default.
const kindExports = "exported-services"

// exportsJSON is that entry, as far as it decides.
type exportsJSON struct {
	Services []struct {
		Name, Namespace string
		Consumers       []struct{ Peer string }
	}
}

// entriesOf are the config entries that count in a datacenter, and since when; else why nobody knows them.
func (w *walk) entriesOf(datacenter string) ([]*isthmusv1.ReportedEntry, time.Time, *finding) {
	if silence := w.silence(datacenter); silence != nil {
		return nil, time.Time{}, silence
	}
	report := w.of(datacenter).Entries
	var f finding
	switch {
	case report.Body == nil:
		f = untold(datacenter, "its config entries")
	case report.Body.GetErrorReason() != "":
		f = unknown(datacenter, "the agent of %s cannot read all config entries: %s", datacenter, report.Body.GetError()).
			fixed("give its Consul token the rules that isthmus agent policy shows")
	case report.Body.GetTruncated():
		f = unknown(datacenter, "%s has more config entries than its agent tells of", datacenter).fixed("ask its Consul itself: consul config list -kind service-intentions")
	default:
		return report.Body.GetEntries(), report.Since, nil
	}
	return nil, time.Time{}, &f
}

// export: a peer sees nothing but what the other one exports to it.
func (w *walk) export() finding {
	at, here := w.dst.Datacenter, w.src.Datacenter
	switch {
	case w.link.kind == linkNone:
		return skips(at, "there is nobody to export it to")
	case w.link.kind != linkPeering:
		return skips(at, "within one datacenter or federation nothing has to be exported")
	case w.dst.external:
		return w.importedAs(skips(at, "what %s exports is its operator's to say", at))
	}
	entries, since, problem := w.entriesOf(at)
	if problem != nil {
		return *problem
	}
	by := w.exportedBy(entries)
	if by == "" {
		return w.unexported().with(w.seenAt(at, since, "no consumer %s of %s in exported-services", w.link.peerOfSource, w.dst.Service))
	}
	f := passes(at, "%s exports %s to %s (there: peer %s): %s", at, w.dst.Service, here, w.link.peerOfSource, by).
		with(w.seenAt(at, since, "exported-services/default names %s for peer %s", w.dst.Service, w.link.peerOfSource))
	if w.src.external {
		return f
	}
	return w.importedAs(f)
}

// exportedBy is whose consumer exports the destination to the source's datacenter; empty: nobody's.
func (w *walk) exportedBy(entries []*isthmusv1.ReportedEntry) string {
	there := false
	for _, e := range entries {
		var exports exportsJSON
		if e.GetKind() != kindExports || json.Unmarshal([]byte(e.GetJson()), &exports) != nil {
			continue
		}
		for _, s := range exports.Services {
			named := s.Name == resource.AnyService || strings.EqualFold(s.Name, w.dst.Service)
			if !named || cmp.Or(s.Namespace, defaultNamespace) != w.dst.Namespace && s.Namespace != resource.AnyService {
				continue
			}
			for _, c := range s.Consumers {
				there = there || c.Peer == w.link.peerOfSource
			}
		}
	}
	if !there {
		return ""
	}
	var ours []string
	for _, s := range w.exportsWanted() {
		if conflict := w.exportState(s); conflict != resource.PolicyConflict {
			for _, name := range s.GetExports() {
				ours = append(ours, resource.KindServiceExport+"/"+name)
			}
		}
	}
	if len(ours) == 0 {
		return bySomebody
	}
	return resource.Some(sortedOnce(ours), mostNamed)
}

// exportsWanted is what isthmus wants of the destination exported to the source's datacenter.
func (w *walk) exportsWanted() []*isthmusv1.ExportedService {
	var out []*isthmusv1.ExportedService
	for _, s := range policy.Exports(w, w.dst.Datacenter).GetServices() {
		named := s.GetName() == resource.AnyService || strings.EqualFold(s.GetName(), w.dst.Service)
		if named && cmp.Or(s.GetNamespace(), defaultNamespace) == w.dst.Namespace && slices.Contains(s.GetPeers(), w.link.peerOfSource) {
			out = append(out, s)
		}
	}
	return out
}

// exportState is how far a wanted export is, by its agent.
func (w *walk) exportState(s *isthmusv1.ExportedService) string {
	for _, o := range w.of(w.dst.Datacenter).Exports.Body.GetExports() {
		if o.GetName() == s.GetName() && cmp.Or(o.GetNamespace(), defaultNamespace) == cmp.Or(s.GetNamespace(), defaultNamespace) {
			return o.GetState()
		}
	}
	return ""
}

// unexported is why a service is not exported, and what would do it.
func (w *walk) unexported() finding {
	at := w.dst.Datacenter
	f := fails(at, "%s does not export %s to %s (there: peer %s)", at, w.dst.Service, w.src.Datacenter, w.link.peerOfSource)
	if wanted := w.exportsWanted(); len(wanted) > 0 {
		name := wanted[0].GetExports()[0]
		f.message += fmt.Sprintf(", although ServiceExport/%s wants it", name)
		if report := w.of(at).Exports.Body; report.GetError() != "" {
			f.message += ": " + report.GetError()
		}
		return f.fixed("isthmus describe service-export %s says what stands against it", name)
	}
	if m, ok := resource.MembershipOf(w, at); ok && m.Role == resource.RoleSecondary && resource.Federated(m.Member) {
		return f.fixed("Consul lets a secondary of a federation export nothing: let %s run in the primary, %s, or in a datacenter of its own", resource.ShellWord(w.dst.Service), m.Federation.GetSpec().GetPrimary())
	}
	return f.fixed("%s", w.exportManifest())
}

// importedAs adds to an export whether it has arrived.
func (w *walk) importedAs(f finding) finding {
	here := w.src.Datacenter
	if silence := w.silence(here); silence != nil {
		return silence.with(f.evidence...)
	}
	report := w.of(here).Services
	if report.Body == nil {
		return untold(here, "its services").with(f.evidence...)
	}
	found := w.service(here, w.dst.Service, w.link.peerOfDestination)
	if found == nil {
		missing := fails(here, "%s is exported, but %s has not imported it from its peer %s", w.dst.Service, here, w.link.peerOfDestination).with(f.evidence...)
		if w.link.name == "" {
			return missing.fixed("see in %s whether the peering hangs: consul peering read -name %s", here, resource.ShellWord(w.link.peerOfDestination))
		}
		return missing.fixed("the stream of the peering hangs, or has only just come: isthmus describe peering %s", w.link.name)
	}
	return f.with(w.seenAt(here, report.Since, "imported from peer %s: %d instances, %d healthy", w.link.peerOfDestination, found.GetInstances(), found.GetHealthy()))
}

// sortedOnce sorts names and leaves out what is there twice.
func sortedOnce(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
