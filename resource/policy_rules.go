package resource

import (
	"fmt"
	"strings"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// showSources is who may call, and who may not: web, !admin.
func showSources(sources []*isthmusv1.IntentionSource) string {
	out := make([]string, 0, len(sources))
	for _, s := range sources {
		word := s.GetService()
		switch where := choice(s.GetDatacenters(), s.GetSelector()); {
		case s.GetPeer() != "":
			word += "@(" + s.GetPeer() + ")"
		case where != "":
			word += "@" + where
		}
		if s.GetAction() == ActionDeny {
			word = "!" + word
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func validateIntention(o Object) []fault.Violation {
	spec := o.(*isthmusv1.Intention).GetSpec()
	var r rules
	r.service("spec.destination.service", spec.GetDestination().GetService(), true)
	r.name("spec.destination.namespace", spec.GetDestination().GetNamespace())
	r.members("spec.destination", spec.GetDestination().GetDatacenters(), spec.GetDestination().GetSelector(), false)
	for i, s := range spec.GetSources() {
		at := fmt.Sprintf("spec.sources[%d]", i)
		r.service(at+".service", s.GetService(), true)
		r.name(at+".namespace", s.GetNamespace())
		r.members(at, s.GetDatacenters(), s.GetSelector(), true)
		r.name(at+".peer", s.GetPeer())
	}
	return r.violations
}

// service checks the name of a service in Consul's mesh.
func (r *rules) service(field, value string, wildcard bool) {
	switch {
	case value == "" || value == AnyService && wildcard:
	case value == AnyService:
		r.add(invalid(field, "* is not possible here: name one service"))
	case value == "consul":
		r.add(invalid(field, "Consul's own service %s is in no mesh", quote(value)))
	case !serviceForm.MatchString(value):
		r.add(invalid(field, "%s is not a service's name: letters, digits, '-', '_' and '.'", quote(value)))
	}
}
