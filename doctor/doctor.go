package doctor

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Severities: what it means when a check fails.
const (
	// SeverityError: something does not work, or will not for long.
	SeverityError = "error"
	// SeverityWarning: it works, and is not as it should be.
	SeverityWarning = "warning"
	// SeverityInfo: worth knowing; it may be so on purpose.
	SeverityInfo = "info"
)

// Evidence is what is known beside the resources.
type Evidence struct {
	// Of is what a datacenter's agents say; the zero value: nothing.
	Of func(datacenter string) Seen
	// Version is the server's.
	Version string
	// Connections are the verdicts on all pairs of datacenters that are connected.
	Connections []*isthmusv1.Connection
	// APITokens are those that whoever asks may know of.
	APITokens []*isthmusv1.APIToken
}

// Seen is what the agents of one datacenter say. Reports of who is silent are the last that they sent.
type Seen struct {
	federation.Seen
	// Gateways are the reports of its enrolled gateways, by the names of their agents.
	Gateways map[string]*isthmusv1.GatewayReport
	// Peerings and Rights are the leading agent's; nil: none yet.
	Peerings *isthmusv1.PeeringsReport
	Rights   *isthmusv1.RightsReport
}

// Checks asks all checks, or only those of some ids, of a fleet. An id that there is not is ignored: see Known.
func Checks(r resource.Reader, e Evidence, now time.Time, only ...string) []*isthmusv1.DoctorCheck {
	x := &exam{Reader: r, Evidence: e, now: now, memberships: resource.Memberships(r), seen: map[string]Seen{}, titles: map[string]string{}}
	for _, c := range catalog() {
		x.titles[c.ID] = c.Title
	}
	var out []*isthmusv1.DoctorCheck
	for _, c := range catalog() {
		if c.ask == nil || len(only) > 0 && !slices.Contains(only, c.ID) {
			continue
		}
		for _, a := range c.ask(x) {
			out = append(out, &isthmusv1.DoctorCheck{
				Id: c.ID, Severity: cmp.Or(a.severity, c.Severity), Verdict: a.verdict, Datacenter: a.datacenter, Subject: a.subject,
				Message: cmp.Or(a.message, c.Title), Fix: a.fix, Link: c.Link(),
			})
		}
	}
	return out
}

// Known refuses ids of checks that there are not, and lists those that there are.
func Known(ids []string) error {
	all := IDs()
	for i, id := range ids {
		if !slices.Contains(all, id) {
			return fault.Violated(fault.Violation{
				Field: fmt.Sprintf("only[%d]", i), Reason: resource.ReasonUnknown,
				Message: fmt.Sprintf("there is no check %q; there are %s", id, strings.Join(all, ", ")),
			})
		}
	}
	return nil
}

// About are the checks that are about one datacenter, at either end; all when it is empty.
func About(checks []*isthmusv1.DoctorCheck, datacenter string) []*isthmusv1.DoctorCheck {
	if datacenter == "" {
		return checks
	}
	return slices.DeleteFunc(slices.Clone(checks), func(c *isthmusv1.DoctorCheck) bool {
		return c.GetDatacenter() != datacenter && c.GetSubject() != subjectOf(resource.KindDatacenter, datacenter)
	})
}

// Report counts checks and puts them in order: what fails before what nobody knows and what passes, the severe before the harmless, then in
// the order of the catalog.
func Report(checks []*isthmusv1.DoctorCheck, now time.Time) *isthmusv1.DoctorReport {
	place := map[string]int{}
	for i, id := range IDs() {
		place[id] = i
	}
	out := &isthmusv1.DoctorReport{Checks: slices.Clone(checks), Time: timestamppb.New(now)}
	for _, c := range checks {
		switch c.GetVerdict() {
		case resource.CheckPass:
			out.Passed++
		case resource.CheckFail:
			out.Failed++
		default:
			out.Unknown++
		}
	}
	slices.SortStableFunc(out.Checks, func(a, b *isthmusv1.DoctorCheck) int {
		return cmp.Or(
			cmp.Compare(verdictRank(a), verdictRank(b)), cmp.Compare(severityRank(a), severityRank(b)), cmp.Compare(place[a.GetId()], place[b.GetId()]),
			cmp.Compare(a.GetDatacenter(), b.GetDatacenter()), cmp.Compare(a.GetSubject(), b.GetSubject()),
		)
	})
	return out
}

func verdictRank(c *isthmusv1.DoctorCheck) int {
	return slices.Index([]string{resource.CheckFail, resource.CheckUnknown, resource.CheckPass}, c.GetVerdict())
}

func severityRank(c *isthmusv1.DoctorCheck) int {
	return slices.Index([]string{SeverityError, SeverityWarning, SeverityInfo}, c.GetSeverity())
}

// Well tells whether nothing needs anybody: what is for information may be one way or the other; what nobody knows is not well.
func Well(report *isthmusv1.DoctorReport) bool {
	return !slices.ContainsFunc(report.GetChecks(), func(c *isthmusv1.DoctorCheck) bool {
		return c.GetVerdict() != resource.CheckPass && c.GetSeverity() != SeverityInfo
	})
}

