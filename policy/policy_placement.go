package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxReportedParts is how many parts an agent tells of one entry: when it tells as many, there may be more.
const maxReportedParts = 50

// placing is one policy in one realm.
type placing struct {
	r      resource.Reader
	policy resource.Object
	realm  realm
	// entries have parts of the policy, and of others.
	entries  []*isthmusv1.ConfigEntry
	problems []*isthmusv1.PolicyProblem
	before   *isthmusv1.PolicyPlacement
}

// verdict is how something stands: a state, a word for it and a sentence.
type verdict struct{ state, reason, message string }

func verdictOf(state, reason, message string) verdict {
	return verdict{state: state, reason: cmp.Or(reason, policyReason(state)), message: message}
}

// place compares what is wanted with what the agent of the realm's home said last.
func (p placing) place(report *isthmusv1.PolicyReport, online bool) *isthmusv1.PolicyPlacement {
	out := &isthmusv1.PolicyPlacement{Datacenter: p.realm.home}
	if p.realm.federation != "" {
		out.Members = names(p.realm.members)
	}
	for _, e := range p.entries[:min(len(p.entries), maxEntries)] {
		out.Entries = append(out.Entries, e.GetKind()+"/"+e.GetName())
	}
	v := p.judge(report, online)
	out.State, out.Reason, out.Message = v.state, v.reason, v.message
	out.Conflicts = p.conflicts(report)
	out.Drift = p.drift(report)
	return out
}

func (p placing) judge(report *isthmusv1.PolicyReport, online bool) verdict {
	if i := slices.IndexFunc(p.problems, func(p *isthmusv1.PolicyProblem) bool { return !warning(p.GetReason()) }); i >= 0 {
		return verdictOf(resource.PolicyFailed, p.problems[i].GetReason(), p.problems[i].GetMessage())
	}
	switch {
	case len(p.entries) == 0 && len(p.problems) > 0:
		return verdictOf(resource.PolicyPending, p.problems[0].GetReason(), p.problems[0].GetMessage())
	case len(p.entries) == 0 && resource.KindOf(p.policy).Name == resource.KindTrafficPolicy:
		return verdictOf(resource.PolicyApplied, "", "there is nothing to write: calls from "+p.realm.home+" go there anyway")
	case len(p.entries) == 0:
		return verdictOf(resource.PolicyPending, "", "there is nothing to write: what it names is in no datacenter that is connected with "+p.realm.home)
	case report == nil:
		return verdictOf(resource.PolicyPending, "", fmt.Sprintf("the agent of %s has not reported yet", p.realm.home))
	case !online:
		last := p.judgeEntries(report)
		return verdictOf(resource.PolicyUnknown, "", fmt.Sprintf("the agent of %s is silent; what it said last: %s",
			p.realm.home, strings.TrimSuffix(last.state+", "+last.message, ", ")))
	}
	return p.judgeEntries(report)
}

// judgeEntries is the worst of what an agent says of the policy's entries.
func (p placing) judgeEntries(report *isthmusv1.PolicyReport) verdict {
	if report.GetErrorReason() != "" {
		return verdictOf(resource.PolicyFailed, report.GetErrorReason(), report.GetError())
	}
	worst := verdictOf(resource.PolicyApplied, "", "")
	for _, e := range p.entries {
		if v := p.judgeEntry(e, report); policyRank(v.state) < policyRank(worst.state) {
			worst = v
		}
	}
	return worst
}

