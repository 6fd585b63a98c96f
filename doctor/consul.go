package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"isthmus/federation"
	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Reasons that an agent gives for not working, which have checks of their own (see agent/consul).
const (
	reasonRuleMissing  = "AclRuleMissing"
	reasonTokenUnknown = "AclTokenUnknown"
	reasonNoLeader     = "NoLeader"
	reasonPeeringOff   = "PeeringDisabled"
)

const (
	// endsSoon is when what is good for months or years should be renewed, and endsNow when that is urgent.
	endsSoon = 30 * 24 * time.Hour
	endsNow  = 7 * 24 * time.Hour
	// certificateSoon and certificateNow are for servers' certificates, which agents of a keyless federation renew with ten days left.
	certificateSoon = 7 * 24 * time.Hour
	certificateNow  = 24 * time.Hour
	// consulMinors is how far versions of Consul may be apart that talk to each other: what its upgrade guide allows.
	consulMinors = 2
)

// fixOf is what to do about a reason that an agent gives for not working.
func (x *exam) fixOf(a *isthmusv1.Agent, reason string) string {
	name := a.GetSpec().GetDatacenter()
	return inventory.Fix(&isthmusv1.Datacenter{Name: name}, x.memberships[name].Role, reason)
}

func (x *exam) consulReachable() []answer {
	return x.actingAgents(func(a *isthmusv1.Agent, trouble *isthmusv1.Condition) (answer, bool) {
		dc := a.GetSpec().GetDatacenter()
		switch trouble.GetReason() {
		case "", reasonRuleMissing, reasonTokenUnknown, reasonNoLeader, reasonPeeringOff:
			return passes(dc, "%s reaches Consul", title(a)), true
		}
		return fails(dc, "%s: %s", title(a), trouble.GetMessage()).fixed("%s", x.fixOf(a, trouble.GetReason())), true
	})
}

// actingAgents asks about each agent that is heard of and acts in its Consul, with what keeps it from its work (nil: nothing).
func (x *exam) actingAgents(ask func(a *isthmusv1.Agent, trouble *isthmusv1.Condition) (answer, bool)) []answer {
	return x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		if a.GetSpec().GetKind() != resource.AgentKindAgent || a.GetStatus().GetLiveness() != resource.LivenessOnline {
			return answer{}, false
		}
		return ask(a, troubleOf(a))
	})
}

// aclRights: a missing rule to read nodes or services is no error in Consul, which shows empty lists then. Agents look for that.
func (x *exam) aclRights() []answer {
	out := x.actingAgents(func(a *isthmusv1.Agent, trouble *isthmusv1.Condition) (answer, bool) {
		reason := trouble.GetReason()
		if reason != reasonRuleMissing && reason != reasonTokenUnknown {
			return answer{}, false
		}
		return fails(a.GetSpec().GetDatacenter(), "%s: %s", title(a), trouble.GetMessage()).fixed("%s", x.fixOf(a, reason)), true
	})
	for d := range x.datacenters() {
		if x.of(d.GetName()).Online {
			out = append(out, x.reportedRights(d.GetName())...)
		}
	}
	return out
}

// reportedRights is what the agent found out about its token; while something keeps it from its work, that nothing is missing proves nothing.
func (x *exam) reportedRights(datacenter string) []answer {
	rights := x.of(datacenter).Rights
	switch {
	case rights == nil || len(rights.GetMissing()) == 0 && x.troubled(datacenter) != nil:
		return nil
	case rights.GetErrorReason() != "":
		return []answer{unknown(datacenter, "the agent of %s cannot tell what its token may do: %s", datacenter, rights.GetError())}
	case len(rights.GetMissing()) == 0:
		return []answer{passes(datacenter, "the token of the agent of %s has all rules that it needs", datacenter)}
	}
	var out []answer
	for _, m := range rights.GetMissing() {
		out = append(out, fails(datacenter, "the agent of %s says that its token lacks %s: %s", datacenter, m.GetRule(), m.GetMessage()).
			fixed("%s", inventory.FixOfRights(x.memberships[datacenter].Role)))
	}
	return out
}

func (x *exam) leaderFound() []answer {
	return append(x.blamed(reasonNoLeader, inventory.FixOfLeader), x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		if i.GetLeader() == "" {
			return []answer{fails(d.GetName(), "the %s of %s have no leader: nothing can be written there", counted(int(i.GetServers()), "Consul server", "Consul servers"), d.GetName()).fixed("%s", inventory.FixOfLeader)}
		}
		return []answer{passes(d.GetName(), "%s leads the %s of %s", i.GetLeader(), counted(int(i.GetServers()), "Consul server", "Consul servers"), d.GetName())}
	})...)
}

