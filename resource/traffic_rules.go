package resource

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What Consul refuses of a service-resolver, service-splitter or service-router by itself is refused here, in terms of the manifest; and
// what it takes although no proxy can do it (a regular expression that does not parse, a negative timeout).

func validateTrafficPolicy(o Object) []fault.Violation {
	spec := o.(*isthmusv1.TrafficPolicy).GetSpec()
	r := trafficRules{spec: spec}
	r.service("spec.service", spec.GetService(), false)
	r.rules.name("spec.namespace", spec.GetNamespace())
	r.members("spec", spec.GetDatacenters(), spec.GetSelector(), false)
	r.shape()
	r.failover()
	if redirect := spec.GetRedirect(); redirect != nil {
		r.target("spec.redirect", redirect)
		if r.own(redirect) {
			r.add(required("spec.redirect", "another service, a datacenter or a peer"))
		}
	}
	r.split()
	for i, route := range spec.GetRoutes() {
		r.route(fmt.Sprintf("spec.routes[%d]", i), route, i == len(spec.GetRoutes())-1)
	}
	return r.violations
}

// trafficRules are the rules of one TrafficPolicy.
type trafficRules struct {
	rules
	spec *isthmusv1.TrafficPolicySpec
}

// shape checks which of the four ways stand together.
func (r *trafficRules) shape() {
	ways := map[string]bool{
		"failover": len(r.spec.GetFailover()) > 0, "split": len(r.spec.GetSplit()) > 0, "routes": len(r.spec.GetRoutes()) > 0,
	}
	var others []string
	for _, way := range []string{"failover", "split", "routes"} {
		if ways[way] {
			others = append(others, way)
		}
	}
	switch {
	case r.spec.GetRedirect() == nil && len(others) == 0:
		r.add(required("spec", "at least one of failover, redirect, split and routes"))
	case r.spec.GetRedirect() != nil && len(others) > 0:
		r.add(fault.Violation{
			Field: "spec.redirect", Reason: ReasonExclusive,
			Message: "stands beside " + strings.Join(others, " and ") + ": all calls go where a redirect says, so that nothing else counts beside it",
		})
	}
	if r.spec.GetProtocol() != "" && !ways["split"] && !ways["routes"] {
		r.add(fault.Violation{Field: "spec.protocol", Reason: ReasonExclusive, Message: "is for split and routes only: Consul's other entries ask for none"})
	}
}

func (r *trafficRules) failover() {
	seen := map[string]bool{} // of the steps before
	for i, step := range r.spec.GetFailover() {
		at := fmt.Sprintf("spec.failover[%d]", i)
		r.service(at+".service", step.GetService(), false)
		r.step(at, step)
		r.sameLabel(at, step)
		places := map[string]string{}
		for k, name := range step.GetDatacenters() {
			places[r.called(step.GetService())+" in "+name] = fmt.Sprintf("%s.datacenters[%d]", at, k)
		}
		for k, name := range step.GetPeers() {
			places[r.called(step.GetService())+" of peer "+name] = fmt.Sprintf("%s.peers[%d]", at, k)
		}
		for _, place := range slices.Sorted(maps.Keys(places)) {
			if seen[place] {
				r.add(fault.Violation{Field: places[place], Reason: ReasonDuplicate, Message: place + " is in a step before this one already"})
			}
			seen[place] = true
		}
	}
}

// step checks the ways to say where a step of failover goes.
func (r *trafficRules) step(at string, step *isthmusv1.FailoverStep) {
	var ways []string
	for _, way := range []struct {
		name string
		set  bool
	}{{"datacenters", len(step.GetDatacenters()) > 0}, {"selector", step.GetSelector() != ""}, {"peers", len(step.GetPeers()) > 0}} {
		if way.set {
			ways = append(ways, way.name)
		}
	}
	const rule = "exactly one of datacenters (names), selector (labels, for example env=prod) and peers (names of external ones)"
	switch {
	case len(ways) > 1:
		r.add(fault.Violation{Field: at + "." + ways[1], Reason: ReasonExclusive, Message: "stands beside " + ways[0] + ": " + rule})
	case len(ways) == 0 && r.called(step.GetService()) == r.spec.GetService():
		r.add(required(at, rule+"; or another service of the caller's own datacenter"))
	}
	r.rules.names(at+".datacenters", step.GetDatacenters())
	r.selector(at+".selector", step.GetSelector())
	r.rules.names(at+".peers", step.GetPeers())
}