func (p placing) judgeEntry(e *isthmusv1.ConfigEntry, report *isthmusv1.PolicyReport) verdict {
	seen := observed(report, e)
	called := e.GetKind() + "/" + e.GetName()
	if seen == nil {
		return verdictOf(resource.PolicyPending, "", fmt.Sprintf("the agent of %s has not written it yet", p.realm.home))
	}
	whole := verdictOf(seen.GetState(), seen.GetReason(), strings.TrimSuffix(called+": "+seen.GetMessage(), ": "))
	if seen.GetState() == resource.PolicyFailed {
		return whole // nothing of it was written, whatever parts are told
	}
	worst := verdictOf(resource.PolicyApplied, "", "")
	told := 0
	for _, part := range seen.GetParts() {
		i := slices.IndexFunc(e.GetParts(), func(w *isthmusv1.ConfigPart) bool { return w.GetKey() == part.GetKey() })
		if part.GetState() == resource.PolicyApplied {
			continue
		}
		told++
		if i < 0 || !wantedBy(e.GetParts()[i], p.policy) || policyRank(part.GetState()) >= policyRank(worst.state) {
			continue
		}
		worst = verdictOf(part.GetState(), part.GetReason(), strings.TrimSuffix(fmt.Sprintf("%s, %s: %s", called, part.GetKey(), part.GetMessage()), ": "))
	}
	if seen.GetState() != resource.PolicyApplied && worst.state == resource.PolicyApplied && (told == 0 || told >= maxReportedParts) {
		return whole // not told which parts
	}
	return worst
}

// observed is what an agent says of an entry as it is wanted now; nil: nothing.
func observed(report *isthmusv1.PolicyReport, e *isthmusv1.ConfigEntry) *isthmusv1.ObservedEntry {
	for _, o := range report.GetEntries() {
		if o.GetKind() == e.GetKind() && o.GetName() == e.GetName() && cmp.Or(o.GetNamespace(), defaultNamespace) == cmp.Or(e.GetNamespace(), defaultNamespace) {
			if o.GetWantedDigest() == resource.Digest(e) {
				return o
			}
			return nil
		}
	}
	return nil
}

// conflicts are the policy's parts that are not as they are wanted, side by side. Agents know no policies: what to do about an entry that
// Kubernetes manages is said here.
func (p placing) conflicts(report *isthmusv1.PolicyReport) []*isthmusv1.PolicyConflict {
	var out []*isthmusv1.PolicyConflict
	for _, e := range p.entries {
		seen := observed(report, e)
		for _, w := range e.GetParts() {
			if !wantedBy(w, p.policy) || len(out) == maxConflicts {
				continue
			}
			part := &isthmusv1.ObservedPart{State: resource.PolicyApplied}
			if seen.GetState() == resource.PolicyManaged && len(seen.GetParts()) == 0 {
				part.State = resource.PolicyManaged
			}
			if i := slices.IndexFunc(seen.GetParts(), func(o *isthmusv1.ObservedPart) bool { return o.GetKey() == w.GetKey() }); i >= 0 {
				part = seen.GetParts()[i]
			}
			if part.GetState() == resource.PolicyApplied {
				continue
			}
			conflict := &isthmusv1.PolicyConflict{
				Entry: e.GetKind() + "/" + e.GetName(), Part: w.GetKey(), Wanted: w.GetValue(), Found: part.GetFound(), Fix: p.fix(e, w, part),
			}
			out = append(out, conflict)
		}
	}
	return out
}

// fix is what to do about a part. People do, and paste, what isthmus tells them: what an agent says is said to be the agent's word, and
// counts for nothing where the server knows better.
func (p placing) fix(e *isthmusv1.ConfigEntry, wanted *isthmusv1.ConfigPart, part *isthmusv1.ObservedPart) string {
	switch {
	case part.GetState() == resource.PolicyManaged:
		return CRDPatch(e, wanted)
	case part.GetFix() != "":
		return "the agent of " + p.realm.home + " says: " + part.GetFix()
	}
	return ""
}

// drift is the last change that somebody made to one of the policy's parts: of what the agent told last, or what is remembered of before.
func (p placing) drift(report *isthmusv1.PolicyReport) *isthmusv1.Drift {
	known := report.GetDrifts()
	if d := p.before.GetDrift(); d != nil {
		known = append(slices.Clone(known), d)
	}
	for _, d := range Drifts(p.r, p.policy, p.realm.home, known) {
		return d
	}
	return nil
}
