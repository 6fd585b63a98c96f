package federation

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Ids of rules: see checks for those of the network. They are stable.
const (
	CheckConsulName  = "ConsulNameUnique"
	CheckOneFed      = "OneFederation"
	CheckPartition   = "NoPartition"
	CheckNoPeering   = "NoPeeringInside"
	CheckOnePrimary  = "OnePrimary"
	CheckTLS         = "TLSEnabled"
	CheckACL         = "ACLsAlike"
	CheckGossip      = "GossipAlike"
	CheckVersion     = "ConsulVersion"
	CheckDomain      = "DomainAlike"
	CheckGateway     = "GatewayPresent"
	CheckNodeNames   = "NodeNamesInCertificate"
	CheckReplication = "ACLReplication"
)

// Reasons of what stands against a member.
const (
	ReasonDuplicateName     = "DuplicateConsulDatacenter"
	ReasonAnotherFederation = "InAnotherFederation"
	ReasonPartition         = "Partition"
	ReasonOtherPrimary      = "OtherPrimary"
	ReasonNotPrimary        = "NotPrimary"
	ReasonTLSDisabled       = "TLSDisabled"
	ReasonACLMismatch       = "ACLMismatch"
	ReasonGossipMismatch    = "GossipMismatch"
	ReasonConsulTooOld      = "ConsulTooOld"
	ReasonDomainMismatch    = "DomainMismatch"
	ReasonNoGateway         = "NoGateway"
	ReasonNodeNameMissing   = "NodeNameMissing"
	ReasonUnreachable       = "PrimaryUnreachable"
)

// rule is one thing that has to be so of a member.
type rule struct {
	id string
	// judge gives what is wrong, or whether that can be told at all.
	judge func(*judge, *isthmusv1.FederationMember) (answer, problem)
}

// places are the rules about what was declared; they need nobody's report.
func places() []rule {
	return []rule{
		{CheckOneFed, (*judge).oneFederation},
		{CheckPartition, (*judge).noPartition},
		{CheckConsulName, (*judge).uniqueName},
		{CheckNoPeering, (*judge).noPeering},
	}
}

// facts are the rules about what its Consul is like.
func facts() []rule {
	return []rule{
		{CheckOnePrimary, (*judge).onePrimary},
		{CheckVersion, (*judge).version},
		{CheckTLS, (*judge).tlsOn},
		{CheckACL, (*judge).aclsAlike},
		{CheckGossip, (*judge).gossipAlike},
		{CheckDomain, (*judge).sameDomain},
		{CheckGateway, (*judge).gatewayPresent},
		{CheckNodeNames, (*judge).nodeNames},
	}
}

// misplaced is the first rule about what was declared that a member breaks.
func (j *judge) misplaced(m *isthmusv1.FederationMember) problem { return j.first(places(), m) }

// broken is the first rule about its Consul that a member breaks; of the primary, the first of all.
func (j *judge) broken(m *isthmusv1.FederationMember) problem {
	if m.GetRole() == resource.RolePrimary {
		if p := j.misplaced(m); !p.none() {
			return p
		}
	}
	if p := j.first(facts(), m); !p.none() {
		return p
	}
	return j.unreachable(m)
}

func (j *judge) first(rules []rule, m *isthmusv1.FederationMember) problem {
	for _, r := range rules {
		if a, p := r.judge(j, m); a == no {
			return p
		}
	}
	return problem{}
}

func pass() (answer, problem)          { return yes, problem{} }
func open() (answer, problem)          { return unknown, problem{} }
func fail(p problem) (answer, problem) { return no, p }

func (j *judge) oneFederation(m *isthmusv1.FederationMember) (answer, problem) {
	if other := j.contested[m.GetDatacenter()]; other != "" {
		return fail(because(ReasonAnotherFederation, "%s is in Federation %s, and a datacenter is in one federation", m.GetDatacenter(), other).
			fixed("change the secondaries or the selector of one of them"))
	}
	return pass()
}

