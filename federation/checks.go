package federation

import (
	"fmt"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Ids of checks of the network: Consul's three requirements for federation. They are stable.
const (
	// CheckReachesPrimary: the servers of a secondary can call the primary's gateways when they start for the first time.
	CheckReachesPrimary = "SecondaryReachesPrimary"
	// CheckGatewayReachable: the gateways of all datacenters can reach one another.
	CheckGatewayReachable = "GatewayReachable"
	// CheckKubernetesAPI: with ACLs, the primary can ask the Kubernetes APIs of the secondaries.
	CheckKubernetesAPI = "KubernetesAPIReachable"
	// CheckLoss and CheckAllowed are about the operator's word.
	CheckLoss    = "LossAccepted"
	CheckAllowed = "JoinAllowed"
)

// maxChecks bounds a status.
const maxChecks = 100

// checkList holds the checks that a status has room for, those that fail before those that nobody knows of and those that pass.
type checkList struct{ failed, unknown, passed []*isthmusv1.FederationCheck }

// takes tells whether there is room for one more of a verdict. Each pair of members has a check: most are never made.
func (l *checkList) takes(a answer) bool {
	n := len(l.failed)
	if a != no {
		n += len(l.unknown)
	}
	if a == yes {
		n += len(l.passed)
	}
	return n < maxChecks
}

func (l *checkList) add(checks ...*isthmusv1.FederationCheck) {
	for _, c := range checks {
		switch c.GetVerdict() {
		case resource.CheckFail:
			l.failed = append(l.failed, c)
		case resource.CheckPass:
			l.passed = append(l.passed, c)
		default:
			l.unknown = append(l.unknown, c)
		}
	}
}

func (l *checkList) first() []*isthmusv1.FederationCheck {
	all := slices.Concat(l.failed, l.unknown, l.passed)
	return all[:min(len(all), maxChecks)]
}

// checks are all rules and network requirements with what is known of each, those that fail first.
func (j *judge) checks() []*isthmusv1.FederationCheck {
	var out checkList
	rules := slices.Concat(places(), facts())
	for _, m := range j.next.GetMembers() {
		if m.GetPhase() == resource.PhaseLeaving {
			continue
		}
		for _, r := range rules {
			if a, p := r.judge(j, m); out.takes(a) {
				out.add(check(r.id, m.GetDatacenter(), "", a, p))
			}
		}
		if m.GetRole() == resource.RoleSecondary {
			out.add(j.secondaryChecks(m)...)
		}
		for _, other := range j.next.GetMembers() {
			if other != m && other.GetPhase() != resource.PhaseLeaving && j.dials(m, other) && out.takes(j.reached(m, other)) {
				out.add(j.reaches(CheckGatewayReachable, m, other))
			}
		}
	}
	return out.first()
}

// reached is the verdict of reaches.
func (j *judge) reached(from, to *isthmusv1.FederationMember) answer {
	a := unknown
	for _, p := range j.probesTo(from.GetDatacenter(), to) {
		switch {
		case p.GetOk():
			return yes
		case !retiredAddress(to, p.GetAddress()):
			a = no
		}
	}
	return a
}

func check(id, datacenter, peer string, a answer, p problem) *isthmusv1.FederationCheck {
	verdict := map[answer]string{yes: resource.CheckPass, no: resource.CheckFail, unknown: resource.CheckUnknown}[a]
	return &isthmusv1.FederationCheck{Id: id, Datacenter: datacenter, Peer: peer, Verdict: verdict, Message: p.message, Fix: p.fix}
}

func (j *judge) secondaryChecks(m *isthmusv1.FederationMember) []*isthmusv1.FederationCheck {
	dc, s := m.GetDatacenter(), j.seen[m.GetDatacenter()]
	var out []*isthmusv1.FederationCheck
	if j.primaryRow != nil {
		out = append(out, j.reaches(CheckReachesPrimary, m, j.primaryRow))
	}
	if url := j.apiURL(dc); url != "" {
		out = append(out, j.kubernetesAPI(m, url))
	}
	if !delivers(m) && len(s.Deliveries) > 0 {
		p := j.forbidden(m, s)
		out = append(out, check(CheckAllowed, dc, "", answerOf(s.Online, p.none()), p))
		digest, known := j.lossDigest(m)
		p = problem{}
		if known && digest != "" && !j.accepts(dc, digest) {
			p = because(ReasonLossNotAccepted, "joining destroys what nobody has accepted (plan digest %s)", digest).fixed("isthmus federation plan %s", j.GetName())
		}
		out = append(out, check(CheckLoss, dc, "", answerOf(known, p.none()), p))
	}
	if replication := s.Inventory.GetAclReplication(); delivers(m) && replication.GetEnabled() {
		p := problem{}
		if !replication.GetHealthy() {
			p = j.replicationFailed(replication)
		}
		out = append(out, check(CheckReplication, dc, j.primary(), answerOf(s.Online, p.none()), p))
	}
	return out
}

// reaches is whether one member reaches another: through one of its addresses at least, and what is wrong with the others.
func (j *judge) reaches(id string, from, to *isthmusv1.FederationMember) *isthmusv1.FederationCheck {
	a, b := from.GetDatacenter(), to.GetDatacenter()
	var good, bad []*isthmusv1.ObservedProbe
	for _, p := range j.probesTo(a, to) {
		switch {
		case p.GetOk():
			good = append(good, p)
		case !retiredAddress(to, p.GetAddress()):
			bad = append(bad, p)
		}
	}
	what := j.dialledWhat()
	switch {
	case len(good) > 0 && len(bad) == 0:
		return check(id, a, b, yes, because("", "%s reaches %s", a, b))
	case len(good) > 0:
		return check(id, a, b, yes, because("", "%s reaches %s, and not at each of its addresses: %s", a, b, probeText(bad)))
	case len(bad) > 0:
		p := because("", "%s reaches no %s of %s: %s", a, what, b, probeText(bad))
		p.fix = fmt.Sprintf("let hosts of %s connect to %s of %s: routing, firewall and load balancer", a, bad[0].GetAddress(), b)
		if fix := fixOf(bad[0].GetErrorReason(), b); fix != "" {
			p.fix = fix
		}
		return check(id, a, b, no, p)
	case id == CheckReachesPrimary && len(j.ownGateways(a)) > 0:
		return check(id, a, b, unknown, because("", "nobody has tried yet; the servers of %s go through its own gateways", a))
	}
	return check(id, a, b, unknown, because("", "nobody has tried yet"))
}

// fixOf is what to do about what a probe found where it is not the way there that is closed.
func fixOf(reason, datacenter string) string {
	switch reason {
	case "WrongCertificate", "HandshakeRefused":
		return fmt.Sprintf("see which CA the servers of %s have, and whether their certificates have the names server.<datacenter>.<domain> and *.server.<datacenter>.<domain>", datacenter)
	case "NoRoute", "NotTLS":
		return fmt.Sprintf("see whether a mesh gateway of %s listens there, and knows its servers", datacenter)
	case "DNS":
		return "see whether the name can be resolved there"
	}
	return ""
}

func retiredAddress(m *isthmusv1.FederationMember, address string) bool {
	return slices.ContainsFunc(m.GetGateways(), func(g *isthmusv1.MemberGateway) bool {
		return g.GetWanAddress() == address && g.GetHealth() == resource.GatewayRetired
	})
}

// kubernetesAPI is whether the primary reaches the API that it checks tokens of a secondary's pods with.
func (j *judge) kubernetesAPI(m *isthmusv1.FederationMember, url string) *isthmusv1.FederationCheck {
	p := j.probe(j.primary(), m.GetDatacenter(), url)
	switch {
	case p == nil:
		return check(CheckKubernetesAPI, j.primary(), m.GetDatacenter(), unknown, because("", "nobody has tried %s yet", url))
	case p.GetOk():
		return check(CheckKubernetesAPI, j.primary(), m.GetDatacenter(), yes, because("", "%s reaches %s", j.primary(), url))
	}
	why := because("", "%s does not reach the Kubernetes API of %s at %s: %s %s", j.primary(), m.GetDatacenter(), url, p.GetErrorReason(), p.GetError())
	why.fix = fmt.Sprintf("let the servers of %s connect to it, or correct spec.kubernetes.apiUrl of Datacenter %s: with ACLs on, pods there cannot log in otherwise",
		j.primary(), m.GetDatacenter())
	return check(CheckKubernetesAPI, j.primary(), m.GetDatacenter(), no, why)
}
