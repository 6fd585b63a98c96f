package policy_test

import (
	"strings"
	"testing"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func TestPosture(t *testing.T) {
	t.Parallel()
	wild := func(name, sources string) *isthmusv1.EntriesReport {
		return &isthmusv1.EntriesReport{Entries: []*isthmusv1.ReportedEntry{
			{Kind: policy.KindIntentions, Name: "api", Json: `{"Name":"api","Sources":[{"Name":"*","Action":"allow"}]}`},
			{Kind: policy.KindIntentions, Name: name, Json: `{"Name":"` + name + `","Sources":` + sources + `}`},
		}}
	}
	for name, c := range map[string]struct {
		byDefault      string
		entries        *isthmusv1.EntriesReport
		status, reason string
		says           string
	}{
		"not told":                 {"", wild("web", "[]"), resource.ConditionUnknown, "Unknown", "has not told"},
		"no entries yet":           {"deny", nil, resource.ConditionUnknown, "Unknown", "default is to deny"},
		"denied":                   {"deny", &isthmusv1.EntriesReport{}, resource.ConditionTrue, "ByDefault", "denied, by Consul's default"},
		"allowed":                  {"allow", wild("web", `[{"Name":"*","Action":"deny"}]`), resource.ConditionFalse, "ByDefault", "allowed, by Consul's default"},
		"allowed by */*":           {"deny", wild("*", `[{"Name":"*","Action":"allow"}]`), resource.ConditionFalse, "ByIntention", "service-intentions/* (source *) decides before"},
		"denied by */*":            {"allow", wild("*", `[{"Name":"*","Action":"deny"}]`), resource.ConditionTrue, "ByIntention", "which is to allow"},
		"*/* by permissions":       {"deny", wild("*", `[{"Name":"*","Permissions":[{"Action":"allow","HTTP":{"PathPrefix":"/"}}]}]`), resource.ConditionFalse, "ByRequest", "what the request is like"},
		"one source to *":          {"deny", wild("*", `[{"Name":"web","Action":"allow"}]`), resource.ConditionTrue, "ByDefault", "denied"},
		"* of a peer":              {"deny", wild("*", `[{"Name":"*","Peer":"dc2","Action":"allow"}]`), resource.ConditionTrue, "ByDefault", "denied"},
		"not all of the entries":   {"deny", &isthmusv1.EntriesReport{Truncated: true}, resource.ConditionUnknown, "Unknown", "not known"},
		"enough of the entries":    {"deny", truncated(wild("*", `[{"Name":"*","Action":"deny"}]`)), resource.ConditionTrue, "ByIntention", "denied"},
		"entries cannot be read":   {"allow", &isthmusv1.EntriesReport{ErrorReason: "MissingACL"}, resource.ConditionUnknown, "Unknown", "not known"},
		"nothing but the defaults": {"allow", &isthmusv1.EntriesReport{}, resource.ConditionFalse, "ByDefault", "allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := policy.Posture(c.byDefault, c.entries)
			if got.GetType() != resource.ConditionDefaultDeny || got.GetStatus() != c.status || got.GetReason() != c.reason || !strings.Contains(got.GetMessage(), c.says) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func truncated(r *isthmusv1.EntriesReport) *isthmusv1.EntriesReport {
	r.Truncated = true
	return r
}
