package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// intention: what the config entries where the destination runs say of the call.
func (w *walk) intention() finding {
	at := w.dst.Datacenter
	if w.dst.external {
		return otherOperator(at)
	}
	if w.link.kind == linkNone {
		return skips(at, "nobody gets there to be let in or not: once connected, Consul decides by the name that %s has for %s", at, w.src.Datacenter)
	}
	entries, since, problem := w.entriesOf(at)
	if problem != nil {
		return *problem
	}
	byDefault := w.of(at).Inventory.Body.GetDefaultIntentionPolicy()
	q := policy.Query{
		SourceNamespace: w.src.Namespace, Source: w.src.Service, SourcePeer: w.link.peerOfSource,
		DestinationNamespace: w.dst.Namespace, Destination: w.dst.Service,
	}
	d := policy.Evaluate(entries, q, byDefault == resource.ActionAllow)
	f := w.decided(d, byDefault)
	if d.Entry != "" {
		owner := w.ownerOfPart(at, d.Entry, d.Source)
		f = f.with(w.seenAt(at, since, "%s, source %s, precedence %s: %s", d.Entry, sourceText(d.Source), precedence(entries, d), owner))
	}
	for n, p := range permissions(entries, d) {
		f = f.with(fmt.Sprintf("permission %d: %s", n+1, p))
	}
	if byDefault != "" {
		f = f.with(w.seenAt(at, w.of(at).Inventory.Since, "a call that no intention is about: %s", byDefault))
	}
	return f.with(w.sharedTrust(entries, q, d)...)
}

// decided is what a decision comes to.
func (w *walk) decided(d policy.Decision, byDefault string) finding {
	at := w.dst.Datacenter
	switch {
	case d.Entry == "" && byDefault == "":
		return unknown(at, "no intention is about the call, and the agent of %s does not tell what Consul does then", at).fixed("upgrade the agent of %s", at)
	case d.Depends:
		return unknown(at, "it depends on the request: %s; what none of the permissions takes is decided by default: %s", d.Reason, cmp.Or(byDefault, "unknown")).
			fixed("see the permissions: Envoy asks them of each request, the first that matches decides")
	case d.Allowed:
		f := passes(at, "allowed: %s", d.Reason)
		if wanted := w.wantedOtherwise(d); wanted != nil {
			f = f.with("careful: an Intention is about just this call, and is not applied: " + wanted.fix).with(wanted.evidence...)
		}
		return f
	}
	f := fails(at, "denied: %s", d.Reason)
	if wanted := w.wantedOtherwise(d); wanted != nil {
		return *wanted
	}
	_, name, _ := strings.Cut(d.Entry, "/")
	exact := strings.EqualFold(name, w.dst.Service) && !strings.HasSuffix(strings.Split(d.Source, "@")[0], "/"+resource.AnyService)
	if d.Entry == "" || !exact {
		return f.fixed("if it shall be allowed: %s", w.intentionManifest())
	}
	owner := w.ownerOfPart(at, d.Entry, d.Source)
	return f.fixed("if it shall be allowed: %s", fixOfEntry(w.home(at), d.Entry, owner))
}

// wantedOtherwise is that an Intention is about just this call, and does not stand in Consul as it is wanted, so that something else decided;
// nil: there is none.
func (w *walk) wantedOtherwise(d policy.Decision) *finding {
	key := "source/" + w.src.Namespace + "/" + w.src.Service
	if w.link.peerOfSource != "" {
		key += "@" + w.link.peerOfSource
	}
	if d.Source == key && strings.EqualFold(d.Entry, policy.KindIntentions+"/"+w.dst.Service) && !w.contested(w.dst.Datacenter, d.Entry, key) {
		return nil
	}
	for _, e := range w.entriesWanted(w.dst.Datacenter).GetEntries() {
		if e.GetKind() != policy.KindIntentions || !strings.EqualFold(e.GetName(), w.dst.Service) || cmp.Or(e.GetNamespace(), defaultNamespace) != w.dst.Namespace {
			continue
		}
		for _, p := range e.GetParts() {
			if p.GetKey() != key || len(p.GetPolicies()) == 0 {
				continue
			}
			name := p.GetPolicies()[0]
			f := fails(w.dst.Datacenter, "denied: %s, although %s is about just this call: it is not applied", d.Reason, name).
				fixed("isthmus describe %s says what stands against it", strings.Replace(strings.ToLower(name), "/", " ", 1)).with(w.notApplied(e.GetKind()+"/"+e.GetName(), key)...)
			return &f
		}
	}
	return nil
}

