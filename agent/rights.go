package agent

import (
	"context"
	"regexp"
	"strings"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// rightsEvery is how often Consul is asked what the token may do.
const rightsEvery = inventoryEvery

// ruleLine is one rule of Policy: peering = "write", or service_prefix "" { policy = "read" intentions = "write" }.
var ruleLine = regexp.MustCompile(`^([a-z]+)(?:_prefix)?(?: "([^"]*)")? (?:= "([a-z]+)"|\{ policy = "([a-z]+)"(?: intentions = "([a-z]+)")? \})$`)

// right is one rule of Policy, what it is for, and what Consul is asked to find out whether the token has it.
type right struct {
	rule, why string
	questions []consul.Question
}

// rightsOf are the rules of a purpose. Agents and sessions are asked about by the node's name, which rules go by.
func rightsOf(purpose, node string) ([]right, error) {
	rules, err := Policy(purpose)
	if err != nil {
		return nil, err
	}
	var out []right
	var why []string
	said := false // the comment above is of a rule
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			if said {
				why, said = nil, false
			}
			why = append(why, comment)
			continue
		}
		m := ruleLine.FindStringSubmatch(line)
		if m == nil {
			why = nil // an empty line ends what is said of all rules
			continue
		}
		r := right{rule: line, why: strings.Join(why, " ")}
		segment := m[2]
		if m[1] == "agent" || m[1] == "session" {
			segment = node
		}
		r.questions = append(r.questions, consul.Question{Resource: m[1], Segment: segment, Access: m[3] + m[4]})
		if m[5] != "" {
			r.questions = append(r.questions, consul.Question{Resource: "intention", Segment: segment, Access: m[5]})
		}
		out, said = append(out, r), true
	}
	return out, nil
}

// purposes are what this agent has to do, by its desired state and its host's flags.
func (r *reconciler) purposes(state *isthmusv1.DesiredState, self consul.Self) []string {
	own := PurposePeering
	intentions, traffic := false, false
	if len(r.federation.AllowJoin) > 0 {
		own = PurposeSecondary
	}
	for _, i := range state.GetItems() {
		if f := i.GetFederationPrimary(); f != nil {
			own = PurposePrimary
		}
		for _, e := range i.GetConfigEntries().GetEntries() {
			if e.GetKind() == consul.KindIntentions {
				intentions = true
			} else {
				traffic = true
			}
		}
	}
	out := []string{own}
	if own == PurposePrimary || self.Secondary() {
		return out // a primary's rules include the others, and a secondary writes nothing
	}
	if intentions {
		out = append(out, PurposeIntentions)
	}
	if traffic {
		out = append(out, PurposeTraffic)
	}
	return out
}

// rights tells which rules the agent's token lacks of those that its work needs. What it may not read it would be shown as empty, and take for
// gone.
func (r *reconciler) rights(ctx context.Context, state *isthmusv1.DesiredState, self consul.Self) *isthmusv1.RightsReport {
	report := &isthmusv1.RightsReport{}
	var needed []right
	var questions []consul.Question
	for _, purpose := range r.purposes(state, self) {
		some, err := rightsOf(purpose, self.Node)
		if err != nil {
			report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
			return report
		}
		needed = append(needed, some...)
	}
	for _, n := range needed {
		questions = append(questions, n.questions...)
	}
	allowed, err := r.consul.Authorize(ctx, questions)
	if err != nil {
		report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
		return report
	}
	for _, n := range needed {
		has := true
		for range n.questions {
			has, allowed = has && allowed[0], allowed[1:]
		}
		if !has {
			report.Missing = append(report.Missing, &isthmusv1.MissingRight{Rule: n.rule, Message: n.why})
		}
	}
	return report
}

// tellRights reports them now and then, also while a missing one keeps the passes from doing anything.
func (w *worker) tellRights(state *isthmusv1.DesiredState) {
	term := w.term()
	if term == nil || state == nil || w.now().Before(w.nextRights) {
		return
	}
	if w.say(term, &isthmusv1.ReportRequest{Rights: w.agent.reconciler.rights(term, state, w.lastSelf)}) {
		w.nextRights = w.now().Add(rightsEvery)
	}
}
