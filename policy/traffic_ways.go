package policy

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What the parts hold, as Consul's HTTP API shows it.

type failoverValue struct {
	Targets []targetValue
}

type targetValue struct {
	Service    string `json:",omitempty"`
	Namespace  string `json:",omitempty"`
	Datacenter string `json:",omitempty"`
	Peer       string `json:",omitempty"`
}

type splitValue struct {
	Weight    float64
	Service   string `json:",omitempty"`
	Namespace string `json:",omitempty"`
}

type routeValue struct {
	Match       *routeMatch       `json:",omitempty"`
	Destination *routeDestination `json:",omitempty"`
}

type routeMatch struct {
	HTTP routeHTTP
}

type routeHTTP struct {
	PathExact  string       `json:",omitempty"`
	PathPrefix string       `json:",omitempty"`
	PathRegex  string       `json:",omitempty"`
	Header     []routeField `json:",omitempty"`
	QueryParam []routeField `json:",omitempty"`
	Methods    []string     `json:",omitempty"`
}

// routeField is a header or a query parameter.
type routeField struct {
	Name    string
	Present bool   `json:",omitempty"`
	Exact   string `json:",omitempty"`
	Prefix  string `json:",omitempty"`
	Suffix  string `json:",omitempty"`
	Regex   string `json:",omitempty"`
	Invert  bool   `json:",omitempty"`
}

type routeDestination struct {
	Service               string  `json:",omitempty"`
	Namespace             string  `json:",omitempty"`
	PrefixRewrite         string  `json:",omitempty"`
	RequestTimeout        string  `json:",omitempty"`
	NumRetries            int32   `json:",omitempty"`
	RetryOnConnectFailure bool    `json:",omitempty"`
	RetryOnStatusCodes    []int32 `json:",omitempty"`
}

// protocolValue is service-defaults' Protocol.
type protocolValue string

// defaultProtocol is what a service with a split or routes speaks unless its policy says otherwise.
const defaultProtocol = "http"

// waysOf compiles one policy.
type waysOf struct {
	*wayfinder
	p       *isthmusv1.TrafficPolicy
	callers []*isthmusv1.Datacenter
}

// waysOf are the ways that a policy comes to in the realm; none when nobody in it is chosen.
func (f *wayfinder) waysOf(p *isthmusv1.TrafficPolicy) []way {
	w := waysOf{wayfinder: f, p: p, callers: f.c.choose(f.c.realm.members, p.GetSpec().GetDatacenters(), p.GetSpec().GetSelector())}
	if len(w.callers) == 0 || w.lacksNamespace("spec.namespace", p.GetSpec().GetNamespace()) || f.c.narrow(p, w.callers) {
		return nil
	}
	var out []way
	for _, compile := range []func() way{w.failover, w.redirect, w.split, w.routes} {
		if one := compile(); len(one.parts) > 0 {
			one.policy = p
			out = append(out, one)
		}
	}
	return out
}

func (w waysOf) problem(field, reason, fix, format string, args ...any) {
	w.c.problem(policyName(w.p), &isthmusv1.PolicyProblem{
		Reason: reason, Field: field, Datacenter: w.c.realm.home, Message: fmt.Sprintf(format, args...), Fix: fix,
	})
}

func (w waysOf) lacksNamespace(field, namespace string) bool {
	if !w.c.lacksNamespaces(namespace) {
		return false
	}
	p := w.c.needsEnterprise(namespace)
	p.Field, p.Datacenter = field, w.c.realm.home
	w.c.problem(policyName(w.p), p)
	return true
}

func (w waysOf) service() string   { return w.p.GetSpec().GetService() }
func (w waysOf) namespace() string { return cmp.Or(w.p.GetSpec().GetNamespace(), defaultNamespace) }

// part is one of the policy, in an entry of the given kind.
func (w waysOf) part(kind, namespace, name, key string, value any) part {
	return part{
		kind: kind, namespace: namespace, name: name, key: key, value: value,
		policy: policyName(w.p), adopt: w.p.GetSpec().GetAdopt(),
	}
}

// own is a part of the service's own entry.
func (w waysOf) own(kind, key string, value any) []part {
	return []part{w.part(kind, w.namespace(), w.service(), key, value)}
}

// spelled is the namespace of a target as the entry of the policy's service has to name it. What is not said is the entry's own, but for
// peers, where it is default.
func (w waysOf) spelled(namespace string, at place) string {
	if namespace == w.namespace() && (at.peer == "" || namespace == defaultNamespace) {
		return ""
	}
	return namespace
}

func (w waysOf) redirect() way {
	out := way{field: "spec.redirect"}
	t := w.p.GetSpec().GetRedirect()
	if t == nil || w.lacksNamespace("spec.redirect.namespace", t.GetNamespace()) {
		return out
	}
	service, namespace := cmp.Or(t.GetService(), w.service()), cmp.Or(t.GetNamespace(), w.namespace())
	at, ok := w.place("spec.redirect", service, namespace, t)
	if !ok || at.own() && service == w.service() && namespace == w.namespace() {
		return out
	}
	// Consul wants the service beside a peer, and takes it everywhere.
	out.parts = w.own(KindResolver, keyRedirect, targetValue{
		Service: service, Namespace: w.spelled(namespace, at), Datacenter: at.datacenter, Peer: at.peer,
	})
	return out
}

