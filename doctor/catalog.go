package doctor

import (
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Check is one thing that doctor asks.
type Check struct {
	// ID is stable: one CamelCase word, and the title of a section of docs/checks.md.
	ID string
	// Severity is what it means, mostly, when it fails.
	Severity string
	// Title is what is so when it passes.
	Title string
	// Local: only the command line can see it.
	Local bool
	// ask is nil of a local one.
	ask func(*exam) []answer
}

// Link is where docs tell of it.
func (c Check) Link() string { return "docs/checks.md#" + c.ID }

// Ids of what only the command line sees.
const (
	CheckServer = "ServerReachable"
	CheckToken  = "TokenAccepted"
	CheckClock  = "LocalClock"
)

// Catalog are all checks, in the order in which they are shown.
func Catalog() []Check { return catalog() }

// IDs are those of all checks.
func IDs() []string {
	var out []string
	for _, c := range catalog() {
		out = append(out, c.ID)
	}
	return out
}

// LocalCheck is what the command line found out about a check of its own; with no message it passes.
func LocalCheck(id, message, fix string) *isthmusv1.DoctorCheck {
	for _, c := range catalog() {
		if c.ID != id {
			continue
		}
		out := &isthmusv1.DoctorCheck{Id: id, Severity: c.Severity, Verdict: resource.CheckPass, Message: c.Title, Link: c.Link()}
		if message != "" {
			out.Verdict, out.Message, out.Fix = resource.CheckFail, message, fix
		}
		return out
	}
	return nil
}

func catalog() []Check {
	all := []Check{
		{ID: CheckServer, Severity: SeverityError, Title: "the server answers", Local: true},
		{ID: CheckToken, Severity: SeverityError, Title: "the server accepts the API token", Local: true},
		{ID: CheckClock, Severity: SeverityWarning, Title: "this machine's clock agrees with the server's", Local: true},
	}
	all = append(all, agentChecks()...)
	all = append(all, consulChecks()...)
	all = append(all, federationChecks()...)
	all = append(all, gatewayChecks()...)
	all = append(all, peeringChecks()...)
	all = append(all, policyChecks()...)
	return append(all, secretChecks()...)
}

func agentChecks() []Check {
	return []Check{
		{"AgentEnrolled", SeverityError, "an agent is enrolled", false, (*exam).agentEnrolled},
		{"AgentOnline", SeverityError, "it is heard of", false, (*exam).agentOnline},
		{"AgentTrusted", SeverityError, "its keys are proven by the fleet key", false, (*exam).agentTrusted},
		{"AgentCertificate", SeverityError, "its certificate is good", false, (*exam).agentCertificate},
		{"AgentVersion", SeverityWarning, "its version goes with the server's", false, (*exam).agentVersion},
		{"ClockSkew", SeverityWarning, "its clock agrees with the server's", false, (*exam).clockSkew},
		{"HeldRemovals", SeverityError, "no removal waits for an operator", false, (*exam).heldRemovals},
	}
}

func consulChecks() []Check {
	return []Check{
		{"ConsulReachable", SeverityError, "its agent reaches Consul", false, (*exam).consulReachable},
		{"ACLRights", SeverityError, "the agent's Consul token has all rules that it needs", false, (*exam).aclRights},
		{"LeaderFound", SeverityError, "Consul's servers have a leader", false, (*exam).leaderFound},
		{federation.CheckTLS, SeverityError, "its servers speak TLS to each other", false, (*exam).tlsEnabled},
		{"ConnectEnabled", SeverityError, "Consul's service mesh is on", false, (*exam).connectEnabled},
		{"PeeringEnabled", SeverityError, "Consul's peering is on", false, (*exam).peeringEnabled},
		{"ConsulVersionSkew", SeverityWarning, "the versions of Consul go together", false, (*exam).consulVersionSkew},
		{"DefaultDeny", SeverityInfo, "a call that no intention is about is denied", false, (*exam).defaultDeny},
		{federation.CheckReplication, SeverityError, "ACLs are replicated from the primary", false, (*exam).aclReplication},
		{"MeshCAExpiry", SeverityWarning, "the root of the mesh CA is good for long", false, (*exam).meshCAExpiry},
		{"ServerCertificateExpiry", SeverityWarning, "the servers' certificates are good for long", false, (*exam).serverCertificateExpiry},
	}
}

// federationChecks are the rules of federations, beside those that are asked of other datacenters as well.
func federationChecks() []Check {
	out := []Check{
		{"FederationReady", SeverityError, "all of its datacenters have joined, and read each other", false, (*exam).federationReady},
		{"BundleCurrent", SeverityError, "Consul runs with the bundle that it shall have", false, (*exam).bundleCurrent},
	}
	for _, rule := range []struct{ id, severity, title string }{
		{federation.CheckConsulName, SeverityError, "nobody else in the federation has its name in Consul"},
		{federation.CheckOneFed, SeverityError, "it is in one federation only"},
		{federation.CheckPartition, SeverityError, "it is a whole datacenter"},
		{federation.CheckNoPeering, SeverityError, "no peering connects it to another member"},
		{federation.CheckOnePrimary, SeverityError, "its Consul has the primary that it shall have"},
		{federation.CheckVersion, SeverityError, "its Consul is new enough"},
		{federation.CheckACL, SeverityError, "ACLs are on or off as in the primary"},
		{federation.CheckGossip, SeverityError, "gossip is encrypted or not as in the primary"},
		{federation.CheckDomain, SeverityError, "Consul's domain is the primary's"},
		{federation.CheckNodeNames, SeverityError, "its servers' certificates have the names of their nodes"},
		{federation.CheckAllowed, SeverityError, "its agents may have it join"},
		{federation.CheckLoss, SeverityError, "what joining destroys is accepted"},
		{federation.CheckReachesPrimary, SeverityError, "it reaches the primary"},
		{federation.CheckKubernetesAPI, SeverityError, "the primary reaches its Kubernetes API"},
	} {
		out = append(out, Check{rule.id, rule.severity, rule.title, false, func(x *exam) []answer { return x.rule(rule.id) }})
	}
	return out
}

func gatewayChecks() []Check {
	return []Check{
		{federation.CheckGateway, SeverityError, "it has a healthy mesh gateway", false, (*exam).gatewayPresent},
		{"GatewayRegistered", SeverityError, "the gateway stands in Consul", false, (*exam).gatewayRegistered},
		{"GatewayAddress", SeverityError, "others can dial its address", false, (*exam).gatewayAddress},
		{"GatewayMeta", SeverityError, "Consul uses it for federation", false, (*exam).gatewayMeta},
		{federation.CheckGatewayReachable, SeverityError, "it reaches the gateways of the others", false, (*exam).gatewayReachable},
	}
}

func peeringChecks() []Check {
	return []Check{
		{"ConnectionHealthy", SeverityError, "both ends say that the connection works", false, (*exam).connectionHealthy},
		{"TokenAddress", SeverityError, "the dialer reaches the addresses that its peering token carries", false, (*exam).tokenAddress},
		{"OrphanPeerings", SeverityWarning, "each peering with isthmus's mark is wanted", false, (*exam).orphanPeerings},
		{"StrayPeerings", SeverityWarning, "no attempt at a peering was left behind", false, (*exam).strayPeerings},
		{"ForeignPeerings", SeverityInfo, "isthmus made all of its peerings", false, (*exam).foreignPeerings},
	}
}

func policyChecks() []Check {
	return []Check{
		{"ExportsApplied", SeverityError, "it is exported wherever it shall be", false, (*exam).exportsApplied},
		{"ConfigEntriesApplied", SeverityError, "Consul's config entries say what it says", false, (*exam).configEntriesApplied},
	}
}

func secretChecks() []Check {
	return []Check{
		{"APITokenExpiring", SeverityWarning, "no API token is about to end", false, (*exam).apiTokenExpiring},
		{"JoinTokenExpiring", SeverityInfo, "no join token is about to end unused", false, (*exam).joinTokenExpiring},
	}
}
