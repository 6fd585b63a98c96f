package federation

import (
	"cmp"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What a server is asked for through a gateway: RPC between servers of a federation, and the control traffic of a peering.
const (
	alpnRPC     = "consul/rpc-multi"
	alpnPeering = "h2"
)

func (p *Peers) probes(r resource.Reader, m resource.Membership) *isthmusv1.Probes {
	out := &isthmusv1.Probes{}
	if m.Federation != nil && !m.Leaving {
		wanOf(r, m.Federation).probes(out, p.datacenter)
	}
	for _, row := range p.rows {
		for _, address := range row.addresses {
			probe := &isthmusv1.GatewayProbe{Datacenter: row.datacenter, Address: address, ServerName: row.serverName}
			if row.serverName != "" {
				probe.Alpn = alpnPeering
			}
			out.Gateways = append(out.Gateways, probe)
		}
	}
	if len(out.GetGateways())+len(out.GetReads())+len(out.GetUrls()) == 0 {
		return nil
	}
	slices.SortFunc(out.Gateways, func(a, b *isthmusv1.GatewayProbe) int {
		return cmp.Or(cmp.Compare(a.GetDatacenter(), b.GetDatacenter()), cmp.Compare(a.GetAddress(), b.GetAddress()), cmp.Compare(a.GetServerName(), b.GetServerName()))
	})
	return out
}

// probes adds what is to be proven of the other members. Who has not joined tries the primary's gateways, which it is about to need.
func (w wan) probes(out *isthmusv1.Probes, datacenter string) {
	self := resource.MemberOf(w.Federation, datacenter)
	inside := datacenter == w.primary() || delivers(self)
	for _, other := range w.GetStatus().GetMembers() {
		name := other.GetDatacenter()
		if name == datacenter || !w.has(name) || other.GetPhase() == resource.PhaseLeaving {
			continue
		}
		if primary := name == w.primary(); primary || inside && delivers(other) {
			for _, address := range w.dialled(other) {
				out.Gateways = append(out.Gateways, &isthmusv1.GatewayProbe{
					Datacenter: name, Address: address, ServerName: ServerName(other.GetConsulDatacenter(), domainOf(w.r, name)), Alpn: alpnRPC,
				})
			}
		}
		if inside && (name == w.primary() || delivers(other) || datacenter == w.primary() && w.byHand(name)) {
			out.Reads = append(out.Reads, &isthmusv1.ReadProbe{Datacenter: name, ConsulDatacenter: other.GetConsulDatacenter()})
		}
		if url := w.apiURL(name); url != "" && datacenter == w.primary() {
			out.Urls = append(out.Urls, &isthmusv1.UrlProbe{Datacenter: name, Url: url})
		}
	}
}

// dialled are the addresses at which others reach a member: its gateways, or its servers.
func (w wan) dialled(m *isthmusv1.FederationMember) []string {
	if w.GetSpec().GetMode() == resource.ModeTraditional {
		dc, _ := resource.Lookup[*isthmusv1.Datacenter](w.r, resource.KindDatacenter, m.GetDatacenter())
		return dc.GetStatus().GetRpcAddresses()
	}
	var out []string
	for _, g := range m.GetGateways() {
		out = append(out, g.GetWanAddress())
	}
	return out
}

// byHand: somebody was given a bundle for a datacenter that may have no agent to tell what became of it.
func (w wan) byHand(datacenter string) bool {
	return slices.ContainsFunc(w.GetStatus().GetBundleRequests(), func(q *isthmusv1.BundleRequest) bool {
		return q.GetDatacenter() == datacenter && q.GetSecretDigest() != ""
	})
}

// apiURL is the Kubernetes API of a secondary that the primary's servers ask about tokens of its pods; empty when they do not.
func (w wan) apiURL(datacenter string) string {
	primary, _ := resource.Lookup[*isthmusv1.Datacenter](w.r, resource.KindDatacenter, w.primary())
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](w.r, resource.KindDatacenter, datacenter)
	if status := primary.GetStatus(); status != nil && status.AclEnabled != nil && !status.GetAclEnabled() {
		return ""
	}
	if datacenter == w.primary() || dc.GetSpec().GetRuntime() != resource.RuntimeKubernetes {
		return ""
	}
	return dc.GetSpec().GetKubernetes().GetApiUrl()
}
