package resource

import (
	"fmt"
	"net/url"
	"regexp"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// RuntimeKubernetes is the runtime of a Datacenter that may have spec.kubernetes. The other one is vm.
const RuntimeKubernetes = "kubernetes"

// What a Datacenter's agent does about drift.
const (
	DriftCorrect = "correct"
	DriftReport  = "report"
)

// Whether an agent, or a datacenter's agents, are heard of. The same words stand in Datacenter and Agent statuses.
const (
	LivenessOnline  = "online"
	LivenessOffline = "offline"
	LivenessUnknown = "unknown"
)

// Silence is how long an agent may say nothing and still count as heard of. One that is silent
// for 20 s is asked, and has 10 to answer; a leader election of Consul or a restart of the server goes by meanwhile.
const Silence = 30 * time.Second

// consulDatacenterForm is what Consul allows as the name of a datacenter, once in lower case.
var consulDatacenterForm = regexp.MustCompile(`^[a-z0-9_-]+$`)

func datacenterKind() Kind {
	return Kind{
		Name: KindDatacenter, Plural: "datacenters", Singular: "datacenter", Short: "dc",
		Manifest: true,
		New:      func() Object { return &isthmusv1.Datacenter{} },
		Weak:     weakly[*isthmusv1.Datacenter],
		Default: func(o Object) {
			d := o.(*isthmusv1.Datacenter)
			if d.Spec == nil {
				return
			}
			setDefaultName(&d.Spec.ConsulDatacenter, d.GetName())
			setDefault(&d.Spec.ConsulPartition, "default")
			setDefault(&d.Spec.Drift, DriftCorrect)
		},
		Validate:    validateDatacenter,
		Datacenters: func(o Object) []string { return []string{o.GetName()} },
		Terms:       func(o Object) []string { return termsOfLabels(o.GetLabels()) },
		Columns: []Column{
			column("RUNTIME", func(d *isthmusv1.Datacenter) string { return d.GetSpec().GetRuntime() }),
			column("AGENT", func(d *isthmusv1.Datacenter) string { return d.GetStatus().GetAgent() }),
			column("CONSUL", func(d *isthmusv1.Datacenter) string { return d.GetStatus().GetConsulVersion() }),
			column("SERVERS", func(d *isthmusv1.Datacenter) string { return seen(d, d.GetStatus().GetServers()) }),
			column("LEADER", func(d *isthmusv1.Datacenter) string { return d.GetStatus().GetLeader() }),
			column("SERVICES", func(d *isthmusv1.Datacenter) string { return seen(d, d.GetStatus().GetServices()) }),
			column("REMOVAL", func(d *isthmusv1.Datacenter) string {
				step, number, of := RemovalAt(d.GetStatus().GetRemoval())
				if step == nil {
					return ""
				}
				return fmt.Sprintf("%s %d/%d", step.GetId(), number, of)
			}),
			column("AGENTS", func(d *isthmusv1.Datacenter) string {
				return showInt(d.GetStatus().GetAgentsOnline()) + "/" + showInt(d.GetStatus().GetAgents())
			}).wide(),
			column("SINCE", func(d *isthmusv1.Datacenter) string { return showTime(d.GetStatus().GetAgentSince()) }).wide(),
			column("ACL", fact(func(s *isthmusv1.DatacenterStatus) *bool { return s.AclEnabled })).wide(),
			column("TLS", fact(func(s *isthmusv1.DatacenterStatus) *bool { return s.TlsEnabled })).wide(),
			column("GOSSIP", fact(func(s *isthmusv1.DatacenterStatus) *bool { return s.GossipEncrypted })).wide(),
			column("PEERING", fact(func(s *isthmusv1.DatacenterStatus) *bool { return s.PeeringEnabled })).wide(),
			column("POSTURE", posture).wide(),
			labelsColumn(),
		},
	}
}

// seen shows a number only when something was reported: 0 servers is no fact before.
func seen(d *isthmusv1.Datacenter, n int32) string {
	if d.GetStatus().GetConsulVersion() == "" {
		return ""
	}
	return showInt(n)
}

// fact shows what may not be known.
func fact(of func(*isthmusv1.DatacenterStatus) *bool) func(*isthmusv1.Datacenter) string {
	return func(d *isthmusv1.Datacenter) string {
		if d.GetStatus() == nil {
			return ""
		}
		return showOn(of(d.GetStatus()))
	}
}

// posture is what happens to a call that no intention names.
func posture(d *isthmusv1.Datacenter) string {
	switch c := FindCondition(d.GetStatus().GetConditions(), ConditionDefaultDeny); {
	case c.GetReason() == PostureByRequest:
		return "depends"
	case c.GetStatus() == ConditionTrue:
		return ActionDeny
	case c.GetStatus() == ConditionFalse:
		return ActionAllow
	}
	return ""
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// setDefaultName takes another field's name, unless that one is wrong: one complaint about it is enough.
func setDefaultName(field *string, name string) {
	if ValidName(name) {
		setDefault(field, name)
	}
}

func validateDatacenter(o Object) []fault.Violation {
	spec := o.(*isthmusv1.Datacenter).GetSpec()
	var r rules
	if name := spec.GetConsulDatacenter(); name != "" && !consulDatacenterForm.MatchString(name) {
		r.add(invalid("spec.consulDatacenter", "%s is not a Consul datacenter's name: lower-case letters, digits, '-' and '_'", quote(name)))
	}
	r.name("spec.consulPartition", spec.GetConsulPartition())
	kubernetes := spec.GetKubernetes()
	if kubernetes == nil {
		return r.violations
	}
	if spec.GetRuntime() != RuntimeKubernetes {
		r.add(fault.Violation{Field: "spec.kubernetes", Reason: ReasonExclusive, Message: "is only for runtime: kubernetes"})
	}
	if text := kubernetes.GetApiUrl(); text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			r.add(invalid("spec.kubernetes.apiUrl", "%s is not an https URL: for example https://api.example.com:6443", quote(text)))
		}
	}
	r.name("spec.kubernetes.namespace", kubernetes.GetNamespace())
	r.name("spec.kubernetes.helmRelease", kubernetes.GetHelmRelease())
	r.name("spec.kubernetes.secretName", kubernetes.GetSecretName())
	return r.violations
}
