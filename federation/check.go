package federation

import (
	"fmt"
	"slices"
	"strings"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// reasonFederated is the reason of a violation that a federation stands behind.
const reasonFederated = "Federated"

// Check is what stands against writing a Federation into a fleet, which has it already as it would be. What the fleet's Consuls are like
// is no part of it: that is in the status.
func Check(r resource.Reader, f *isthmusv1.Federation) []fault.Violation {
	c := checker{r: r, f: f, field: "spec.secondaries"}
	if f.GetSpec().GetSecondarySelector() != "" {
		c.field = "spec.secondarySelector"
	}
	c.members = append([]string{f.GetSpec().GetPrimary()}, resource.SecondariesOf(r, f)...)
	c.otherFederations()
	c.names()
	c.peerings()
	c.exports()
	return c.violations
}

type checker struct {
	r          resource.Reader
	f          *isthmusv1.Federation
	field      string
	members    []string
	violations []fault.Violation
}

// at is the field that names a member.
func (c *checker) at(datacenter string) string {
	if i := slices.Index(c.f.GetSpec().GetSecondaries(), datacenter); i >= 0 {
		return fmt.Sprintf("spec.secondaries[%d]", i)
	}
	if datacenter == c.f.GetSpec().GetPrimary() {
		return "spec.primary"
	}
	return c.field
}

func (c *checker) add(datacenter, format string, args ...any) {
	c.violations = append(c.violations, fault.Violation{Field: c.at(datacenter), Reason: reasonFederated, Message: fmt.Sprintf(format, args...)})
}

// otherFederations: a datacenter is in one, whether named or chosen by labels.
func (c *checker) otherFederations() {
	for other := range resource.All[*isthmusv1.Federation](c.r, resource.KindFederation) {
		if other.GetName() == c.f.GetName() {
			continue
		}
		theirs := append([]string{other.GetSpec().GetPrimary()}, resource.SecondariesOf(c.r, other)...)
		for _, m := range other.GetStatus().GetMembers() {
			if resource.Engaged(m) {
				theirs = append(theirs, m.GetDatacenter())
			}
		}
		for _, dc := range c.members {
			if slices.Contains(theirs, dc) {
				c.add(dc, "%s is in Federation %s: a datacenter is in one federation", dc, other.GetName())
			}
		}
	}
}

// names: Consul tells datacenters apart by their names, and federates whole ones.
func (c *checker) names() {
	holders := map[string]string{}
	for _, name := range c.members {
		dc, ok := resource.Lookup[*isthmusv1.Datacenter](c.r, resource.KindDatacenter, name)
		if !ok {
			continue
		}
		if partition := dc.GetSpec().GetConsulPartition(); !defaultPartition(partition) {
			c.add(name, "%s is the admin partition %s of a Consul datacenter: only whole datacenters can be federated", name, partition)
		}
		consul := consulName(c.r, name)
		if holder, taken := holders[consul]; taken {
			c.add(name, "%s and %s are both called %s in Consul (spec.consulDatacenter): names must be unique in a federation", holder, name, consul)
			continue
		}
		holders[consul] = name
	}
}

func defaultPartition(name string) bool { return name == "" || name == "default" }

// peerings: two members of a federation see each other already, and cannot be peers.
func (c *checker) peerings() {
	for _, name := range c.members {
		for p := range resource.AllTouching[*isthmusv1.Peering](c.r, resource.KindPeering, name) {
			spec := p.GetSpec()
			other := spec.GetDialer()
			// From one end only, or each would be found twice. A group takes its own ones back.
			if spec.GetAcceptor() != name || !slices.Contains(c.members, other) || p.GetDeleteTime() != nil || p.GetStatus().GetGroup() != "" {
				continue
			}
			at := other
			if other == c.f.GetSpec().GetPrimary() {
				at = name
			}
			c.add(at, "Peering %s connects %s and %s: delete it first, members of a federation see each other's services without one",
				p.GetName(), name, other)
		}
	}
}

// exports: Consul refuses exported-services in a secondary.
func (c *checker) exports() {
	for export := range resource.All[*isthmusv1.ServiceExport](c.r, resource.KindServiceExport) {
		if export.GetDeleteTime() != nil {
			continue
		}
		for _, dc := range export.GetSpec().GetDatacenters() {
			if dc != c.f.GetSpec().GetPrimary() && slices.Contains(c.members, dc) {
				c.add(dc, "ServiceExport %s exports from %s: %s. Take %s out of its spec.datacenters first", export.GetName(), dc, noExports, dc)
			}
		}
	}
}

const noExports = "a secondary of a federation cannot export to peers (Consul refuses exported-services there, and deleting it from there " +
	"removes the primary's)"

// CheckPeering is what federations have against a Peering: an explicit one between two members of the same.
func CheckPeering(r resource.Reader, p *isthmusv1.Peering) []fault.Violation {
	spec := p.GetSpec()
	if p.GetDeleteTime() != nil || p.GetStatus().GetGroup() != "" || spec.GetAcceptor() == "" || spec.GetDialer() == "" {
		return nil
	}
	memberships := resource.Memberships(r)
	a, okA := memberships[spec.GetAcceptor()]
	b, okB := memberships[spec.GetDialer()]
	if !okA || !okB || a.Federation.GetName() != b.Federation.GetName() {
		return nil
	}
	return []fault.Violation{{
		Field: "spec.dialer", Reason: reasonFederated,
		Message: fmt.Sprintf("%s and %s are both in Federation %s: its members see each other's services without a peering (?dc=%s)",
			spec.GetAcceptor(), spec.GetDialer(), a.Federation.GetName(), consulName(r, spec.GetAcceptor())),
	}}
}

// CheckExport is what federations have against a ServiceExport: a secondary that it names. One that its selector chooses is left out.
func CheckExport(r resource.Reader, export *isthmusv1.ServiceExport) []fault.Violation {
	memberships := resource.Memberships(r)
	var out []fault.Violation
	for i, dc := range export.GetSpec().GetDatacenters() {
		m, ok := memberships[dc]
		if !ok || m.Role != resource.RoleSecondary || export.GetDeleteTime() != nil {
			continue
		}
		out = append(out, fault.Violation{
			Field: fmt.Sprintf("spec.datacenters[%d]", i), Reason: reasonFederated,
			Message: fmt.Sprintf("%s is a secondary of Federation %s: %s. Export from its primary %s, or connect it by peering only",
				dc, m.Federation.GetName(), strings.TrimSuffix(noExports, "."), m.Federation.GetSpec().GetPrimary()),
		})
	}
	return out
}