// blamed are the agents that one reason keeps from their work.
func (x *exam) blamed(reason, fix string) []answer {
	return x.actingAgents(func(a *isthmusv1.Agent, trouble *isthmusv1.Condition) (answer, bool) {
		return fails(a.GetSpec().GetDatacenter(), "%s: %s", title(a), trouble.GetMessage()).fixed("%s", fix), trouble.GetReason() == reason
	})
}

// facts is consul with the inventory, which is there when ask is called for its answer.
func (x *exam) facts(ask func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer) []answer {
	return x.consul(func(d *isthmusv1.Datacenter, s Seen) []answer {
		if s.Inventory == nil {
			return nil
		}
		return ask(d, s.Inventory)
	})
}

// tlsEnabled: in a federation it is a rule, elsewhere advice.
func (x *exam) tlsEnabled() []answer {
	return append(x.rule(federation.CheckTLS), x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		if _, federated := x.memberships[d.GetName()]; federated || i.TlsEnabled == nil {
			return nil
		}
		if !i.GetTlsEnabled() {
			return []answer{fails(d.GetName(), "the Consul servers of %s speak to one another without TLS", d.GetName()).
				fixed("set tls.defaults.ca_file, cert_file, key_file, verify_incoming and verify_outgoing in their configuration").as(SeverityWarning)}
		}
		return []answer{passes(d.GetName(), "the Consul servers of %s speak TLS to one another", d.GetName())}
	})...)
}

// peeringOf is a peering that a datacenter has part in; empty: none.
func (x *exam) peeringOf(datacenter string) string {
	for p := range resource.AllTouching[*isthmusv1.Peering](x, resource.KindPeering, datacenter) {
		if p.GetDeleteTime() == nil {
			return p.GetName()
		}
	}
	return ""
}

func (x *exam) peeringEnabled() []answer {
	return append(x.blamed(reasonPeeringOff, fixOfSwitch("peering.enabled")), x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		p := x.peeringOf(d.GetName())
		if p == "" {
			return nil
		}
		return x.switched(d.GetName(), i.PeeringEnabled, "peering.enabled", "Peering "+p)
	})...)
}

func (x *exam) connectEnabled() []answer {
	return x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		wants := ""
		if p := x.peeringOf(d.GetName()); p != "" {
			wants = "Peering " + p
		}
		if m, ok := x.memberships[d.GetName()]; ok && m.Federation.GetSpec().GetMode() != resource.ModeTraditional {
			wants = "Federation " + m.Federation.GetName()
		}
		if wants == "" {
			return nil
		}
		return x.switched(d.GetName(), i.ConnectEnabled, "connect.enabled", wants)
	})
}

// switched is whether a switch of Consul's is on that something needs.
func (x *exam) switched(datacenter string, on *bool, setting, wants string) []answer {
	switch {
	case on == nil:
		return []answer{unknown(datacenter, "the Consul of %s does not say whether %s is on, which %s needs", datacenter, setting, wants)}
	case !*on:
		return []answer{fails(datacenter, "%s is off in the Consul of %s, and %s needs it", setting, datacenter, wants).
			fixed("%s", fixOfSwitch(setting))}
	}
	return []answer{passes(datacenter, "%s is on in %s", setting, datacenter)}
}

func fixOfSwitch(setting string) string {
	return "set " + setting + " = true in the configuration of its servers, and restart them one by one"
}

// consulVersionSkew is asked of each federation and each peering.
func (x *exam) consulVersionSkew() []answer {
	var out []answer
	for f := range resource.All[*isthmusv1.Federation](x, resource.KindFederation) {
		var members []string
		for _, m := range f.GetStatus().GetMembers() {
			members = append(members, m.GetDatacenter())
		}
		out = append(out, x.together(members, resource.KindFederation, f.GetName())...)
	}
	for p := range resource.All[*isthmusv1.Peering](x, resource.KindPeering) {
		if s := p.GetSpec(); s.GetAcceptor() != "" && s.GetDialer() != "" {
			out = append(out, x.together([]string{s.GetAcceptor(), s.GetDialer()}, resource.KindPeering, p.GetName())...)
		}
	}
	return out
}

