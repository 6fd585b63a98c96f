package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// ruled is one rule of a federation, asked of one of its datacenters.
type ruled struct {
	id string
	answer
}

// rule is what federations' own rules say under an id.
func (x *exam) rule(id string) []answer {
	if x.rules == nil {
		x.rules = []ruled{}
		for f := range resource.All[*isthmusv1.Federation](x, resource.KindFederation) {
			if f.GetDeleteTime() == nil {
				x.examine(f)
			}
		}
	}
	var out []answer
	for _, r := range x.rules {
		if r.id == id {
			out = append(out, r.answer)
		}
	}
	return out
}

func (x *exam) examine(f *isthmusv1.Federation) {
	of := func(datacenter string) federation.Seen { return x.of(datacenter).Seen }
	for _, c := range federation.Examine(x, f, federation.Evidence{Of: of}, x.now) {
		if c.GetVerdict() == resource.CheckUnknown && x.idle(f, c) {
			continue
		}
		a := answer{verdict: c.GetVerdict(), datacenter: c.GetDatacenter(), message: strings.TrimSuffix(c.GetMessage(), ": "+c.GetFix()), fix: c.GetFix()}
		if c.GetVerdict() == resource.CheckPass {
			a.message, a.fix = cmp.Or(c.GetMessage(), c.GetDatacenter()+": "+x.titles[c.GetId()]), ""
		}
		if c.GetVerdict() == resource.CheckUnknown && a.message == "" {
			a.message = "it is not known of " + c.GetDatacenter() + " yet"
			if why := x.silence(c.GetDatacenter()); why != "" {
				a.message = why
			}
		}
		if c.GetPeer() != "" {
			a = a.of(resource.KindDatacenter, c.GetPeer())
		} else {
			a = a.of(resource.KindFederation, f.GetName())
		}
		x.rules = append(x.rules, ruled{c.GetId(), a})
	}
}

// idle tells whether a rule is not known since it does not matter (yet): names in certificates are asked for through gateways only, and a
// secondary gets its certificates with the bundle.
func (x *exam) idle(f *isthmusv1.Federation, c *isthmusv1.FederationCheck) bool {
	if c.GetId() != federation.CheckNodeNames {
		return false
	}
	m := resource.MemberOf(f, c.GetDatacenter())
	return f.GetSpec().GetMode() != resource.ModeMeshGateway || m.GetRole() != resource.RolePrimary && m.GetPhase() != resource.PhaseJoined
}

func (x *exam) federationReady() []answer {
	var out []answer
	for f := range resource.All[*isthmusv1.Federation](x, resource.KindFederation) {
		c := resource.FindCondition(f.GetStatus().GetConditions(), resource.ConditionReady)
		var a answer
		switch c.GetStatus() {
		case resource.ConditionTrue:
			a = passes("", "%s", c.GetMessage())
		case resource.ConditionFalse:
			a = fails("", "%s (%s)", c.GetMessage(), c.GetReason()).fixed("isthmus describe federation %s", f.GetName())
		default:
			a = unknown("", "%s", cmp.Or(c.GetMessage(), "nobody has looked yet")).fixed("isthmus describe federation %s", f.GetName())
		}
		out = append(out, a.of(resource.KindFederation, f.GetName()))
	}
	return out
}

// bundleCurrent is asked of each host of a secondary that has a bundle.
func (x *exam) bundleCurrent() []answer {
	var out []answer
	for f := range resource.All[*isthmusv1.Federation](x, resource.KindFederation) {
		for _, m := range f.GetStatus().GetMembers() {
			wanted := m.GetBundle().GetGeneration()
			if m.GetRole() != resource.RoleSecondary || m.GetPhase() == resource.PhaseLeaving || wanted == 0 {
				continue
			}
			for _, h := range m.GetHosts() {
				out = append(out, hostCurrent(m.GetDatacenter(), wanted, h).of(resource.KindAgent, h.GetAgent()))
			}
		}
	}
	return out
}

func hostCurrent(datacenter string, wanted int32, h *isthmusv1.FederationHost) answer {
	host := cmp.Or(h.GetHost(), h.GetAgent())
	if h.GetApplied() >= wanted {
		return passes(datacenter, "Consul on %s runs with bundle %d", host, wanted)
	}
	has := "none yet"
	if h.GetApplied() > 0 {
		has = fmt.Sprintf("bundle %d", h.GetApplied())
	}
	a := fails(datacenter, "Consul on %s shall run with bundle %d, and runs with %s (%s): %s", host, wanted, has, cmp.Or(h.GetState(), resource.DeliveryNone), cmp.Or(h.GetMessage(), "it is under way"))
	switch h.GetState() {
	case resource.DeliveryRestartRequired:
		return a.fixed("restart Consul on %s, or let the agent do so: --consul-restart-command", host)
	case resource.DeliveryFailed, resource.DeliveryRefused:
		return a.fixed("see the log of agent %s on %s", h.GetAgent(), host)
	}
	return a.fixed("wait until it is delivered: isthmus doctor --only BundleCurrent --wait 5m").as(SeverityWarning)
}
