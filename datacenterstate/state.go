package datacenterstate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// States of an item.
const (
	// Applied: it is there as it is wanted, or gone when it is to go.
	Applied = "applied"
	// Pending: it is not there yet, and nothing is known to stand against it.
	Pending = "pending"
	// Drifted: somebody changed isthmus's own part, and drift is only reported.
	Drifted = "drifted"
	// Conflict: somebody else's content stands in its place.
	Conflict = "conflict"
	// Managed: Kubernetes manages the entry.
	Managed = "managed"
	// Failed: it cannot be made, or does not work.
	Failed = "failed"
	// Unknown: its agent is silent, or does not see its Consul.
	Unknown = "unknown"
)

// Reasons, beside those that agents give and those of peerings and federations.
const (
	ReasonNoAgent     = "NoAgent"
	ReasonNotReported = "NotReported"
	ReasonAgentSilent = "AgentSilent"
	ReasonAgentTooOld = "AgentTooOld"
	ReasonNotWritten  = "NotWritten"
	ReasonRemoving    = "Removing"
)

// TypeConfigEntry is the type of an item that is one config entry.
const TypeConfigEntry = "config-entry"

// look is one datacenter while its items are judged.
type look struct {
	r          resource.Reader
	datacenter string
	e          Evidence
	now        time.Time
	out        []*isthmusv1.ItemState
}

// Of is the state of a datacenter at a time. Reports in it are shared: do not change them.
func Of(r resource.Reader, datacenter string, e Evidence, now time.Time) *isthmusv1.DatacenterState {
	out := &isthmusv1.DatacenterState{
		Datacenter: datacenter, Reports: e.Ages, Inventory: e.Inventory.Body, MissingRights: e.Rights.Body.GetMissing(),
		WanMembers: e.Federation.Body.GetWanMembers(), CertificateNames: e.Federation.Body.GetCertificateNames(),
		CertificateExpireTime: e.Federation.Body.GetCertificateExpireTime(), Time: timestamppb.New(now),
	}
	for _, a := range e.Agents {
		report := a.Report
		out.Agents = append(out.Agents, &isthmusv1.AgentState{
			Agent: a.Agent, ErrorReason: report.GetErrorReason(), Error: report.GetError(), AppliedIndex: report.GetAppliedIndex(),
			Current:      report.GetAppliedDigest() != "" && report.GetAppliedDigest() == a.Wanted,
			HeldRemovals: report.GetHeldRemovals(), UnknownItems: report.GetUnknownItems(),
		})
	}
	l := &look{r: r, datacenter: datacenter, e: e, now: now}
	l.items()
	slices.SortStableFunc(l.out, func(a, b *isthmusv1.ItemState) int {
		return cmp.Or(cmp.Compare(rank(a.GetState()), rank(b.GetState())), cmp.Compare(a.GetId(), b.GetId()))
	})
	out.Items = l.out
	return out
}

// rank puts what needs a person first.
func rank(state string) int {
	return slices.Index([]string{Failed, Conflict, Managed, Drifted, Unknown, Pending, Applied}, state)
}

func (l *look) items() {
	for _, i := range l.e.Desired.GetItems() {
		switch i.GetType() {
		case resource.ItemPeeringAcceptor:
			l.acceptor(i)
		case resource.ItemPeeringDialer:
			l.dialer(i)
		case resource.ItemExportedServices:
			l.exports(i.GetExportedServices())
		case resource.ItemConfigEntries:
			l.entries(i.GetConfigEntries())
		case resource.ItemMesh:
			l.mesh(i)
		case resource.ItemProxyDefaults:
			l.proxyDefaults(i)
		case resource.ItemFederationPrimary:
			l.primary(i)
		case resource.ItemFederationSecondary:
			l.secondary(i)
		case resource.ItemProbes:
			l.probes(i)
		}
	}
}

// verdict is how an item stands.
type verdict struct{ state, reason, message, fix string }

func applied() verdict { return verdict{state: Applied, reason: "Applied"} }

func pending(reason, format string, args ...any) verdict {
	return verdict{state: Pending, reason: reason, message: fmt.Sprintf(format, args...)}
}

func failed(reason, format string, args ...any) verdict {
	return verdict{state: Failed, reason: reason, message: fmt.Sprintf(format, args...)}
}

// word is the reason for a state for which an agent gives none.
func word(state string) string {
	return map[string]string{
		Applied: "Applied", Pending: ReasonNotWritten, Drifted: "Drifted", Conflict: "Conflict", Managed: "ManagedByKubernetes", Failed: "Failed",
	}[state]
}