// answer is what one check says of one thing. Without a message it says the check's title, without a severity it has the check's.
type answer struct {
	verdict, severity, datacenter, subject, message, fix string
}

func passes(datacenter, format string, args ...any) answer {
	return answer{verdict: resource.CheckPass, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

func fails(datacenter, format string, args ...any) answer {
	return answer{verdict: resource.CheckFail, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

func unknown(datacenter, format string, args ...any) answer {
	return answer{verdict: resource.CheckUnknown, datacenter: datacenter, message: fmt.Sprintf(format, args...)}
}

// of says what it is about.
func (a answer) of(kind, name string) answer {
	a.subject = subjectOf(kind, name)
	return a
}

func subjectOf(kind, name string) string { return kind + "/" + name }

// fixed says what to do about it.
func (a answer) fixed(format string, args ...any) answer {
	a.fix = fmt.Sprintf(format, args...)
	return a
}

// as has another severity than the check's own.
func (a answer) as(severity string) answer {
	a.severity = severity
	return a
}

// exam is one look at a fleet.
type exam struct {
	resource.Reader
	Evidence
	now         time.Time
	memberships map[string]resource.Membership
	seen        map[string]Seen
	// rules are federations' own checks, made when they are first asked for.
	rules []ruled
	// reach is who reaches which address, made when it is first asked for.
	reach map[string]map[string][]reachedFrom
	// hosts are the addresses of each datacenter's servers, and servers the datacenters of each address: see serversAt.
	hosts, servers map[string][]string
	titles         map[string]string
}

// of is what is seen of a datacenter.
func (x *exam) of(datacenter string) Seen {
	if s, ok := x.seen[datacenter]; ok {
		return s
	}
	var s Seen
	if x.Of != nil {
		s = x.Of(datacenter)
	}
	x.seen[datacenter] = s
	return s
}

// datacenters are all that are declared and not on their way out.
func (x *exam) datacenters() iter.Seq[*isthmusv1.Datacenter] {
	return func(yield func(*isthmusv1.Datacenter) bool) {
		for d := range resource.All[*isthmusv1.Datacenter](x, resource.KindDatacenter) {
			if d.GetDeleteTime() == nil && !yield(d) {
				return
			}
		}
	}
}

// agents are those of a datacenter, of one kind.
func (x *exam) agents(datacenter, kind string) []*isthmusv1.Agent {
	var out []*isthmusv1.Agent
	for a := range resource.AllTouching[*isthmusv1.Agent](x, resource.KindAgent, datacenter) {
		if a.GetDeleteTime() == nil && a.GetSpec().GetKind() == kind {
			out = append(out, a)
		}
	}
	return out
}

// consul asks about the Consul of each datacenter that has agents, with what its leading agent reports. Where nobody reports, or nobody
// can, it is unknown.
func (x *exam) consul(ask func(d *isthmusv1.Datacenter, s Seen) []answer) []answer {
	var out []answer
	for d := range x.datacenters() {
		if len(x.agents(d.GetName(), resource.AgentKindAgent)) == 0 {
			continue // AgentEnrolled says so
		}
		if why := x.silence(d.GetName()); why != "" {
			// Only where it would be asked.
			if s := x.of(d.GetName()); len(ask(d, s)) > 0 || s.Inventory == nil {
				out = append(out, unknown(d.GetName(), "%s", why))
			}
			continue
		}
		out = append(out, ask(d, x.of(d.GetName()))...)
	}
	return out
}

// silence is why nobody knows how the Consul of a datacenter is now; empty when it is known.
func (x *exam) silence(datacenter string) string {
	s := x.of(datacenter)
	switch {
	case !s.Online:
		return "no agent of " + datacenter + " is heard of: what it saw last may be old"
	case x.troubled(datacenter) != nil:
		return "the agent of " + datacenter + " cannot look: " + x.troubled(datacenter).GetMessage()
	case s.Inventory == nil:
		return "the agent of " + datacenter + " has not told of its Consul yet"
	}
	return ""
}

// troubled is what keeps the agent that speaks for a datacenter from its work; nil: nothing.
func (x *exam) troubled(datacenter string) *isthmusv1.Condition {
	var found *isthmusv1.Condition
	for _, a := range x.agents(datacenter, resource.AgentKindAgent) {
		switch trouble := troubleOf(a); {
		case a.GetStatus().GetLiveness() != resource.LivenessOnline:
		case trouble == nil:
			return nil
		default:
			found = trouble
		}
	}
	return found
}

// troubleOf is what keeps an agent that is heard of from its work; nil: nothing.
func troubleOf(a *isthmusv1.Agent) *isthmusv1.Condition {
	c := resource.FindCondition(a.GetStatus().GetConditions(), resource.ConditionReady)
	if a.GetStatus().GetLiveness() != resource.LivenessOnline || c.GetStatus() != resource.ConditionFalse {
		return nil
	}
	return c
}