// notApplied is what the agent says of a part that is not as it is wanted.
func (w *walk) notApplied(entry, key string) []string {
	home := w.home(w.dst.Datacenter)
	report := w.of(home).Policy
	var out []string
	for _, e := range report.Body.GetEntries() {
		if !strings.EqualFold(e.GetKind()+"/"+e.GetName(), entry) {
			continue
		}
		for _, p := range e.GetParts() {
			if p.GetKey() == key {
				out = append(out, w.seenAt(home, report.Since, "%s, source %s: %s: %s", entry, sourceText(key), p.GetState(), cmp.Or(p.GetMessage(), e.GetMessage())))
			}
		}
	}
	if report.Body.GetError() != "" {
		out = append(out, w.seenAt(home, report.Since, "%s", report.Body.GetError()))
	}
	return out
}

// sourceText is a source as people call it: web, or web of peer dc1.
func sourceText(key string) string {
	name, peer, peered := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(key, "source/"), defaultNamespace+"/"), "@")
	if peered {
		return name + " of peer " + peer
	}
	return name
}

// intentionsJSON is Consul's service-intentions, as far as it is shown.
type intentionsJSON struct {
	Sources []struct {
		Name, Namespace, Peer string
		Precedence            int
		Permissions           []struct {
			Action string
			HTTP   json.RawMessage
		}
	}
}

// decider finds the source that decided, in the JSON of its entry.
func decider(entries []*isthmusv1.ReportedEntry, d policy.Decision) (out intentionsJSON) {
	_, name, _ := strings.Cut(d.Entry, "/")
	for _, e := range entries {
		var all intentionsJSON
		if e.GetKind() != policy.KindIntentions || e.GetName() != name || json.Unmarshal([]byte(e.GetJson()), &all) != nil {
			continue
		}
		for _, s := range all.Sources {
			key := "source/" + cmp.Or(s.Namespace, defaultNamespace) + "/" + s.Name
			if s.Peer != "" {
				key += "@" + s.Peer
			}
			if key == d.Source {
				out.Sources = append(out.Sources, s)
				return out
			}
		}
	}
	return out
}

// precedence is Consul's, as its entry shows it.
func precedence(entries []*isthmusv1.ReportedEntry, d policy.Decision) string {
	for _, s := range decider(entries, d).Sources {
		if s.Precedence > 0 {
			return fmt.Sprint(s.Precedence)
		}
	}
	return "not told"
}

// permissions are what decides by the request, in order.
func permissions(entries []*isthmusv1.ReportedEntry, d policy.Decision) []string {
	var out []string
	for _, s := range decider(entries, d).Sources {
		for _, p := range s.Permissions {
			out = append(out, p.Action+" "+string(p.HTTP))
		}
	}
	return out
}

// sharedTrust warns that another peer has the same trust domain, as the members of a federation have, and that intentions say otherwise of
// it: Consul tells callers of peers by the trust domain in their certificates.
func (w *walk) sharedTrust(entries []*isthmusv1.ReportedEntry, q policy.Query, d policy.Decision) []string {
	if q.SourcePeer == "" || w.src.external {
		return nil
	}
	var out []string
	roots := w.of(w.src.Datacenter).Inventory.Body.GetCaRoots()
	for _, o := range w.of(w.dst.Datacenter).Peerings.Body.GetPeerings() {
		if o.GetPeerName() == q.SourcePeer || !overlaps(o.GetPeerRoots(), roots) {
			continue
		}
		other := q
		other.SourcePeer = o.GetPeerName()
		said := policy.Evaluate(entries, other, w.of(w.dst.Datacenter).Inventory.Body.GetDefaultIntentionPolicy() == resource.ActionAllow)
		if said.Allowed != d.Allowed || said.Depends != d.Depends {
			out = append(out, fmt.Sprintf("careful: peer %s is in the same federation, with the same trust domain, and of it the intentions say otherwise (%s): Consul cannot tell their services apart",
				o.GetPeerName(), said.Reason))
		}
	}
	return out
}