// add enters an item as it is judged by a part of the reports: one that was told (there is a report), by an agent heard of at a time. feature is
// the type of item of the desired state.
func (l *look) add(item *isthmusv1.ItemState, feature string, told bool, heard time.Time, judge func() verdict) {
	var v verdict
	speaker := l.speaker()
	switch {
	case len(l.acting()) == 0:
		v = pending(ReasonNoAgent, "no agent is enrolled for %s", l.datacenter)
		v.fix = l.fixOf(inventory.ReasonNoAgent)
		if strangers := l.strangers(); len(strangers) > 0 {
			v = pending(inventory.ReasonAgentNotTrusted, "nobody has proven the keys of an agent of %s yet: nothing is sealed to it, and what it reports does not count", l.datacenter)
			v.fix = inventory.FixOfTrust(strangers...)
		}
	case speaker.Report != nil && !slices.Contains(speaker.Report.GetFeatures(), feature):
		v = pending(ReasonAgentTooOld, "the agent of %s is too old for it: what is there stays as it is", l.datacenter)
		v.fix = l.fixOf(inventory.ReasonAgentTooOld)
	case !told && l.silent(speaker.Heard):
		v = verdict{state: Unknown, reason: ReasonAgentSilent, message: "the agent of " + l.datacenter + " is silent, and has told nothing of it"}
		v.fix = l.fixOf(inventory.ReasonAgentOffline)
	case !told && l.e.Blind != "":
		v = failed(l.e.Blind, "%s", l.e.BlindMessage)
		v.fix = l.fixOf(l.e.Blind)
	case !told:
		v = pending(ReasonNotReported, "the agent of %s has told nothing of it yet", l.datacenter)
	case l.silent(heard):
		v = old(judge(), ReasonAgentSilent, "the agent of "+l.datacenter+" is silent")
		v.fix = l.fixOf(inventory.ReasonAgentOffline)
	case l.e.Blind != "":
		v = old(judge(), l.e.Blind, l.e.BlindMessage)
		v.fix = l.fixOf(l.e.Blind)
	default:
		v = judge()
	}
	item.State, item.Reason, item.Message, item.Fix = v.state, cmp.Or(v.reason, word(v.state)), v.message, v.fix
	if item.GetState() == Applied {
		item.Differences = nil
	}
	l.out = append(l.out, item)
}

// fixOf is what to do about what keeps the datacenter's agents from telling anything, or from doing it.
func (l *look) fixOf(reason string) string {
	m, _ := resource.MembershipOf(l.r, l.datacenter)
	return inventory.Fix(&isthmusv1.Datacenter{Name: l.datacenter}, m.Role, reason)
}

// old is a verdict that nobody can vouch for now.
func old(v verdict, reason, why string) verdict {
	return verdict{state: Unknown, reason: reason, message: why + "; what it said last: " + strings.TrimSuffix(v.state+", "+v.message, ", ")}
}

func (l *look) silent(heard time.Time) bool {
	return heard.IsZero() || l.now.Sub(heard) > resource.Silence
}

// acting are the agents that act in the datacenter's Consul.
func (l *look) acting() []Agent {
	return slices.DeleteFunc(l.enrolled(), func(a Agent) bool { return !resource.Trusted(a.Agent) })
}

// enrolled are those that would if somebody had proven their keys.
func (l *look) enrolled() []Agent {
	return slices.DeleteFunc(slices.Clone(l.e.Agents), func(a Agent) bool {
		return a.GetSpec().GetKind() == resource.AgentKindGateway || a.GetDeleteTime() != nil
	})
}

// strangers are the names of those whose keys nobody has proven.
func (l *look) strangers() []string {
	var out []string
	for _, a := range l.enrolled() {
		if !resource.Trusted(a.Agent) {
			out = append(out, a.GetName())
		}
	}
	return out
}

// speaker is the agent that leads by its own word, else the one heard of last; the zero value: nobody.
func (l *look) speaker() Agent {
	var out Agent
	for _, a := range l.acting() {
		leads, led := a.Report.GetLeader() && !l.silent(a.Heard), out.Report.GetLeader() && !l.silent(out.Heard)
		if out.Agent == nil || leads && !led || leads == led && a.Heard.After(out.Heard) {
			out = a
		}
	}
	return out
}

// differs is one difference; before is what is there, after what is wanted, both JSON.
func differs(field, before, after string) *isthmusv1.FieldChange {
	return &isthmusv1.FieldChange{Field: field, Before: before, After: after}
}