func (r *trafficRules) sameLabel(at string, step *isthmusv1.FailoverStep) {
	key := step.GetSameLabel()
	if key == "" {
		return
	}
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		r.add(invalid(at+".sameLabel", "%s is not a label key: %s", quote(key), problems[0]))
		return
	}
	if len(step.GetDatacenters()) == 0 && step.GetSelector() == "" {
		r.add(fault.Violation{
			Field: at + ".sameLabel", Reason: ReasonExclusive, Message: "orders datacenters by their labels: it is for datacenters and selector, external peers have none",
		})
	}
}

// called is the service that is meant where none may be named.
func (r *trafficRules) called(service string) string {
	if service == "" {
		return r.spec.GetService()
	}
	return service
}

func (r *trafficRules) target(at string, t *isthmusv1.TrafficTarget) {
	r.service(at+".service", t.GetService(), false)
	r.rules.name(at+".namespace", t.GetNamespace())
	r.rules.name(at+".datacenter", t.GetDatacenter())
	r.rules.name(at+".peer", t.GetPeer())
	if t.GetDatacenter() != "" && t.GetPeer() != "" {
		r.add(fault.Violation{Field: at + ".peer", Reason: ReasonExclusive, Message: "stands beside datacenter: at most one of datacenter and peer (an external one)"})
	}
}

// place is what tells targets apart.
func (r *trafficRules) place(t *isthmusv1.TrafficTarget) [4]string {
	namespace := t.GetNamespace()
	if namespace == "" {
		namespace = r.spec.GetNamespace()
	}
	return [4]string{strings.ToLower(r.called(t.GetService())), namespace, t.GetDatacenter(), t.GetPeer()}
}

// own tells whether a target is the service itself, where it is called.
func (r *trafficRules) own(t *isthmusv1.TrafficTarget) bool { return r.place(t) == r.place(nil) }

// allCalls are 100 percent in steps of 0.01, the smallest share that Consul tells apart.
const allCalls = 100 * 100

// WeightSteps is a split's weight in Consul's steps of 0.01 percent; false when it is none of these steps.
func WeightSteps(weight float64) (int, bool) {
	const tolerance = 1e-6 // of a step: what binary fractions make of decimal ones
	steps := math.Round(weight * 100)
	if math.IsNaN(steps) || steps < 0 || steps > allCalls {
		return 0, false
	}
	return int(steps), math.Abs(weight*100-steps) < tolerance
}

func (r *trafficRules) split() {
	sum, whole := 0, true
	seen := map[[4]string]bool{}
	for i, s := range r.spec.GetSplit() {
		at := fmt.Sprintf("spec.split[%d]", i)
		r.target(at+".target", s.GetTarget())
		steps, ok := WeightSteps(s.GetWeight())
		if !ok {
			r.add(invalid(at+".weight", "%v is not from 0 to 100 in steps of 0.01", s.GetWeight()))
			whole = false
		}
		sum += steps
		if place := r.place(s.GetTarget()); seen[place] {
			r.add(fault.Violation{Field: at + ".target", Reason: ReasonDuplicate, Message: "is there twice: add the weights up in one"})
		} else {
			seen[place] = true
		}
	}
	if len(r.spec.GetSplit()) > 0 && whole && sum != allCalls {
		r.add(invalid("spec.split", "the weights are %v together: they must be 100", float64(sum)/100))
	}
}

func (r *trafficRules) route(at string, route *isthmusv1.TrafficRoute, last bool) {
	m := route.GetMatch()
	r.httpPath(at+".match", m)
	r.httpMethods(at+".match.methods", m.GetMethods())
	for i, h := range m.GetHeaders() {
		r.routeValue(fmt.Sprintf("%s.match.headers[%d]", at, i), h, true)
	}
	for i, q := range m.GetQueryParams() {
		r.routeValue(fmt.Sprintf("%s.match.queryParams[%d]", at, i), q, false)
	}
	if m != nil && !last && matchesAll(m) {
		r.add(invalid(at+".match", "matches every request, so that no route after it ever counts: put it last, or say what to match"))
	}
	r.target(at+".target", route.GetTarget())
	if p := route.GetPrefixRewrite(); p != "" {
		if m.GetPathExact() == "" && m.GetPathPrefix() == "" {
			r.add(fault.Violation{Field: at + ".prefixRewrite", Reason: ReasonExclusive, Message: "replaces what match.pathExact or match.pathPrefix found: say one of them"})
		} else if !strings.HasPrefix(p, "/") {
			r.add(invalid(at+".prefixRewrite", "%s does not begin with /", quote(p)))
		}
	}
	if text := route.GetRequestTimeout(); text != "" {
		if d, err := time.ParseDuration(text); err != nil || d <= 0 {
			r.add(invalid(at+".requestTimeout", "%s is not a duration: for example 5s or 1m30s", quote(text)))
		}
	}
	for i, code := range route.GetRetryOnStatusCodes() {
		field := fmt.Sprintf("%s.retryOnStatusCodes[%d]", at, i)
		if code < 100 || code > 599 {
			r.add(invalid(field, "%d is not a status code of HTTP: from 100 to 599", code))
		} else if slices.Contains(route.GetRetryOnStatusCodes()[:i], code) {
			r.add(fault.Violation{Field: field, Reason: ReasonDuplicate, Message: fmt.Sprintf("%d is there twice", code)})
		}
	}
}