// together is whether the Consuls of datacenters may talk to each other: nothing when fewer than two versions are known.
func (x *exam) together(datacenters []string, kind, name string) []answer {
	type known struct {
		datacenter, text string
		release
	}
	var all []known
	for _, dc := range datacenters {
		text := x.of(dc).Inventory.GetConsulVersion()
		if r, ok := minorOf(text); ok {
			all = append(all, known{dc, text, r})
		}
	}
	if len(all) < 2 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b known) int { return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor)) })
	oldest, newest := all[0], all[len(all)-1]
	if oldest.major != newest.major || newest.minor-oldest.minor > consulMinors {
		return []answer{fails(oldest.datacenter, "Consul is %s in %s and %s in %s: more than %d minor versions apart", oldest.text, oldest.datacenter, newest.text, newest.datacenter, consulMinors).
			of(kind, name).fixed("upgrade the Consul of %s", oldest.datacenter)}
	}
	text := oldest.text
	if oldest.text != newest.text {
		text += " to " + newest.text
	}
	return []answer{passes("", "the Consuls of %s are %s", name, text).of(kind, name)}
}

// defaultDeny: in Consul a call that no intention is about is allowed unless ACLs deny by default, or intentions have a default of their own.
func (x *exam) defaultDeny() []answer {
	return x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		policy := cmp.Or(i.GetDefaultIntentionPolicy(), i.GetDefaultPolicy())
		switch {
		case i.AclEnabled == nil && policy == "" || i.ConnectEnabled != nil && !i.GetConnectEnabled():
			return nil
		case i.GetDefaultIntentionPolicy() == "" && i.AclEnabled != nil && !i.GetAclEnabled():
			policy = "allow"
		}
		if policy == "deny" {
			return []answer{passes(d.GetName(), "calls in %s that no intention is about are denied", d.GetName())}
		}
		return []answer{fails(d.GetName(), "calls to services of %s that no intention is about are allowed", d.GetName()).
			fixed(`set default_intention_policy = "deny" in the configuration of its servers, after declaring an Intention for each call that is wanted`)}
	})
}

// aclReplication is a rule of federations, and asked of secondaries whose federation isthmus does not know.
func (x *exam) aclReplication() []answer {
	return append(x.rule(federation.CheckReplication), x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		replication := i.GetAclReplication()
		if _, federated := x.memberships[d.GetName()]; federated || !replication.GetEnabled() {
			return nil
		}
		if replication.GetHealthy() {
			return []answer{passes(d.GetName(), "ACLs come from %s to %s", replication.GetSourceDatacenter(), d.GetName())}
		}
		last := "never yet"
		if at := replication.GetLastSuccessTime(); at != nil {
			last = when(at.AsTime(), x.now)
		}
		return []answer{fails(d.GetName(), "ACLs do not come from %s to %s; the last time was %s: %s", replication.GetSourceDatacenter(), d.GetName(), last, replication.GetError()).
			fixed("give its servers a replication token that the primary knows: consul acl set-agent-token replication TOKEN")}
	})...)
}

func (x *exam) meshCAExpiry() []answer {
	return x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		if i.GetCaExpireTime() == nil {
			return nil
		}
		return []answer{x.ends(d.GetName(), "the root of the mesh CA of "+d.GetName(), i.GetCaExpireTime().AsTime(), endsSoon, endsNow,
			"rotate it: consul connect ca set-config with another PrivateKeyType or PrivateKeyBits; old and new are trusted together meanwhile")}
	})
}

// ends is whether something is good for long enough.
func (x *exam) ends(datacenter, what string, end time.Time, soon, now time.Duration, fix string) answer {
	left := end.Sub(x.now)
	switch {
	case left <= 0:
		return fails(datacenter, "%s ended %s", what, when(end, x.now)).fixed("%s", fix).as(SeverityError)
	case left < now:
		return fails(datacenter, "%s ends %s", what, when(end, x.now)).fixed("%s", fix).as(SeverityError)
	case left < soon:
		return fails(datacenter, "%s ends %s", what, when(end, x.now)).fixed("%s", fix)
	}
	return passes(datacenter, "%s is good for %s", what, span(left))
}

// serverCertificateExpiry is seen of members of federations only: their agents look at the certificates for their names.
func (x *exam) serverCertificateExpiry() []answer {
	return x.consul(func(d *isthmusv1.Datacenter, s Seen) []answer {
		end := s.Federation.GetCertificateExpireTime()
		if end == nil {
			return nil
		}
		m := x.memberships[d.GetName()]
		fix := fmt.Sprintf("make it anew with the CA of the federation (consul tls cert create -server -dc %s -node NODE), then consul reload", resource.ShellWord(s.Inventory.GetConsulDatacenter()))
		if m.Federation.GetSpec().GetKeyless() && m.Role == resource.RoleSecondary {
			fix = fmt.Sprintf("the agent of %s issues it anew by itself: see BundleCurrent, and both agents' logs", m.Federation.GetSpec().GetPrimary())
		}
		return []answer{x.ends(d.GetName(), strings.TrimSpace("the certificate of the servers of "+d.GetName()), end.AsTime(), certificateSoon, certificateNow, fix)}
	})
}
