package policy

import (
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// nobody is no service's name: what intentions say of it, they say of whoever no other one names.
const nobody = "\x00"

// Posture is the condition DefaultDeny of a datacenter: whether a call that no intention names is denied there. Intentions from * to * decide
// before Consul's default does (allow or deny; empty: not known). entries are those that its agent reports; nil: not known (yet).
func Posture(byDefault string, entries *isthmusv1.EntriesReport) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: resource.ConditionDefaultDeny, Status: resource.ConditionUnknown, Reason: "Unknown"}
	if byDefault == "" {
		c.Message = "its agent has not told what Consul does with a call that no intention names"
		return c
	}
	d := Evaluate(entries.GetEntries(), Query{Source: nobody, Destination: nobody}, byDefault == resource.ActionAllow)
	switch {
	case entries == nil || d.Entry == "" && (entries.GetTruncated() || entries.GetErrorReason() != ""):
		c.Message = fmt.Sprintf("Consul's default is to %s; whether intentions from * to * say otherwise is not known", byDefault)
		return c
	case d.Depends:
		c.Status, c.Reason = resource.ConditionFalse, resource.PostureByRequest
		c.Message = fmt.Sprintf("%s decides about a call that no other intention names by what the request is like, before Consul's default (%s)", d.Entry, byDefault)
		return c
	}
	c.Status = resource.ConditionTrue
	word := "denied"
	if d.Allowed {
		c.Status, word = resource.ConditionFalse, "allowed"
	}
	if d.Entry == "" {
		c.Reason, c.Message = resource.PostureByDefault, fmt.Sprintf("a call that no intention names is %s, by Consul's default", word)
		return c
	}
	c.Reason = resource.PostureByIntention
	c.Message = fmt.Sprintf("a call that no other intention names is %s: %s (source *) decides before Consul's default, which is to %s", word, d.Entry, byDefault)
	return c
}
