package federation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// cause is why the servers of a member and of the primary do not read each other: what fails, and the likeliest reason that anybody has
// seen, the one that explains the others first.
func (j *judge) cause(m *isthmusv1.FederationMember) problem {
	var failed []string
	for _, way := range [][2]string{{m.GetDatacenter(), j.primary()}, {j.primary(), m.GetDatacenter()}} {
		if state, read := j.read(way[0], way[1]); state == resource.ReadFailed {
			failed = append(failed, fmt.Sprintf("%s does not read %s (%s)", way[0], way[1], cmp.Or(read.GetError(), read.GetErrorReason())))
		}
	}
	p := because(ReasonReadsFailed, "%s", strings.Join(failed, "; "))
	for _, why := range []string{
		j.unreachedGateways(m), j.wrongNames(m), j.wrongCA(m), j.revokedTokens(m), j.wrongGossip(m), j.missingRoutes(m),
	} {
		if why != "" {
			p.message = why + "; " + p.message
			return p
		}
	}
	return p
}

// both are the ways between a member and the primary.
func (j *judge) both(m *isthmusv1.FederationMember) [][2]*isthmusv1.FederationMember {
	return [][2]*isthmusv1.FederationMember{{m, j.primaryRow}, {j.primaryRow, m}}
}

// allFail are the probes on one way when each address fails for one of some reasons.
func (j *judge) allFail(from, to *isthmusv1.FederationMember, reasons ...string) []*isthmusv1.ObservedProbe {
	probes := j.probesTo(from.GetDatacenter(), to)
	for _, p := range probes {
		if p.GetOk() || !slices.Contains(reasons, p.GetErrorReason()) {
			return nil
		}
	}
	return probes
}

func (j *judge) unreachedGateways(m *isthmusv1.FederationMember) string {
	for _, way := range j.both(m) {
		if probes := j.allFail(way[0], way[1], "ConnectionRefused", "Timeout", "Unreachable", "DNS", "InvalidAddress"); len(probes) > 0 {
			return fmt.Sprintf("%s reaches no %s of %s: %s", way[0].GetDatacenter(), j.dialledWhat(), way[1].GetDatacenter(), probeText(probes))
		}
	}
	return ""
}

func (j *judge) dialledWhat() string {
	if j.GetSpec().GetMode() == resource.ModeTraditional {
		return "server"
	}
	return "gateway"
}

func probeText(probes []*isthmusv1.ObservedProbe) string {
	var out []string
	for _, p := range probes {
		out = append(out, p.GetAddress()+" "+p.GetErrorReason())
	}
	return strings.Join(out, ", ")
}

func (j *judge) wrongCA(m *isthmusv1.FederationMember) string {
	for _, way := range j.both(m) {
		for _, p := range j.probesTo(way[0].GetDatacenter(), way[1]) {
			if !p.GetOk() && slices.Contains([]string{"WrongCertificate", "HandshakeRefused"}, p.GetErrorReason()) {
				return fmt.Sprintf("Wrong CA or certificate: %s refuses what %s shows at %s: %s", way[0].GetDatacenter(), way[1].GetDatacenter(), p.GetAddress(),
					cmp.Or(p.GetError(), p.GetErrorReason()))
			}
		}
	}
	if text := j.said(m, "x509:", "certificate", "unknown authority", "tls:"); text != "" {
		return "Wrong CA or certificate: " + text
	}
	primary := j.authorities(j.primary())
	if host := j.distrusts(m, primary); len(primary) > 0 && host != "" && seesAny(m) {
		return fmt.Sprintf("Wrong CA: %s of %s does not accept the CA of %s", host, m.GetDatacenter(), j.primary())
	}
	return ""
}

// seesAny: some host tells which CAs its server accepts.
func seesAny(m *isthmusv1.FederationMember) bool {
	return slices.ContainsFunc(m.GetHosts(), func(h *isthmusv1.FederationHost) bool { return len(h.GetTrustedCas()) > 0 })
}