// destination is the service by whose name splitters and routers, which know no datacenters and peers, call a target: where a place is
// named, one that stands for it there, with what makes it do so. The splitter and the router are the same then however places are connected.
func (w waysOf) destination(field string, t *isthmusv1.TrafficTarget) (name, namespace string, virtual []part, ok bool) {
	if w.lacksNamespace(field+".namespace", t.GetNamespace()) {
		return "", "", nil, false
	}
	service, namespace := cmp.Or(t.GetService(), w.service()), cmp.Or(t.GetNamespace(), w.namespace())
	at, ok := w.place(field, service, namespace, t)
	if !ok || at.suffix == "" {
		return service, namespace, nil, ok
	}
	name = service + at.suffix
	to := targetValue{Service: service, Datacenter: at.datacenter, Peer: at.peer}
	if at.peer != "" && namespace != defaultNamespace {
		to.Namespace = namespace
	}
	return name, namespace, []part{
		w.part(KindResolver, namespace, name, keyRedirect, to),
		w.part(KindDefaults, namespace, name, keyProtocol, protocolValue(cmp.Or(w.p.GetSpec().GetProtocol(), defaultProtocol))),
	}, true
}

// named is a destination as the entry of the policy's own service has to name it.
func (w waysOf) named(name, namespace string) (service, spelled string) {
	if namespace != w.namespace() {
		return name, namespace
	}
	if name == w.service() {
		return "", ""
	}
	return name, ""
}

// split is left out as a whole when one of its targets cannot be reached: the others would get its share.
func (w waysOf) split() way {
	out := way{field: "spec.split"}
	var shares []splitValue
	var virtual []part
	complete := true
	for i, s := range w.p.GetSpec().GetSplit() {
		name, namespace, more, ok := w.destination(fmt.Sprintf("spec.split[%d].target", i), s.GetTarget())
		complete = complete && ok
		steps, _ := resource.WeightSteps(s.GetWeight())
		share := splitValue{Weight: float64(steps) / 100}
		share.Service, share.Namespace = w.named(name, namespace)
		shares, virtual = append(shares, share), append(virtual, more...)
	}
	if complete && len(shares) > 0 {
		out.parts = append(w.own(KindSplitter, keySplits, shares), virtual...)
	}
	return out
}

// routes leaves out those whose target cannot be reached: what they match goes on to the next ones.
func (w waysOf) routes() way {
	out := way{field: "spec.routes"}
	var routes []routeValue
	var virtual []part
	for i, r := range w.p.GetSpec().GetRoutes() {
		name, namespace, more, ok := w.destination(fmt.Sprintf("spec.routes[%d].target", i), r.GetTarget())
		if !ok {
			continue
		}
		virtual = append(virtual, more...)
		to := routeDestination{
			PrefixRewrite: r.GetPrefixRewrite(), NumRetries: r.GetRetries(),
			RetryOnConnectFailure: r.GetRetryOnConnectFailure(), RetryOnStatusCodes: r.GetRetryOnStatusCodes(),
		}
		to.Service, to.Namespace = w.named(name, namespace)
		if d, err := time.ParseDuration(r.GetRequestTimeout()); err == nil && d > 0 {
			to.RequestTimeout = d.String() // as Consul writes it
		}
		v := routeValue{Match: matchOf(r.GetMatch())}
		if !to.empty() {
			v.Destination = &to
		}
		routes = append(routes, v)
	}
	if len(routes) > 0 {
		out.parts = append(w.own(KindRouter, keyRoutes, routes), virtual...)
	}
	return out
}

func (d routeDestination) empty() bool {
	return d.Service == "" && d.Namespace == "" && d.PrefixRewrite == "" && d.RequestTimeout == "" && d.NumRetries == 0 &&
		!d.RetryOnConnectFailure && len(d.RetryOnStatusCodes) == 0
}

// matchOf is nil for what matches every request.
func matchOf(m *isthmusv1.HTTPMatch) *routeMatch {
	out := routeHTTP{PathExact: m.GetPathExact(), PathPrefix: m.GetPathPrefix(), PathRegex: m.GetPathRegex()}
	for _, method := range m.GetMethods() {
		out.Methods = append(out.Methods, strings.ToUpper(method)) // as Consul does
	}
	out.Header, out.QueryParam = fieldsOf(m.GetHeaders()), fieldsOf(m.GetQueryParams())
	if out.PathExact+out.PathPrefix+out.PathRegex == "" && len(out.Methods)+len(out.Header)+len(out.QueryParam) == 0 {
		return nil
	}
	return &routeMatch{HTTP: out}
}

func fieldsOf(values []*isthmusv1.HTTPValueMatch) []routeField {
	var out []routeField
	for _, v := range values {
		out = append(out, routeField{
			Name: v.GetName(), Present: v.GetPresent(), Exact: v.GetExact(), Prefix: v.GetPrefix(), Suffix: v.GetSuffix(),
			Regex: v.GetRegex(), Invert: v.GetInvert(),
		})
	}
	return out
}
