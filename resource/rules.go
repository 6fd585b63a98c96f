package resource

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"isthmus/fault"
)

// What the kinds' own rules are made of.

func invalid(field, format string, args ...any) fault.Violation {
	return fault.Violation{Field: field, Reason: ReasonInvalid, Message: fmt.Sprintf(format, args...)}
}

func required(field, what string) fault.Violation {
	message := "is required"
	if what != "" {
		message += ": " + what
	}
	return fault.Violation{Field: field, Reason: ReasonRequired, Message: message}
}

// quote shows what a user wrote, not more of it than helps.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}

// rules collects violations.
type rules struct{ violations []fault.Violation }

func (r *rules) add(v fault.Violation) { r.violations = append(r.violations, v) }

// name checks a DNS label that may be empty.
func (r *rules) name(field, value string) {
	if value != "" && !ValidName(value) {
		r.add(invalid(field, "%s is not a name: %s", quote(value), nameRule))
	}
}

// names checks a list of DNS labels, each once.
func (r *rules) names(field string, values []string) {
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", field, i)
		if value == "" {
			r.add(required(at, nameRule))
			continue
		}
		r.name(at, value)
		if slices.Contains(values[:i], value) {
			r.add(fault.Violation{Field: at, Reason: ReasonDuplicate, Message: quote(value) + " is there twice"})
		}
	}
}

// selector checks a label selector that may be absent.
func (r *rules) selector(field, value string) {
	if value == "" {
		return
	}
	if _, err := ParseSelector(value); err != nil {
		r.add(invalid(field, "%s", err.Error()))
	}
}

// members checks the two ways to choose datacenters: exactly one of them, or none when optional.
func (r *rules) members(path string, datacenters []string, selector string, optional bool) {
	names, choice := path+".datacenters", path+".selector"
	switch {
	case len(datacenters) > 0 && selector != "":
		r.add(fault.Violation{Field: choice, Reason: ReasonExclusive, Message: "stands beside datacenters: exactly one of datacenters and selector"})
	case len(datacenters) == 0 && selector == "" && !optional:
		r.add(required(choice, "exactly one of datacenters (names) and selector (labels, for example env=prod)"))
	}
	r.names(names, datacenters)
	r.selector(choice, selector)
}

// hostPort checks an address that may be empty.
func (r *rules) hostPort(field, value string) {
	if value == "" {
		return
	}
	if err := checkHostPort(value); err != "" {
		r.add(invalid(field, "%s is not host:port: %s", quote(value), err))
	}
}

var hostForm = regexp.MustCompile(`^[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?)*\.?$`)

// checkHostPort says what is wrong with an address; "" when nothing is.
func checkHostPort(value string) string {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return "for example gw.example.com:8443, 192.0.2.1:8443 or [2001:db8::1]:8443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "the port must be a number from 1 to 65535"
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if len(host) > 253 || !hostForm.MatchString(host) {
		return "the host must be an IP address or a DNS name"
	}
	return ""
}

// references are the datacenters that a list of names refers to.
func references(field string, names []string) []Reference {
	out := make([]Reference, 0, len(names))
	for i, name := range names {
		out = append(out, Reference{Kind: KindDatacenter, Name: name, Field: fmt.Sprintf("%s[%d]", field, i)})
	}
	return out
}

// present leaves out empty strings.
func present(values ...string) []string {
	return slices.DeleteFunc(values, func(v string) bool { return v == "" })
}
