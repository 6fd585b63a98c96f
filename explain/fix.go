package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// applied is the command that applies a manifest of one line. Within single quotes of a shell, nothing but the single quote is special.
func applied(manifest string) string {
	return "isthmus apply -f - <<< '" + strings.ReplaceAll(manifest, "'", `'\''`) + "'"
}

// unnameable is why no manifest can be about an end: its name is none that isthmus writes policies about. It comes from whoever registers
// services, or writes config entries that lead on to it. Empty: one can.
func unnameable(ends ...place) string {
	for _, at := range ends {
		if !resource.ValidService(at.Service) || !resource.ValidService(at.Namespace) {
			return "isthmus has no command for it: policies cannot say such a name"
		}
	}
	return ""
}

// plainName is what YAML takes for a text as it stands.
var plainName = regexp.MustCompile(`^[a-z][a-z0-9]*([-_.][a-z0-9]+)+$|^[a-z]{3}[a-z0-9]*$`)

// yamlText is a name as YAML reads it as a text: not as a number, nor as a truth value.
func yamlText(name string) string {
	switch {
	case plainName.MatchString(name) && name != "true" && name != "yes" && name != "off" && name != "null" && name != "false":
		return name
	}
	return fmt.Sprintf("%q", name)
}

// unlikeName is what no resource's name has.
var unlikeName = regexp.MustCompile(`[^a-z0-9-]+`)

// freeName is a name that no resource of a kind has.
func (w *walk) freeName(kind, wish string) string {
	wish = strings.Trim(unlikeName.ReplaceAllString(strings.ToLower(wish), "-"), "-")
	wish = strings.Trim(wish[:min(len(wish), 55)], "-")
	name := wish
	for n := 2; ; n++ {
		if _, taken := w.Get(kind, name); !taken {
			return name
		}
		name = fmt.Sprintf("%s-%d", wish, n)
	}
}

// peeringManifest is the command that makes a peering of the two datacenters: the destination's accepts. Where both have gateways, their
// servers, too, reach each other by these, whatever their networks are.
func (w *walk) peeringManifest() string {
	a, b := w.src.Datacenter, w.dst.Datacenter
	through := ""
	if w.hasGateway(a) && w.hasGateway(b) {
		through = ", throughGateways: true"
	}
	return applied(fmt.Sprintf("{kind: Peering, name: %s, spec: {acceptor: %s, dialer: %s%s}}", w.freeName(resource.KindPeering, b+"-"+a), yamlText(b), yamlText(a), through))
}

// hasGateway tells that a datacenter has a mesh gateway that others can dial.
func (w *walk) hasGateway(datacenter string) bool {
	return slices.ContainsFunc(w.of(datacenter).Inventory.Body.GetGateways(), func(g *isthmusv1.ObservedGateway) bool { return usable(g) && g.GetWanAddress() != "" })
}

// unconnected is what would connect the two datacenters.
func (w *walk) unconnected() finding {
	a, b := w.src.Datacenter, w.dst.Datacenter
	f := fails(a, "nothing connects %s and %s: neither a Peering nor a Federation", a, b)
	switch {
	case w.link.fix != "":
		return fails(a, "%s and %s are not connected: %s", a, b, w.link.waits).fixed("%s", w.link.fix)
	case w.link.waits != "":
		f = fails(a, "nothing connects %s and %s any more: %s", a, b, w.link.waits)
	case w.src.external || w.dst.external:
		return f.fixed("declare a Peering with externalAcceptor or externalDialer: isthmus explains calls over a peering only")
	}
	ma, inA := resource.MembershipOf(w, a)
	mb, inB := resource.MembershipOf(w, b)
	switch {
	case inB && mb.Role == resource.RoleSecondary && inA:
		return f.fixed("a secondary of a federation exports nothing to peers: let %s run in its primary %s, or in a datacenter of its own, and peer with that",
			resource.ShellWord(w.dst.Service), mb.Federation.GetSpec().GetPrimary())
	case inB && mb.Role == resource.RoleSecondary:
		return f.fixed("add %s to spec.secondaries of Federation %s (isthmus federation plan %s says what %s would lose): a secondary such as %s exports nothing to peers",
			a, mb.Federation.GetName(), mb.Federation.GetName(), a, b)
	}
	f = f.fixed("%s", w.peeringManifest())
	for _, m := range []struct {
		federation *isthmusv1.Federation
		in, other  bool
		add        string
	}{{ma.Federation, inA, inB, b}, {mb.Federation, inB, inA, a}} {
		if m.in && !m.other {
			f = f.with(fmt.Sprintf("Federation %s would connect them as well, with %s in its spec.secondaries", m.federation.GetName(), m.add))
		}
	}
	return f
}

// exportManifest is the command that exports the destination to the source's datacenter.
func (w *walk) exportManifest() string {
	if why := unnameable(w.dst); why != "" {
		return why
	}
	consumers := "datacenters: [" + yamlText(w.src.Datacenter) + "]"
	if w.src.external || w.link.name == "" {
		consumers = "peers: [" + yamlText(w.link.peerOfSource) + "]"
	}
	return applied(fmt.Sprintf("{kind: ServiceExport, name: %s, spec: {service: %s,%s datacenters: [%s], consumers: {%s}}}",
		w.freeName(resource.KindServiceExport, w.dst.Service+"-to-"+w.src.Datacenter), yamlText(w.dst.Service), w.namespaceField(w.dst), yamlText(w.dst.Datacenter), consumers))
}

// intentionManifest is the command that lets the source call the destination. In a federation it counts for all of it, since Consul does not
// look at the datacenter of a source there.
func (w *walk) intentionManifest() string {
	if why := unnameable(w.src, w.dst); why != "" {
		return why
	}
	from, scope := "", ""
	switch {
	case w.link.kind == linkPeering && (w.src.external || w.link.name == ""):
		from = " peer: " + yamlText(w.link.peerOfSource) + ","
	case w.link.kind == linkPeering:
		from = " datacenters: [" + yamlText(w.src.Datacenter) + "],"
	}
	if w.inFederation(w.dst.Datacenter) {
		scope = ", scope: federation"
	}
	return applied(fmt.Sprintf("{kind: Intention, name: %s, spec: {destination: {service: %s,%s datacenters: [%s]}, sources: [{service: %s,%s%s action: allow}]%s}}",
		w.freeName(resource.KindIntention, w.dst.Service+"-from-"+w.src.Service+"-of-"+w.src.Datacenter), yamlText(w.dst.Service), w.namespaceField(w.dst), yamlText(w.dst.Datacenter),
		yamlText(w.src.Service), w.namespaceField(w.src), from, scope))
}

// inFederation tells that a datacenter shares its config entries with others, or may.
func (w *walk) inFederation(datacenter string) bool {
	m, ok := resource.MembershipOf(w, datacenter)
	return ok && shares(m)
}

func (w *walk) namespaceField(at place) string {
	if at.Namespace == defaultNamespace {
		return ""
	}
	return " namespace: " + yamlText(at.Namespace) + ","
}
