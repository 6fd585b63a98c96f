package federation

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// authorities are the certificates of some CAs: by their content, with the digest of their subjects, as handshakes show them.
type authorities map[string]string

// authoritiesOf reads PEM. What is no certificate is left out: nobody can trust it.
func authoritiesOf(text string) authorities {
	out := authorities{}
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			continue
		}
		sum := sha256.Sum256(certificate.RawSubject)
		out[string(certificate.Raw)] = hex.EncodeToString(sum[:])
	}
}

// within: each of them is among the others.
func (a authorities) within(others authorities) bool {
	for raw := range a {
		if _, ok := others[raw]; !ok {
			return false
		}
	}
	return true
}

// authorities are the certificates of the CA of a datacenter's servers, as its agents say; none when none can tell.
func (j *judge) authorities(datacenter string) authorities {
	all := authorities{}
	for _, d := range j.seen[datacenter].Deliveries {
		maps.Copy(all, authoritiesOf(d.Report.GetOwnCa()))
	}
	return all
}

// ownCA is the same with the agents' signatures for this federation, each certificate once: without one no agent of another datacenter
// believes it.
func (j *judge) ownCA(datacenter string) []*isthmusv1.OwnCA {
	all := authorities{}
	var out []*isthmusv1.OwnCA
	for _, d := range j.seen[datacenter].Deliveries {
		own := authoritiesOf(d.Report.GetOwnCa())
		if len(d.Report.GetOwnCaSignature()) == 0 || d.Report.GetUid() != j.GetUid() || own.within(all) {
			continue
		}
		maps.Copy(all, own)
		out = append(out, &isthmusv1.OwnCA{Agent: d.Agent, Certificates: d.Report.GetOwnCa(), Signature: d.Report.GetOwnCaSignature()})
	}
	return out
}

// untrusted is why a member's servers and those of the others do not believe each other's certificates yet. A member whose Consul is yet
// to come, or is one of the federation already, has the federation's CA.
func (j *judge) untrusted(m *isthmusv1.FederationMember) problem {
	if j.fresh(m) || j.follows(m) {
		return problem{}
	}
	own, primary := j.authorities(m.GetDatacenter()), j.authorities(j.primary())
	switch {
	case len(own) > 0 && len(primary) > 0 && own.within(primary):
		return problem{}
	case len(own) == 0 && (len(primary) == 0 || j.distrusts(m, primary) != ""):
		return because(ReasonCAUnknown, "no agent of %s knows the CA of its servers' certificates", m.GetDatacenter()).
			fixed("name its file with --consul-ca-cert")
	case len(own) == 0:
		return problem{}
	case len(primary) == 0 && j.distrusts(j.primaryRow, own) != "":
		return because(ReasonCAUnknown, "no agent of the primary %s knows the CA of its servers' certificates", j.primary()).
			fixed("name its file with --consul-ca-cert")
	}
	if host := j.distrusts(m, primary); host != "" {
		return because(ReasonTrust, "its CA is another one than that of %s: %s has still to trust that (its Consul has to reload, and to ask for clients' "+
			"certificates, tls.internal_rpc.verify_incoming, for it to be seen)", j.primary(), host)
	}
	for _, other := range j.next.GetMembers() {
		if other == m || other.GetRole() == resource.RoleSecondary && !delivers(other) {
			continue
		}
		if host := j.distrusts(other, own); host != "" {
			return because(ReasonTrust, "its CA is another one than that of %s: %s of %s has still to trust it", j.primary(), host, other.GetDatacenter())
		}
	}
	return problem{}
}

// distrusts names a host of a member that is not seen to accept certificates of all these CAs; empty: there is none.
func (j *judge) distrusts(m *isthmusv1.FederationMember, of authorities) string {
	if len(m.GetHosts()) == 0 && len(of) > 0 {
		return "every host"
	}
	for _, h := range m.GetHosts() {
		for _, subject := range of {
			if !slices.Contains(h.GetTrustedCas(), subject) {
				return cmp.Or(h.GetHost(), h.GetAgent())
			}
		}
	}
	return ""
}

// trust tells each member whose CA all others trust while it is on its way in. Once it has joined its servers have certificates of the
// federation's CA, and nobody else has to trust the old one.
func (j *judge) trust() {
	entering := false
	primary := j.authorities(j.primary())
	for _, m := range j.secondaryRows() {
		switch m.GetPhase() {
		case resource.PhaseTrusting, resource.PhaseBundling:
			m.OwnCa = nil
			if !j.authorities(m.GetDatacenter()).within(primary) && !j.fresh(m) && !j.follows(m) {
				m.OwnCa = j.ownCA(m.GetDatacenter())
			}
		case resource.PhaseDelivering, resource.PhaseJoining:
		default:
			m.OwnCa = nil
		}
		entering = entering || len(m.GetOwnCa()) > 0
	}
	if j.primaryRow == nil {
		return
	}
	j.primaryRow.OwnCa = nil
	if entering {
		j.primaryRow.OwnCa = j.ownCA(j.primary())
	}
}