func (j *judge) noPartition(m *isthmusv1.FederationMember) (answer, problem) {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](j.r, resource.KindDatacenter, m.GetDatacenter())
	if partition := dc.GetSpec().GetConsulPartition(); !defaultPartition(partition) {
		return fail(because(ReasonPartition, "%s is the admin partition %s of a Consul datacenter, and only whole ones can be federated", m.GetDatacenter(), partition).
			fixed("name the datacenter of the default partition"))
	}
	return pass()
}

// uniqueName: whoever is in already, the primary before all, keeps a name; of others who comes first.
func (j *judge) uniqueName(m *isthmusv1.FederationMember) (answer, problem) {
	for _, other := range j.next.GetMembers() {
		if other == m || other.GetConsulDatacenter() != m.GetConsulDatacenter() || m.GetRole() == resource.RolePrimary {
			continue
		}
		before := other.GetRole() == resource.RolePrimary || resource.Engaged(other) && !resource.Engaged(m) ||
			resource.Engaged(other) == resource.Engaged(m) && other.GetDatacenter() < m.GetDatacenter()
		if before {
			return fail(because(ReasonDuplicateName, "%s and %s are both called %s in Consul", m.GetDatacenter(), other.GetDatacenter(), m.GetConsulDatacenter()).
				fixed("give one of them another name (Consul's datacenter, and spec.consulDatacenter)"))
		}
	}
	return pass()
}

// noPeering: peerings that people made. What a group made goes by itself once the datacenter is about to join.
func (j *judge) noPeering(m *isthmusv1.FederationMember) (answer, problem) {
	name := j.peeringInside(m, func(p *isthmusv1.Peering) bool { return p.GetStatus().GetGroup() == "" && p.GetDeleteTime() == nil })
	if name == "" || m.GetRole() == resource.RolePrimary {
		return pass()
	}
	return fail(because(ReasonPeeringInside, "Peering %s connects %s to another member, and a peering inside of a federation cannot be", name, m.GetDatacenter()).
		fixed("isthmus delete peering %s", name))
}

// peeringInside names a peering of a secondary with another member.
func (j *judge) peeringInside(m *isthmusv1.FederationMember, which func(*isthmusv1.Peering) bool) string {
	for p := range resource.AllTouching[*isthmusv1.Peering](j.r, resource.KindPeering, m.GetDatacenter()) {
		other := p.GetSpec().GetDialer()
		if other == m.GetDatacenter() {
			other = p.GetSpec().GetAcceptor()
		}
		inside := other == j.primary() || j.wanted[other] && j.contested[other] == ""
		if inside && which(p) {
			return p.GetName()
		}
	}
	return ""
}

func (j *judge) onePrimary(m *isthmusv1.FederationMember) (answer, problem) {
	i := j.seen[m.GetDatacenter()].Inventory
	if i == nil {
		return open()
	}
	runs := i.GetPrimaryDatacenter()
	alone := runs == "" || runs == m.GetConsulDatacenter()
	switch {
	case alone:
		return pass()
	case m.GetRole() == resource.RolePrimary:
		return fail(because(ReasonNotPrimary, "the Consul of %s is a secondary of %s", m.GetDatacenter(), runs).
			fixed("make that one the primary, or let %s leave it before", m.GetDatacenter()))
	case runs == consulName(j.r, j.primary()):
		return pass()
	}
	return fail(because(ReasonOtherPrimary, "the Consul of %s is a secondary of %s already", m.GetDatacenter(), runs).
		fixed("let it leave that federation before"))
}

// Consul's first versions with WAN federation through mesh gateways, and with peering through them.
const (
	minMajor, minMinor = 1, 8
	peeringMinor       = 14
)