// said is what a failed read says when it has one of some words in it.
func (j *judge) said(m *isthmusv1.FederationMember, words ...string) string {
	for _, way := range [][2]string{{m.GetDatacenter(), j.primary()}, {j.primary(), m.GetDatacenter()}} {
		state, read := j.read(way[0], way[1])
		if state != resource.ReadFailed {
			continue
		}
		for _, word := range words {
			if strings.Contains(strings.ToLower(read.GetError()), word) {
				return read.GetError()
			}
		}
	}
	return ""
}

// wrongNames: one direction fails since a server's certificate has not its node's name.
func (j *judge) wrongNames(m *isthmusv1.FederationMember) string {
	for _, member := range []*isthmusv1.FederationMember{m, j.primaryRow} {
		if a, p := j.nodeNames(member); a == no {
			return "Node name missing: " + p.message
		}
	}
	return ""
}

// revokedTokens: Consul knows the tokens no longer, or ACLs are not replicated.
func (j *judge) revokedTokens(m *isthmusv1.FederationMember) string {
	replication := j.seen[m.GetDatacenter()].Inventory.GetAclReplication()
	if text := j.said(m, "acl not found", "permission denied", "acl support", "primary-dc-down"); text != "" {
		return "ACL token revoked, or not replicated yet: " + text
	}
	// While nothing gets through, that ACLs are not replicated is no cause.
	if replication.GetEnabled() && !replication.GetHealthy() && j.said(m, "no path to datacenter", "no cluster leader", "rpc error") == "" {
		return "Replication token revoked, or ACL replication failing: " + cmp.Or(replication.GetError(), "Consul does not say why")
	}
	return ""
}

// wrongGossip: gateways are reached with the right certificates, and the WAN gossip has nobody of the other side.
func (j *judge) wrongGossip(m *isthmusv1.FederationMember) string {
	if text := j.said(m, "no installed keys could decrypt", "decrypt"); text != "" {
		return "Wrong gossip key: " + text
	}
	reached := 0
	for _, way := range j.both(m) {
		ok := false
		for _, p := range j.probesTo(way[0].GetDatacenter(), way[1]) {
			ok = ok || p.GetOk()
		}
		report := j.seen[way[0].GetDatacenter()].Federation
		alive := slices.ContainsFunc(report.GetWanMembers(), func(w *isthmusv1.WanMember) bool {
			return w.GetDatacenter() == way[1].GetConsulDatacenter() && w.GetStatus() == "alive"
		})
		if !ok || alive || len(report.GetWanMembers()) == 0 {
			return ""
		}
		reached++
	}
	if reached < 2 || !j.gossips() {
		return ""
	}
	return fmt.Sprintf("Wrong gossip key: %s and %s reach each other's gateways with the right certificates, and neither is in the other's WAN gossip (compare consul keyring -list)",
		m.GetDatacenter(), j.primary())
}

// gossips: the primary's gossip is encrypted, as far as is known.
func (j *judge) gossips() bool {
	i := j.seen[j.primary()].Inventory
	return i == nil || i.GossipEncrypted == nil || i.GetGossipEncrypted()
}

func (j *judge) missingRoutes(m *isthmusv1.FederationMember) string {
	for _, way := range j.both(m) {
		for _, p := range j.probesTo(way[0].GetDatacenter(), way[1]) {
			if !p.GetOk() {
				return fmt.Sprintf("%s does not get through to %s at %s: %s (%s)", way[0].GetDatacenter(), way[1].GetDatacenter(), p.GetAddress(), p.GetErrorReason(), p.GetError())
			}
		}
	}
	if j.GetSpec().GetMode() != resource.ModeMeshGateway {
		return ""
	}
	for _, member := range []*isthmusv1.FederationMember{m, j.primaryRow} {
		if !slices.ContainsFunc(member.GetGateways(), healthy) {
			return fmt.Sprintf("%s has no healthy mesh gateway", member.GetDatacenter())
		}
	}
	return ""
}
