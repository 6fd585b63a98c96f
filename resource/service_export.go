package resource

import (
	"fmt"
	"regexp"
	"slices"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// AnyService as the service of a ServiceExport is every service.
const AnyService = "*"

// States of an export in one datacenter. An agent reports all but pending and unknown.
const (
	// ExportUnknown: the agent is silent, so that what it said last says nothing of now.
	ExportUnknown = "unknown"
	// ExportPending: the agent has not done it yet, or there is nobody to export to yet.
	ExportPending = "pending"
	// ExportApplied: Consul's exported-services entry has it.
	ExportApplied = "applied"
	// ExportConflict: somebody else's content stands against it.
	ExportConflict = "conflict"
	// ExportDrifted: somebody took it out, and the datacenter's drift says report.
	ExportDrifted = "drifted"
	// ExportFailed: Consul refused it.
	ExportFailed = "failed"
	// ExportExcluded: the datacenter cannot export, since it is a secondary of a federation.
	ExportExcluded = "excluded"
)

// serviceForm is what can be a service of Consul's mesh, up to maxService characters: wider than a DNS label, as Consul is.
var serviceForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$`)

const maxService = 255

// ValidService tells whether a text can be the name of a service in Consul's mesh. Consul itself takes more: spaces, slashes, paths.
func ValidService(name string) bool { return len(name) <= maxService && serviceForm.MatchString(name) }

func serviceExportKind() Kind {
	return Kind{
		Name: KindServiceExport, Plural: "service-exports", Singular: "service-export", Short: "export",
		Manifest: true,
		New:      func() Object { return &isthmusv1.ServiceExport{} },
		Weak:     weakly[*isthmusv1.ServiceExport],
		Default: func(o Object) {
			if e := o.(*isthmusv1.ServiceExport); e.Spec != nil {
				setDefault(&e.Spec.Namespace, "default")
			}
		},
		Validate: validateServiceExport,
		References: func(o Object) []Reference {
			spec := o.(*isthmusv1.ServiceExport).GetSpec()
			return append(references("spec.datacenters", spec.GetDatacenters()),
				references("spec.consumers.datacenters", spec.GetConsumers().GetDatacenters())...)
		},
		// Only exporters have a plan that it alters: consumers do nothing for it.
		Datacenters: func(o Object) []string {
			return slices.Clone(o.(*isthmusv1.ServiceExport).GetSpec().GetDatacenters())
		},
		Terms: func(o Object) []string {
			spec := o.(*isthmusv1.ServiceExport).GetSpec()
			return append(termsOf(spec.GetNamespace(), spec.GetService(), spec.GetDatacenters(), spec.GetSelector()),
				termsOfOther(spec.GetConsumers().GetDatacenters(), spec.GetConsumers().GetSelector())...)
		},
		Columns: []Column{
			column("SERVICE", func(e *isthmusv1.ServiceExport) string { return e.GetSpec().GetService() }),
			column("FROM", func(e *isthmusv1.ServiceExport) string {
				return choice(e.GetSpec().GetDatacenters(), e.GetSpec().GetSelector())
			}),
			column("TO", func(e *isthmusv1.ServiceExport) string {
				c := e.GetSpec().GetConsumers()
				to := choice(c.GetDatacenters(), c.GetSelector())
				for _, peer := range c.GetPeers() {
					if to != "" {
						to += ","
					}
					to += "(" + peer + ")"
				}
				return to
			}),
			column("APPLIED", func(e *isthmusv1.ServiceExport) string {
				return fmt.Sprintf("%d/%d", e.GetStatus().GetApplied(), e.GetStatus().GetDatacenters())
			}),
			column("NAMESPACE", func(e *isthmusv1.ServiceExport) string { return e.GetSpec().GetNamespace() }).wide(),
			labelsColumn(),
		},
	}
}

func validateServiceExport(o Object) []fault.Violation {
	spec := o.(*isthmusv1.ServiceExport).GetSpec()
	var r rules
	switch service := spec.GetService(); {
	case service == "" || service == AnyService:
	case service == "consul":
		r.add(invalid("spec.service", "Consul never exports its own service %s", quote(service)))
	case !ValidService(service):
		r.add(invalid("spec.service", "%s is not a service's name: letters, digits, '-', '_' and '.', or * for every service", quote(service)))
	}
	r.name("spec.namespace", spec.GetNamespace())
	r.members("spec", spec.GetDatacenters(), spec.GetSelector(), false)
	if consumers := spec.GetConsumers(); consumers != nil {
		r.members("spec.consumers", consumers.GetDatacenters(), consumers.GetSelector(), len(consumers.GetPeers()) > 0)
		r.names("spec.consumers.peers", consumers.GetPeers())
	}
	return r.violations
}
