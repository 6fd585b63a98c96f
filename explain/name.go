package explain

import (
	"fmt"
	"slices"
	"strings"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// defaultNamespace is what Consul calls the only namespace of its Community Edition.
const defaultNamespace = "default"

// maxName is how long the name of an end can be, in bytes. Consul's own names end far below it.
const maxName = 512

// Endpoint is a service of a datacenter.
type Endpoint struct {
	// Namespace is default unless one is said.
	Namespace, Service, Datacenter string
}

// String is its shortest form that Parse reads.
func (e Endpoint) String() string {
	text := e.Service + "@" + e.Datacenter
	if e.Namespace != defaultNamespace {
		text = e.Namespace + "/" + text
	}
	return text
}

// Parse reads service@datacenter, or namespace/service@datacenter. Invalid: it is neither; field is how the violation calls it.
func Parse(field, text string) (Endpoint, error) {
	if len(text) > maxName {
		return Endpoint{}, fault.Violated(fault.Violation{
			Field: field, Reason: resource.ReasonInvalid,
			Message: fmt.Sprintf("it has %d bytes: a service of a datacenter has at most %d, for example web@dc1", len(text), maxName),
		})
	}
	service, datacenter, ok := strings.Cut(strings.TrimSpace(text), "@")
	namespace, name, spaced := strings.Cut(service, "/")
	if !spaced {
		namespace, name = defaultNamespace, service
	}
	if !ok || name == "" || datacenter == "" || namespace == "" || strings.ContainsAny(text, " \t\n*") || strings.ContainsAny(name+datacenter, "/@") {
		return Endpoint{}, fault.Violated(fault.Violation{
			Field: field, Reason: resource.ReasonInvalid,
			Message: fmt.Sprintf("%q is not a service of a datacenter: expected service@datacenter or namespace/service@datacenter, for example web@dc1", text),
		})
	}
	return Endpoint{Namespace: namespace, Service: name, Datacenter: datacenter}, nil
}

// place is one end of the call.
type place struct {
	Endpoint
	// external: its datacenter is another operator's, at the other end of a peering of this fleet.
	external bool
}

// find reads the name of one end, and refuses a datacenter that nobody knows.
func find(r resource.Reader, field, text string) (place, error) {
	e, err := Parse(field, text)
	if err != nil {
		return place{}, err
	}
	if _, ok := r.Get(resource.KindDatacenter, e.Datacenter); ok {
		return place{Endpoint: e}, nil
	}
	var names []string
	for o := range r.List(resource.KindDatacenter) {
		names = append(names, o.GetName())
	}
	for p := range resource.All[*isthmusv1.Peering](r, resource.KindPeering) {
		external := p.GetSpec().GetExternalAcceptor() + p.GetSpec().GetExternalDialer()
		if external == e.Datacenter {
			return place{Endpoint: e, external: true}, nil
		}
		if external != "" {
			names = append(names, external)
		}
	}
	return place{}, fault.Violated(fault.Violation{
		Field: field, Reason: resource.ReasonUnknown,
		Message: fmt.Sprintf("there is no Datacenter named %q%s", e.Datacenter, near(e.Datacenter, names)),
	})
}

// near tells of a name that is not there which ones are.
func near(name string, names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	meant := resource.Nearest(name, names)
	switch {
	case len(names) == 0:
		return "; there is none at all"
	case meant != "":
		return fmt.Sprintf("; did you mean %s? There are %s", meant, resource.Some(names, mostNamed))
	}
	return "; there are " + resource.Some(names, mostNamed)
}

// mostNamed is how many names a sentence lists at most.
const mostNamed = 6
