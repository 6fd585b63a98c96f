package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// defaultPartition is the only one that Consul's Community Edition has.
const defaultPartition = "default"

// partition is the admin partition that a datacenter stands for.
func (w *walk) partition(datacenter string) string {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](w, resource.KindDatacenter, datacenter)
	return cmp.Or(dc.GetSpec().GetConsulPartition(), defaultPartition)
}

// sni: the exact name that the caller's proxy asks for, by which gateways find the way. Consul makes it so:
//
//	<service>.<namespace>.<datacenter>.internal.<trust domain>             in one datacenter or federation (connect.ServiceSNI)
//	<service>.<namespace>.<partition>.<peer>.external.<trust domain>       over a peering; peer and trust domain are the exporter's (connect.PeeredServiceSNI)
func (w *walk) sni() finding {
	at := w.dst.Datacenter
	if w.link.kind == linkNone {
		return skips(at, "no way leads there")
	}
	if w.dst.external {
		return otherOperator(at)
	}
	if silence := w.silence(at); silence != nil {
		return *silence
	}
	report := w.of(at).Inventory
	domain := report.Body.GetTrustDomain()
	if domain == "" {
		return unknown(at, "the agent of %s has not told of a mesh CA: is Connect enabled there?", at).fixed("set connect { enabled = true } in the servers of %s", at)
	}
	return passes(at, "%s", w.serverName(domain)).with(w.seenAt(at, report.Since, "trust domain of %s: %s", at, domain))
}

// serverName is the name on the wire, given the destination's trust domain.
func (w *walk) serverName(domain string) string {
	if w.link.kind == linkPeering {
		return fmt.Sprintf("%s.%s.%s.%s.external.%s", w.dst.Service, w.dst.Namespace, w.partition(w.dst.Datacenter), w.link.peerOfSource, domain)
	}
	name := fmt.Sprintf("%s.%s.", w.dst.Service, w.dst.Namespace)
	ways, _ := waysOf(w.of(w.src.Datacenter).Entries.Body.GetEntries(), w.dst.Namespace, w.dst.Service, w.consulName(w.dst.Datacenter))
	for _, one := range ways {
		if one.subset != "" && w.leads(w.dst.Datacenter, one.target) {
			name = one.subset + "." + name
			break
		}
	}
	if partition := w.partition(w.dst.Datacenter); partition != defaultPartition {
		return fmt.Sprintf("%s%s.%s.internal-v1.%s", name, partition, w.consulName(w.dst.Datacenter), domain)
	}
	return fmt.Sprintf("%s%s.internal.%s", name, w.consulName(w.dst.Datacenter), domain)
}

// spiffe is the id in a service's certificate.
func (w *walk) spiffe(at place, domain string) string {
	partition := ""
	if p := w.partition(at.Datacenter); p != defaultPartition {
		partition = "/ap/" + p
	}
	return fmt.Sprintf("spiffe://%s%s/ns/%s/dc/%s/svc/%s", domain, partition, at.Namespace, w.consulName(at.Datacenter), at.Service)
}

// certificate: both ends have one of a mesh CA that the other trusts: the same in a datacenter or federation, each other's over a peering.
func (w *walk) certificate() finding {
	here, at := w.src.Datacenter, w.dst.Datacenter
	if w.link.kind == linkNone {
		return skips(here, "no way leads there")
	}
	if w.src.external || w.dst.external {
		external := w.src
		if w.dst.external {
			external = w.dst
		}
		return otherOperator(external.Datacenter)
	}
	if silence := w.eitherSilent(); silence != nil {
		return *silence
	}
	a, b := w.of(here).Inventory.Body, w.of(at).Inventory.Body
	for _, one := range []struct {
		datacenter string
		report     *isthmusv1.InventoryReport
	}{{here, a}, {at, b}} {
		if len(one.report.GetCaRoots()) == 0 || one.report.GetTrustDomain() == "" {
			return untold(one.datacenter, "the roots of its mesh CA")
		}
		if at := one.report.GetCaExpireTime(); at != nil && !at.AsTime().After(w.now) {
			return fails(one.datacenter, "the root of the mesh CA of %s has expired: %s ago", one.datacenter, age(w.now.Sub(at.AsTime()))).
				fixed("rotate it: in %s, consul connect ca set-config", w.home(one.datacenter))
		}
	}
	f := w.trusts(a, b)
	if w.link.kind == linkPeering {
		f = w.trustsPeers(a, b)
	}
	return f.with(
		w.seenAt(here, w.of(here).Inventory.Since, "%s shows %s, of CA root %s%s", w.src, w.spiffe(w.src, a.GetTrustDomain()), short(a.GetCaRoots()[0]), until(a, w.now)),
		w.seenAt(at, w.of(at).Inventory.Since, "%s shows %s, of CA root %s%s", w.dst, w.spiffe(w.dst, b.GetTrustDomain()), short(b.GetCaRoots()[0]), until(b, w.now)),
	)
}

