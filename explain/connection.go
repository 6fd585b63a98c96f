package explain

import (
	"cmp"
	"fmt"
	"slices"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Kinds of links; the last two are those of Connection.
const (
	linkNone       = ""
	linkSame       = "same"
	linkFederation = "federation"
	linkPeering    = "peering"
)

// Verdicts of connections (see package connection).
const (
	verdictHealthy = "healthy"
	verdictUnknown = "unknown"
)

// Consul's word for a peering's end that has a stream.
const stateActive = "ACTIVE"

// link is how the two datacenters are connected.
type link struct {
	kind string
	// name is the Peering's or Federation's; empty: a peering that somebody made by hand.
	name string
	// federation is the one that has both, or is about to.
	federation *isthmusv1.Federation
	// waits is why it is none yet, or any more; with what to do about it.
	waits, fix string
	// peerOfSource is the destination's Consul's name of the source's datacenter, peerOfDestination the source's of the destination's.
	peerOfSource, peerOfDestination string
}

// between finds how the two ends are connected.
func (w *walk) between() link {
	a, b := w.src.Datacenter, w.dst.Datacenter
	if a == b {
		return link{kind: linkSame}
	}
	if l, ok := w.federated(a, b); ok {
		return l
	}
	l := w.peered(a, b)
	if l.kind == linkNone && !w.src.external && !w.dst.external {
		if foreign, ok := w.peeredByHand(a, b); ok {
			return foreign
		}
		if waits, ok := w.grouped(a, b); ok {
			return waits
		}
	}
	return l
}

// grouped: a PeeringGroup stands for both, and there is no Peering of them yet, or for as long as something is in its way.
func (w *walk) grouped(a, b string) (link, bool) {
	for g := range resource.All[*isthmusv1.PeeringGroup](w, resource.KindPeeringGroup) {
		l := link{fix: "isthmus describe peering-group " + g.GetName() + " says what it waits for"}
		switch create, skipped := peering.Wish(w, g, a, b); {
		case create != nil:
			l.waits = fmt.Sprintf("PeeringGroup %s is about to connect them, by Peering %s", g.GetName(), create.GetName())
			return l, true
		case skipped != nil:
			l.waits = fmt.Sprintf("PeeringGroup %s would connect them: %s", g.GetName(), skipped.GetReason())
			return l, true
		}
	}
	return link{}, false
}

// federated: both are, or shall be, in one federation.
func (w *walk) federated(a, b string) (link, bool) {
	ma, okA := resource.MembershipOf(w, a)
	mb, okB := resource.MembershipOf(w, b)
	if !okA || !okB || ma.Federation.GetName() != mb.Federation.GetName() {
		return link{}, false
	}
	l := link{kind: linkFederation, name: ma.Federation.GetName(), federation: ma.Federation}
	for _, m := range []struct {
		resource.Membership
		datacenter string
	}{{ma, a}, {mb, b}} {
		if m.Role == resource.RolePrimary || resource.Federated(m.Member) {
			continue
		}
		l.kind = linkNone
		l.waits = fmt.Sprintf("Federation %s is about to connect them: %s is %s", l.name, m.datacenter, cmp.Or(m.Member.GetPhase(), resource.PhaseWaiting))
		if text := m.Member.GetMessage(); text != "" {
			l.waits += ": " + text
		}
		l.fix = "isthmus describe federation " + l.name + " says what it waits for"
	}
	return l, true
}

// peered: a Peering connects them, or did.
func (w *walk) peered(a, b string) link {
	var going link
	declared := a
	if w.src.external {
		declared = b
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](w, resource.KindPeering, declared) {
		spec := p.GetSpec()
		acceptor, dialer := cmp.Or(spec.GetAcceptor(), spec.GetExternalAcceptor()), cmp.Or(spec.GetDialer(), spec.GetExternalDialer())
		l := link{kind: linkPeering, name: p.GetName()}
		switch {
		case acceptor == a && dialer == b:
			l.peerOfDestination, l.peerOfSource = spec.GetAcceptorPeerName(), spec.GetDialerPeerName()
		case acceptor == b && dialer == a:
			l.peerOfSource, l.peerOfDestination = spec.GetAcceptorPeerName(), spec.GetDialerPeerName()
		default:
			continue
		}
		if p.GetDeleteTime() == nil {
			return l
		}
		going = link{waits: "Peering " + p.GetName() + " is being deleted"}
	}
	return going
}

// peeredByHand finds a peering that isthmus did not make: both Consuls have one that trusts the mesh CA of the other.
func (w *walk) peeredByHand(a, b string) (link, bool) {
	there, here := w.foreign(a, b), w.foreign(b, a)
	if there == nil || here == nil {
		return link{}, false
	}
	return link{kind: linkPeering, peerOfDestination: there.GetPeerName(), peerOfSource: here.GetPeerName()}, true
}

// foreign is the peering in one Consul that no Peering wants and whose other end is in another datacenter, by the CA that it trusts; of
// several, as the members of a federation have one CA, the one of that name.
func (w *walk) foreign(in, with string) *isthmusv1.ObservedPeering {
	roots := w.of(with).Inventory.Body.GetCaRoots()
	var found *isthmusv1.ObservedPeering
	for _, o := range w.of(in).Peerings.Body.GetPeerings() {
		trusts := slices.ContainsFunc(o.GetPeerRoots(), func(root string) bool { return slices.Contains(roots, root) })
		if o.GetOrigin() != resource.OriginOwn && trusts && (found == nil || o.GetPeerName() == with) {
			found = o
		}
	}
	return found
}

// end is what the agent of a datacenter sees of the peering; nil: nothing.
func (w *walk) end(datacenter string) *isthmusv1.ObservedPeering {
	name := w.link.peerOfDestination
	if datacenter == w.dst.Datacenter {
		name = w.link.peerOfSource
	}
	for _, o := range w.of(datacenter).Peerings.Body.GetPeerings() {
		if o.GetPeerName() == name {
			return o
		}
	}
	return nil
}

func (w *walk) connection() finding {
	a, b := w.src.Datacenter, w.dst.Datacenter
	switch {
	case w.link.kind == linkSame:
		return passes(a, "both are in %s", a)
	case w.link.kind == linkNone:
		return w.unconnected()
	case w.link.name == "":
		return w.byHand()
	}
	title := "Peering " + w.link.name
	if w.link.kind == linkFederation {
		title = "Federation " + w.link.name
	}
	row := w.row()
	if row == nil {
		return unknown(a, "%s connects %s and %s, and its verdict is not known yet", title, a, b)
	}
	text := fmt.Sprintf("%s connects %s and %s: it is %s", title, a, b, row.GetVerdict())
	f := fails(a, "%s: %s", text, row.GetMessage()).fixed("%s", cmp.Or(row.GetFix(), fmt.Sprintf("isthmus describe %s %s", w.link.kind, w.link.name)))
	switch row.GetVerdict() {
	case verdictHealthy:
		f = passes(a, "%s", text)
		if silence := w.eitherSilent(); silence != nil {
			f = *silence // the verdict will say so, too, as soon as somebody has looked
		}
	case verdictUnknown:
		f.verdict = resource.CheckUnknown
	}
	for _, e := range row.GetEvidence() {
		f = f.with(evidenceLine(e))
	}
	if since := row.GetSince(); since != nil {
		f = f.with(fmt.Sprintf("%s for %s", row.GetVerdict(), age(w.now.Sub(since.AsTime()))))
	}
	return f
}

// row is the verdict on the link; nil: none yet.
func (w *walk) row() *isthmusv1.Connection {
	for _, c := range w.Connections {
		pair := []string{c.GetA(), c.GetB()}
		if c.GetKind() == w.link.kind && c.GetName() == w.link.name && slices.Contains(pair, w.src.Datacenter) && slices.Contains(pair, w.dst.Datacenter) {
			return c
		}
	}
	return nil
}

func evidenceLine(e *isthmusv1.Evidence) string {
	text := e.GetId()
	if e.GetDatacenter() != "" {
		text += " (" + e.GetDatacenter() + ")"
	}
	return fmt.Sprintf("%s: %s: %s", text, e.GetVerdict(), e.GetMessage())
}

// eitherSilent is that an end of this fleet is silent; nil: none is.
func (w *walk) eitherSilent() *finding {
	for _, at := range []place{w.src, w.dst} {
		if at.external {
			continue
		}
		if silence := w.silence(at.Datacenter); silence != nil {
			return silence
		}
	}
	return nil
}

// byHand judges a peering that isthmus did not make by what both agents see of it.
func (w *walk) byHand() finding {
	if silence := w.eitherSilent(); silence != nil {
		return *silence
	}
	a, b := w.src.Datacenter, w.dst.Datacenter
	text := fmt.Sprintf("a peering that somebody made by hand connects %s (there: peer %s) and %s (there: peer %s)", a, w.link.peerOfDestination, b, w.link.peerOfSource)
	f := passes(a, "%s", text)
	for _, dc := range []string{a, b} {
		o := w.end(dc)
		if o.GetState() != stateActive || o.GetHeartbeat() == resource.HeartbeatStale {
			f = fails(dc, "%s, but %s shows it as %s, heartbeat %s", text, dc, o.GetState(), cmp.Or(o.GetHeartbeat(), resource.HeartbeatNever)).with(f.evidence...).
				fixed("isthmus does not touch it: establish it again with a new token, or delete both ends and let isthmus make it: %s", w.peeringManifest())
		}
		f = f.with(w.seenAt(dc, w.of(dc).Peerings.Since, "peer %s is %s, heartbeat %s", o.GetPeerName(), o.GetState(), cmp.Or(o.GetHeartbeat(), resource.HeartbeatNever)))
	}
	return f
}
