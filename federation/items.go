package federation

import (
	"cmp"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Items are what a datacenter's agents do for the federation that it is in, and what they prove of it and of its peers. They are made
// out of resources alone: the state machine's word is in the Federation's status.
func Items(r resource.Reader, datacenter string) []*isthmusv1.DesiredItem {
	out := MemberItems(r, datacenter)
	if probes := NewPeers(r, datacenter).Probes(r); probes != nil {
		out = append(out, probes)
	}
	return out
}

// MemberItems are Items without what is proven.
func MemberItems(r resource.Reader, datacenter string) []*isthmusv1.DesiredItem {
	m, in := resource.MembershipOf(r, datacenter)
	if !in {
		return nil
	}
	w := wanOf(r, m.Federation)
	if m.Role == resource.RolePrimary {
		if !w.cleared() {
			return nil
		}
		return w.primaryItems()
	}
	member := resource.MemberOf(m.Federation, datacenter)
	if member == nil {
		return nil
	}
	return []*isthmusv1.DesiredItem{{
		Id: resource.ItemFederationSecondary + "/" + m.Federation.GetUid(), Type: resource.ItemFederationSecondary,
		FederationSecondary: w.secondaryItem(member),
	}}
}

// wan is one federation while items are made of it.
type wan struct {
	*isthmusv1.Federation
	r           resource.Reader
	memberships map[string]resource.Membership
}

func wanOf(r resource.Reader, f *isthmusv1.Federation) wan {
	return wan{Federation: f, r: r, memberships: resource.Memberships(r)}
}

// secondaries are the rows of the status that are this federation's to deal with.
func (w wan) secondaries() []*isthmusv1.FederationMember {
	var out []*isthmusv1.FederationMember
	for _, m := range w.GetStatus().GetMembers() {
		if m.GetRole() == resource.RoleSecondary && w.has(m.GetDatacenter()) {
			out = append(out, m)
		}
	}
	return out
}

// has: the datacenter is in this federation, and in no other.
func (w wan) has(datacenter string) bool {
	m, ok := w.memberships[datacenter]
	return ok && m.Federation.GetName() == w.GetName()
}

func (w wan) primary() string { return w.GetSpec().GetPrimary() }

// cleared: the state machine has looked at the primary, and nothing stands against what its agents are to do; or somebody is in already.
func (w wan) cleared() bool {
	switch resource.MemberOf(w.Federation, w.primary()).GetPhase() {
	case "", resource.PhaseBlocked, resource.PhaseWaiting:
		return slices.ContainsFunc(w.secondaries(), func(m *isthmusv1.FederationMember) bool {
			return resource.Engaged(m) || m.GetPhase() == resource.PhaseLeaving
		})
	}
	return true
}

func (w wan) primaryItems() []*isthmusv1.DesiredItem {
	secondaries := w.secondaries()
	item := &isthmusv1.FederationPrimary{
		Uid: w.GetUid(), Federation: w.GetName(), Mode: w.GetSpec().GetMode(), Keyless: w.GetSpec().GetKeyless(),
		RetryIntervalWan: w.GetSpec().GetRetryIntervalWan(), TrustedCas: w.trustedCAs(w.primary()),
		Delete: w.GetDeleteTime() != nil && len(secondaries) == 0,
	}
	for _, m := range secondaries {
		item.Members = append(item.Members, w.bundleMember(m))
	}
	for _, request := range w.GetStatus().GetBundleRequests() {
		if request.GetSecretDigest() == "" && request.GetError() == "" {
			item.Requests = append(item.Requests, request)
		}
	}
	out := []*isthmusv1.DesiredItem{{
		Id: resource.ItemFederationPrimary + "/" + w.GetUid(), Type: resource.ItemFederationPrimary, FederationPrimary: item,
	}}
	if mode := w.GetSpec().GetMeshGatewayMode(); mode != "" && w.GetDeleteTime() == nil {
		out = append(out, &isthmusv1.DesiredItem{
			Id: resource.ItemProxyDefaults, Type: resource.ItemProxyDefaults, ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: mode},
		})
	}
	return out
}

// bundleMember is a secondary as the primary's agent deals with it.
func (w wan) bundleMember(m *isthmusv1.FederationMember) *isthmusv1.BundleMember {
	out := &isthmusv1.BundleMember{
		Datacenter: m.GetDatacenter(), ConsulDatacenter: m.GetConsulDatacenter(),
		Recipients: resource.Recipients(w.r, w.primary(), m.GetDatacenter()),
		Bundle:     m.GetBundle(), WanAddresses: wanAddresses(w.r, m.GetDatacenter()),
		Revoke: m.GetPhase() == resource.PhaseLeaving && m.GetReason() == ReasonRevoking,
	}
	// Without an agent that could open it there is none; see bundles by hand.
	out.Ready = wantsBundle(m) && len(out.GetRecipients()) > 0
	if w.GetSpec().GetMode() == resource.ModeTraditional {
		out.RetryJoinWan = wanAddresses(w.r, w.primary())
	} else {
		out.PrimaryGateways = w.primaryGateways(m.GetDatacenter())
		out.Ready = out.GetReady() && len(out.GetPrimaryGateways()) > 0
	}
	if !w.GetSpec().GetKeyless() {
		return out
	}
	for _, h := range m.GetHosts() {
		asks := len(h.GetCsr()) > 0 && slices.ContainsFunc(out.GetRecipients(), func(t *isthmusv1.TrustedAgent) bool {
			return t.GetAttestation().GetAgent() == h.GetAgent()
		})
		if asks {
			out.Requests = append(out.Requests, &isthmusv1.CertificateRequest{Agent: h.GetAgent(), Csr: h.GetCsr(), Signature: h.GetCsrSignature()})
		}
	}
	return out
}

