package doctor

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// tokenSoon is when an API token should be replaced.
	tokenSoon = 7 * 24 * time.Hour
	// joinSoon is when nobody will enrol with a join token any more who has not begun.
	joinSoon = 2 * time.Minute
)

func (x *exam) apiTokenExpiring() []answer {
	var out []answer
	for _, t := range x.APITokens {
		end := t.GetSpec().GetExpireTime()
		if end == nil {
			continue
		}
		left := end.AsTime().Sub(x.now)
		if left >= tokenSoon {
			continue
		}
		a := fails("", "API token %s (%s) ends %s", t.GetName(), t.GetSpec().GetRole(), when(end.AsTime(), x.now)).
			fixed("isthmus api-token create --role %s, give it to whoever uses %s, then isthmus delete api-token %s", t.GetSpec().GetRole(), t.GetName(), t.GetName())
		if left <= 0 {
			a = fails("", "API token %s (%s) ended %s", t.GetName(), t.GetSpec().GetRole(), when(end.AsTime(), x.now)).
				fixed("isthmus delete api-token %s; whoever still uses it needs another one", t.GetName())
		}
		out = append(out, a.of(resource.KindAPIToken, t.GetName()))
	}
	if len(out) == 0 {
		out = append(out, passes("", "none of the API tokens that you may see ends within %s", span(tokenSoon)))
	}
	return out
}

// joinTokenExpiring tells of tokens that nobody has enrolled with although they were made for a datacenter that has no such agent.
func (x *exam) joinTokenExpiring() []answer {
	var out []answer
	for t := range resource.All[*isthmusv1.JoinToken](x, resource.KindJoinToken) {
		grant := t.GetSpec().GetGrant()
		dc, end := grant.GetDatacenter(), grant.GetExpireTime()
		if t.GetStatus().GetUses() > 0 || end == nil || end.AsTime().Sub(x.now) > joinSoon || len(x.agents(dc, grant.GetKind())) > 0 {
			continue
		}
		verb := "ends"
		if !x.now.Before(end.AsTime()) {
			verb = "ended"
		}
		out = append(out, fails(dc, "join token %s for the %s of %s %s %s, and nobody has enrolled with it", t.GetName(), grant.GetKind(), dc, verb, when(end.AsTime(), x.now)).
			fixed("isthmus join-token create --datacenter %s --kind %s, with a longer --ttl when hosts take their time", dc, grant.GetKind()).of(resource.KindJoinToken, t.GetName()))
	}
	if len(out) == 0 {
		out = append(out, passes("", "no join token ends that somebody still needs"))
	}
	return out
}
