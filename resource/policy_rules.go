package resource

import (
	"fmt"
	"regexp"
	"slices"
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

// maxDescription is Consul's metaValueMaxLength, which it holds descriptions of sources against, in bytes.
const maxDescription = 512

// headerForm is a field name of HTTP (RFC 9110), or one of HTTP/2's pseudo-headers as :authority. Consul takes anything; a proxy does not.
var headerForm = regexp.MustCompile("^:?[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// What Consul refuses of service-intentions by itself is refused here, in terms of the manifest; and what it takes although no proxy can
// do it, as a regular expression that does not parse.

func validateIntention(o Object) []fault.Violation {
	spec := o.(*isthmusv1.Intention).GetSpec()
	var r rules
	r.service("spec.destination.service", spec.GetDestination().GetService(), true)
	r.name("spec.destination.namespace", spec.GetDestination().GetNamespace())
	r.members("spec.destination", spec.GetDestination().GetDatacenters(), spec.GetDestination().GetSelector(), false)
	seen := map[string]int{}
	for i, s := range spec.GetSources() {
		at := fmt.Sprintf("spec.sources[%d]", i)
		r.source(at, s)
		key := sourcePlace(s)
		if first, twice := seen[key]; twice {
			r.add(fault.Violation{
				Field: at, Reason: ReasonDuplicate, Message: fmt.Sprintf("is about the same callers as spec.sources[%d]: say all of them in one", first),
			})
			continue
		}
		seen[key] = i
		if len(s.GetPermissions()) > 0 && spec.GetDestination().GetService() == AnyService {
			r.add(invalid(at+".permissions", "Consul has permissions for a destination with a name only: not for *"))
		}
	}
	return r.violations
}

// sourcePlace is which callers a source is about, as it is written.
func sourcePlace(s *isthmusv1.IntentionSource) string {
	names := slices.Sorted(slices.Values(s.GetDatacenters()))
	return strings.Join([]string{s.GetNamespace(), s.GetService(), s.GetPeer(), s.GetSelector(), strings.Join(names, ",")}, "|")
}

func (r *rules) source(at string, s *isthmusv1.IntentionSource) {
	r.service(at+".service", s.GetService(), true)
	r.name(at+".namespace", s.GetNamespace())
	r.members(at, s.GetDatacenters(), s.GetSelector(), true)
	r.name(at+".peer", s.GetPeer())
	if s.GetPeer() != "" && (len(s.GetDatacenters()) > 0 || s.GetSelector() != "") {
		r.add(fault.Violation{
			Field: at + ".peer", Reason: ReasonExclusive,
			Message: "stands beside datacenters or selector: at most one of datacenters, selector and peer (an external one)",
		})
	}
	switch {
	case s.GetAction() != "" && len(s.GetPermissions()) > 0:
		r.add(fault.Violation{Field: at + ".permissions", Reason: ReasonExclusive, Message: "stands beside action: exactly one of action and permissions"})
	case s.GetAction() == "" && len(s.GetPermissions()) == 0:
		r.add(required(at+".action", "allow or deny; or permissions, for HTTP"))
	}
	if n := len(s.GetDescription()); n > maxDescription {
		r.add(invalid(at+".description", "is %d bytes long: Consul takes at most %d", n, maxDescription))
	}
	for i, p := range s.GetPermissions() {
		r.permission(fmt.Sprintf("%s.permissions[%d]", at, i), p)
	}
}

func (r *rules) permission(at string, p *isthmusv1.IntentionPermission) {
	if p.GetHttp() == nil {
		return // the .proto file says that it must be there
	}
	m := p.GetHttp()
	at += ".http"
	if matchesAnything(m) {
		r.add(required(at, "a path, methods or headers; for all requests say action in place of permissions, or pathPrefix: /"))
	}
	r.httpPath(at, m)
	r.httpMethods(at+".methods", m.GetMethods())
	for i, h := range m.GetHeaders() {
		r.header(fmt.Sprintf("%s.headers[%d]", at, i), h)
	}
	if len(m.GetQueryParams()) > 0 {
		r.add(invalid(at+".queryParams", "Consul's intentions do not look at query parameters: they are for routes"))
	}
}

// matchesAnything: nothing is said of what a request must be like.
func matchesAnything(m *isthmusv1.HTTPMatch) bool {
	return m.GetPathExact() == "" && m.GetPathPrefix() == "" && m.GetPathRegex() == "" &&
		len(m.GetMethods()) == 0 && len(m.GetHeaders()) == 0 && len(m.GetQueryParams()) == 0
}

// header checks what an intention says of a header.
func (r *rules) header(at string, h *isthmusv1.HTTPValueMatch) {
	switch {
	case h.GetName() == "":
		r.add(required(at+".name", "the header's name"))
	case !headerForm.MatchString(h.GetName()):
		r.add(invalid(at+".name", "%s is not a header's name", quote(h.GetName())))
	}
	r.regex(at+".regex", h.GetRegex())
	ways := 0
	for _, set := range []bool{
		h.GetPresent(), h.GetExact() != "", h.GetPrefix() != "", h.GetSuffix() != "", h.GetContains() != "", h.GetRegex() != "",
	} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		r.add(fault.Violation{Field: at, Reason: ReasonExclusive, Message: "exactly one of present, exact, prefix, suffix, contains and regex"})
	}
	if h.GetIgnoreCase() && (h.GetPresent() || h.GetRegex() != "") {
		r.add(fault.Violation{
			Field: at + ".ignoreCase", Reason: ReasonExclusive,
			Message: "is for exact, prefix, suffix and contains; a regex that begins with (?i) does the same",
		})
	}
}

// service checks the name of a service in Consul's mesh.
func (r *rules) service(field, value string, wildcard bool) {
	switch {
	case value == "" || value == AnyService && wildcard:
	case value == AnyService:
		r.add(invalid(field, "* is not possible here: name one service"))
	case value == "consul":
		r.add(invalid(field, "Consul's own service %s is in no mesh", quote(value)))
	case !ValidService(value):
		r.add(invalid(field, "%s is not a service's name: letters, digits, '-', '_' and '.'", quote(value)))
	}
}