// primaryGateways are what the servers of a secondary dial: its own gateways, in whose routes the primary's are, so that the primary's
// addresses change without anybody restarting a server; or the primary's. An address is among them from when it was healthy for the
// first time until it is retired: a health that comes and goes restarts nobody.
func (w wan) primaryGateways(datacenter string) []string {
	if own := w.ownGateways(datacenter); len(own) > 0 {
		return own
	}
	return inUse(resource.MemberOf(w.Federation, w.primary()), (*isthmusv1.MemberGateway).GetWanAddress)
}

// ownGateways are the LAN addresses of a datacenter's gateways that are isthmus's: enrolled ones, and those that an operator names.
func (w wan) ownGateways(datacenter string) []string {
	member := resource.MemberOf(w.Federation, datacenter)
	if enrolledGateway(w.r, datacenter) {
		return inUse(member, (*isthmusv1.MemberGateway).GetLanAddress)
	}
	static := map[string]bool{}
	for g := range resource.AllTouching[*isthmusv1.Gateway](w.r, resource.KindGateway, datacenter) {
		if g.GetSpec().GetSource() == resource.SourceStatic && g.GetDeleteTime() == nil {
			static[g.GetSpec().GetLanAddress()] = true
		}
	}
	return slices.DeleteFunc(inUse(member, (*isthmusv1.MemberGateway).GetLanAddress), func(address string) bool { return !static[address] })
}

func enrolledGateway(r resource.Reader, datacenter string) bool {
	for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
		if a.GetSpec().GetKind() == resource.AgentKindGateway && a.GetDeleteTime() == nil {
			return true
		}
	}
	return false
}

// inUse are addresses of a member's gateways that bundles may name, sorted: when all are retired, those.
func inUse(m *isthmusv1.FederationMember, address func(*isthmusv1.MemberGateway) string) []string {
	var used, retired []string
	for _, g := range m.GetGateways() {
		switch {
		case address(g) == "":
		case g.GetHealth() == resource.GatewayRetired:
			retired = append(retired, address(g))
		case g.GetUsed():
			used = append(used, address(g))
		}
	}
	if len(used) == 0 {
		used = retired
	}
	slices.Sort(used)
	return slices.Compact(used)
}

// wanAddresses are those of a datacenter's servers in the WAN gossip.
func wanAddresses(r resource.Reader, datacenter string) []string {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter)
	return dc.GetStatus().GetWanAddresses()
}

// trustedCAs are the CAs that a datacenter trusts beside its own, while somebody with another one is on its way in. Each comes with the
// papers of who vouches for it; who has none any more is not believed.
func (w wan) trustedCAs(datacenter string) []*isthmusv1.TrustedCA {
	var out []*isthmusv1.TrustedCA
	for _, m := range w.GetStatus().GetMembers() {
		if m.GetDatacenter() == datacenter || len(m.GetOwnCa()) == 0 || m.GetPhase() == resource.PhaseLeaving {
			continue
		}
		papers := map[string]*isthmusv1.TrustedAgent{}
		for _, t := range resource.TrustedAgents(w.r, m.GetDatacenter()) {
			papers[t.GetAttestation().GetAgent()] = t
		}
		for _, own := range m.GetOwnCa() {
			if t := papers[own.GetAgent()]; t != nil {
				out = append(out, &isthmusv1.TrustedCA{
					Datacenter: m.GetDatacenter(), Certificates: own.GetCertificates(), Agent: t, Signature: own.GetSignature(),
				})
			}
		}
	}
	return out
}

func (w wan) secondaryItem(m *isthmusv1.FederationMember) *isthmusv1.FederationSecondary {
	item := &isthmusv1.FederationSecondary{
		Uid: w.GetUid(), Federation: w.GetName(), Mode: w.GetSpec().GetMode(), Keyless: w.GetSpec().GetKeyless(),
		Primary: w.primary(), PrimaryConsulDatacenter: consulName(w.r, w.primary()),
		Senders: resource.TrustedAgents(w.r, w.primary()),
	}
	if m.GetPhase() == resource.PhaseLeaving {
		item.Delete = true
		return item
	}
	if resource.Engaged(m) {
		item.TrustedCas = w.trustedCAs(m.GetDatacenter())
	}
	if delivers(m) {
		item.Join = true
		item.SecretDigest, item.Generation = m.GetBundle().GetSecretDigest(), m.GetBundle().GetGeneration()
		item.UnderWay = slices.ContainsFunc(m.GetHosts(), func(h *isthmusv1.FederationHost) bool { return h.GetApplied() > 0 })
	}
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](w.r, resource.KindDatacenter, m.GetDatacenter())
	item.Fresh = dc.GetStatus().GetConsulVersion() == "" || dc.GetStatus().GetPrimaryDatacenter() == item.GetPrimaryConsulDatacenter()
	if m.GetAccepted() {
		item.AcceptedDigest = m.GetPlanDigest()
	}
	return item
}

// consulName is what Consul calls a datacenter.
func consulName(r resource.Reader, datacenter string) string {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter)
	return cmp.Or(dc.GetSpec().GetConsulDatacenter(), datacenter)
}

// domainOf is the domain of a datacenter's Consul.
func domainOf(r resource.Reader, datacenter string) string {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter)
	return cmp.Or(dc.GetStatus().GetConsulDomain(), defaultDomain)
}

// defaultDomain is Consul's own.
const defaultDomain = "consul"