func matchesAll(m *isthmusv1.HTTPMatch) bool {
	return m.GetPathExact() == "" && (m.GetPathPrefix() == "" || m.GetPathPrefix() == "/") && m.GetPathRegex() == "" &&
		len(m.GetMethods()) == 0 && len(m.GetHeaders()) == 0 && len(m.GetQueryParams()) == 0
}

// httpPath checks the ways to match a path.
func (r *rules) httpPath(at string, m *isthmusv1.HTTPMatch) {
	var set []string
	for _, way := range []struct{ name, value string }{
		{"pathExact", m.GetPathExact()}, {"pathPrefix", m.GetPathPrefix()}, {"pathRegex", m.GetPathRegex()},
	} {
		if way.value == "" {
			continue
		}
		field := at + "." + way.name
		if set = append(set, way.name); len(set) > 1 {
			r.add(fault.Violation{Field: field, Reason: ReasonExclusive, Message: "stands beside " + set[0] + ": at most one of pathExact, pathPrefix and pathRegex"})
		}
		if way.name == "pathRegex" {
			r.regex(field, way.value)
		} else if !strings.HasPrefix(way.value, "/") {
			r.add(invalid(field, "%s does not begin with /", quote(way.value)))
		}
	}
}

// httpMethods checks methods, which may be written in lower case.
func (r *rules) httpMethods(field string, methods []string) {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"}
	var seen []string
	for i, method := range methods {
		at := fmt.Sprintf("%s[%d]", field, i)
		upper := strings.ToUpper(method)
		switch {
		case !slices.Contains(known, upper):
			r.add(invalid(at, "%s is not one of %s", quote(method), strings.Join(known, ", ")))
		case slices.Contains(seen, upper):
			r.add(fault.Violation{Field: at, Reason: ReasonDuplicate, Message: quote(method) + " is there twice"})
		}
		seen = append(seen, upper)
	}
}

// regex checks a regular expression: Consul does not, and Envoy, which does, has the same syntax as Go (RE2).
func (r *rules) regex(field, value string) {
	if value == "" {
		return
	}
	if _, err := regexp.Compile(value); err != nil {
		r.add(invalid(field, "%s is not a regular expression: %v", quote(value), err))
	}
}

// routeValue checks a header or a query parameter of a route.
func (r *rules) routeValue(at string, v *isthmusv1.HTTPValueMatch, header bool) {
	switch {
	case v.GetName() == "":
		r.add(required(at+".name", ""))
	case header && !headerForm.MatchString(v.GetName()):
		r.add(invalid(at+".name", "%s is not a header's name", quote(v.GetName())))
	}
	r.regex(at+".regex", v.GetRegex())
	ways := []string{"present", "exact", "regex"}
	if header {
		ways = append(ways, "prefix", "suffix")
	}
	count := 0
	for _, way := range []struct {
		name string
		set  bool
		// instead is what to write where routes have no such thing.
		instead string
	}{
		{"present", v.GetPresent(), ""},
		{"exact", v.GetExact() != "", ""},
		{"regex", v.GetRegex() != "", ""},
		{"prefix", v.GetPrefix() != "", "regex: " + quote(regexp.QuoteMeta(v.GetPrefix())+".*")},
		{"suffix", v.GetSuffix() != "", "regex: " + quote(".*"+regexp.QuoteMeta(v.GetSuffix()))},
		{"contains", v.GetContains() != "", "regex: " + quote(".*"+regexp.QuoteMeta(v.GetContains())+".*")},
	} {
		if !way.set {
			continue
		}
		count++
		if !slices.Contains(ways, way.name) {
			r.add(invalid(at+"."+way.name, "Consul's routes cannot tell this of a %s: write %s", valueWord(header), way.instead))
		}
	}
	if count != 1 {
		r.add(fault.Violation{Field: at, Reason: ReasonExclusive, Message: "exactly one of " + strings.Join(ways, ", ")})
	}
	if v.GetIgnoreCase() {
		r.add(invalid(at+".ignoreCase", "Consul's routes always tell capitals apart: write a regex that begins with (?i)"))
	}
	if v.GetInvert() && !header {
		r.add(invalid(at+".invert", "Consul's routes cannot match what a query parameter is not"))
	}
}

func valueWord(header bool) string {
	if header {
		return "header"
	}
	return "query parameter"
}