func (j *judge) version(m *isthmusv1.FederationMember) (answer, problem) {
	text := j.seen[m.GetDatacenter()].Inventory.GetConsulVersion()
	major, minor, ok := versionOf(text)
	if !ok {
		return open()
	}
	if older(major, minor, minMinor) {
		return fail(because(ReasonConsulTooOld, "the Consul of %s is %s: federation through mesh gateways needs 1.8", m.GetDatacenter(), text).fixed("upgrade it"))
	}
	if through := throughGateways(j.r, m.GetDatacenter()); len(through) > 0 && older(major, minor, peeringMinor) {
		return fail(because(ReasonConsulTooOld, "the Consul of %s is %s: its peering with %s through mesh gateways needs 1.14", m.GetDatacenter(), text, through[0].datacenter).
			fixed("upgrade it"))
	}
	return pass()
}

func older(major, minor, than int) bool { return major < minMajor || major == minMajor && minor < than }

// versionOf reads 1.20.6 and 1.20.6+ent.
func versionOf(text string) (major, minor int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, errMajor := strconv.Atoi(parts[0])
	minor, errMinor := strconv.Atoi(parts[1])
	return major, minor, errMajor == nil && errMinor == nil
}

func (j *judge) tlsOn(m *isthmusv1.FederationMember) (answer, problem) {
	i := j.seen[m.GetDatacenter()].Inventory
	if i == nil || i.TlsEnabled == nil {
		return open()
	}
	if !i.GetTlsEnabled() {
		return fail(because(ReasonTLSDisabled, "the Consul servers of %s speak to one another without TLS", m.GetDatacenter()).
			fixed("set tls.defaults.ca_file, cert_file, key_file, verify_incoming and verify_outgoing in their configuration"))
	}
	return pass()
}

func (j *judge) aclsAlike(m *isthmusv1.FederationMember) (answer, problem) {
	return j.alike(m, func(i *isthmusv1.InventoryReport) *bool { return i.AclEnabled }, ReasonACLMismatch, "ACLs are", "acl.enabled")
}

func (j *judge) gossipAlike(m *isthmusv1.FederationMember) (answer, problem) {
	return j.alike(m, func(i *isthmusv1.InventoryReport) *bool { return i.GossipEncrypted }, ReasonGossipMismatch, "gossip encryption is", "encrypt")
}

// alike: what the primary has on or off, everybody has.
func (j *judge) alike(m *isthmusv1.FederationMember, fact func(*isthmusv1.InventoryReport) *bool, reason, what, setting string) (answer, problem) {
	primary, own := j.seen[j.primary()].Inventory, j.seen[m.GetDatacenter()].Inventory
	if primary == nil || own == nil || fact(primary) == nil || fact(own) == nil {
		return open()
	}
	if a, b := *fact(primary), *fact(own); a != b {
		return fail(because(reason, "%s %s in the primary %s and %s in %s: it has to be in all or in none", what, onOff(a), j.primary(), onOff(b), m.GetDatacenter()).
			fixed("see %s in Consul's configuration", setting))
	}
	return pass()
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (j *judge) sameDomain(m *isthmusv1.FederationMember) (answer, problem) {
	a, b := j.seen[j.primary()].Inventory.GetConsulDomain(), j.seen[m.GetDatacenter()].Inventory.GetConsulDomain()
	if a == "" || b == "" {
		return open()
	}
	if a != b {
		return fail(because(ReasonDomainMismatch, "Consul's domain is %s in the primary %s and %s in %s: servers would not know one another's names", a, j.primary(), b, m.GetDatacenter()).
			fixed("set the same domain in all"))
	}
	return pass()
}

// gatewayPresent: on Kubernetes the gateways of a cluster come after its servers have joined.
func (j *judge) gatewayPresent(m *isthmusv1.FederationMember) (answer, problem) {
	if j.GetSpec().GetMode() != resource.ModeMeshGateway {
		return pass()
	}
	if slices.ContainsFunc(m.GetGateways(), healthy) || slices.ContainsFunc(j.seen[m.GetDatacenter()].Gateways, func(g *isthmusv1.GatewayReport) bool { return g.GetWanAddress() != "" }) {
		return pass()
	}
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](j.r, resource.KindDatacenter, m.GetDatacenter())
	if j.fresh(m) && dc.GetSpec().GetRuntime() == resource.RuntimeKubernetes {
		return open()
	}
	sick := 0
	for _, g := range m.GetGateways() {
		if g.GetHealth() == healthCritical {
			sick++
		}
	}
	if sick > 0 {
		return fail(because(ReasonNoGateway, "none of the %d mesh gateways of %s is healthy", sick, m.GetDatacenter()).fixed("see their checks in Consul"))
	}
	return fail(because(ReasonNoGateway, "%s has no mesh gateway that others could dial", m.GetDatacenter()).
		fixed("run isthmus gateway there, or declare a Gateway with its wanAddress"))
}