// trusts: one CA in a datacenter, or for all of a federation.
func (w *walk) trusts(a, b *isthmusv1.InventoryReport) finding {
	here, at := w.src.Datacenter, w.dst.Datacenter
	switch {
	case w.link.kind == linkSame:
		return passes(here, "both have certificates of the mesh CA of %s, trust domain %s", here, a.GetTrustDomain())
	case a.GetTrustDomain() != b.GetTrustDomain():
		return fails(at, "%s and %s are in one federation, but have different mesh CAs: trust domains %s and %s", here, at, a.GetTrustDomain(), b.GetTrustDomain()).
			fixed("a secondary takes the primary's CA once its servers reach the primary's: see isthmus describe federation %s, and the log of its Consul", w.link.name)
	case !slices.Contains(a.GetCaRoots(), b.GetCaRoots()[0]) || !slices.Contains(b.GetCaRoots(), a.GetCaRoots()[0]):
		return fails(at, "%s and %s have the same trust domain, but not the same active root of the mesh CA: one lags behind after a rotation", here, at).
			fixed("see isthmus connections, and the log of Consul in the secondary: its CA follows the primary's")
	}
	return passes(at, "both have certificates of the mesh CA of Federation %s, trust domain %s", w.link.name, a.GetTrustDomain())
}

// trustsPeers: each end has got the roots of the other over the peering.
func (w *walk) trustsPeers(a, b *isthmusv1.InventoryReport) finding {
	here, at := w.src.Datacenter, w.dst.Datacenter
	var lines []string
	for _, one := range []struct {
		in, of string
		active string
	}{{here, at, b.GetCaRoots()[0]}, {at, here, a.GetCaRoots()[0]}} {
		o := w.end(one.in)
		if o == nil || len(o.GetPeerRoots()) == 0 {
			return unknown(one.in, "the agent of %s does not tell of roots that it trusts for its peer %s", one.in, one.of).with(lines...).
				fixed("they come over the peering, once it works: isthmus connections says whether it does")
		}
		if !slices.Contains(o.GetPeerRoots(), one.active) {
			return fails(one.in, "%s does not trust the active root %s of the mesh CA of %s: it knows %d others", one.in, short(one.active), one.of, len(o.GetPeerRoots())).with(lines...).
				fixed("%s", w.fixOfRoots())
		}
		lines = append(lines, w.seenAt(one.in, w.of(one.in).Peerings.Since, "%s trusts root %s of %s (there: peer %s)", one.in, short(one.active), one.of, o.GetPeerName()))
	}
	return passes(at, "each end trusts the mesh CA of the other").with(lines...)
}

func (w *walk) fixOfRoots() string {
	if w.link.name == "" {
		return "the roots come over the peering's stream, which hangs: establish it again with a new token"
	}
	return "the roots come over the peering's stream, which hangs: isthmus peering rotate " + w.link.name
}

// short is enough of a digest to tell it from others.
func short(digest string) string { return digest[:min(len(digest), 12)] }

// until is when a mesh CA's root ends.
func until(r *isthmusv1.InventoryReport, now time.Time) string {
	at := r.GetCaExpireTime()
	if at == nil {
		return ""
	}
	return ", valid for " + age(at.AsTime().Sub(now))
}

// overlaps tells that two lists have something in common.
func overlaps(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool { return slices.Contains(b, one) })
}