// nodeNames: other datacenters' servers ask for a server by its node's name, and its certificate must have that. A secondary gets its
// certificates with the bundle.
func (j *judge) nodeNames(m *isthmusv1.FederationMember) (answer, problem) {
	s := j.seen[m.GetDatacenter()]
	names := s.Federation.GetCertificateNames()
	own := m.GetRole() == resource.RolePrimary || delivers(m)
	if j.GetSpec().GetMode() != resource.ModeMeshGateway || !own || len(names) == 0 {
		return open()
	}
	server := ServerName(m.GetConsulDatacenter(), cmp.Or(s.Inventory.GetConsulDomain(), domainOf(j.r, m.GetDatacenter())))
	if slices.Contains(names, "*."+server) {
		return pass()
	}
	nodes := 0
	for _, member := range s.Federation.GetWanMembers() {
		node := strings.TrimSuffix(member.GetNode(), "."+member.GetDatacenter())
		if member.GetDatacenter() != m.GetConsulDatacenter() || member.GetStatus() == "left" {
			continue
		}
		nodes++
		if !slices.Contains(names, node+"."+server) {
			return fail(because(ReasonNodeNameMissing, "the certificate of server %s of %s is for %s, not for %s.%s, which servers of other datacenters ask for",
				node, m.GetDatacenter(), strings.Join(names, ", "), node, server).
				fixed("make it anew with consul tls cert create -server -node %s, or -additional-dnsname '*.%s'", pasted(node, "NODE"), pasted(server, "server.DATACENTER.DOMAIN")))
		}
	}
	if nodes == 0 {
		return open()
	}
	return pass()
}

// bareWord is what means itself in a shell.
var bareWord = regexp.MustCompile(`^[A-Za-z0-9._][A-Za-z0-9._-]*$`)

// pasted is a name as it may stand in a command that people paste: one that agents or Consul's users chose otherwise has to be filled in.
func pasted(name, placeholder string) string {
	if bareWord.MatchString(name) {
		return name
	}
	return placeholder
}

// unreachable: what a running datacenter has is not put at stake while it cannot reach the primary at all. One with gateways of its own,
// which know the way, needs none itself.
func (j *judge) unreachable(m *isthmusv1.FederationMember) problem {
	if m.GetRole() != resource.RoleSecondary || j.fresh(m) || j.follows(m) || delivers(m) || len(j.ownGateways(m.GetDatacenter())) > 0 {
		return problem{}
	}
	probes := j.probesTo(m.GetDatacenter(), j.primaryRow)
	var why []string
	for _, p := range probes {
		if p.GetOk() || !slices.Contains([]string{"ConnectionRefused", "Timeout", "Unreachable", "DNS"}, p.GetErrorReason()) {
			return problem{}
		}
		why = append(why, fmt.Sprintf("%s: %s", p.GetAddress(), p.GetErrorReason()))
	}
	if len(probes) == 0 {
		return problem{}
	}
	return because(ReasonUnreachable, "%s does not reach %s (%s)", m.GetDatacenter(), j.primary(), strings.Join(why, ", ")).
		fixed("open the way from there to these addresses, or run isthmus gateway in %s", m.GetDatacenter())
}
