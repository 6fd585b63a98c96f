package agent_test

import (
	"strings"
	"testing"

	"isthmus/agent"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// Every rule that an agent's token lacks is told, and none that it has: also those for reading, without which Consul shows empty lists.
func TestRightsTellEveryMissingRule(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	policies := entries(wanting("service-intentions", "api", "source/default/web", allowWeb), wanting("service-resolver", "api", "failover/*", failover23))
	primary := &isthmusv1.DesiredItem{Id: "p", Type: "federation-primary", FederationPrimary: &isthmusv1.FederationPrimary{Uid: "u"}}
	self, err := mustClient(t, c, c.ManagementToken).Self(t.Context())
	need(t, err)
	for _, tt := range []struct {
		name       string
		purposes   []string
		federation agent.FederationConfig
		items      []*isthmusv1.DesiredItem
	}{
		{"peering", []string{agent.PurposePeering}, agent.FederationConfig{}, nil},
		{"peering and policies", []string{agent.PurposePeering, agent.PurposeIntentions, agent.PurposeTraffic}, agent.FederationConfig{}, []*isthmusv1.DesiredItem{policies}},
		{"primary", []string{agent.PurposePrimary}, agent.FederationConfig{}, []*isthmusv1.DesiredItem{primary, policies}},
		{"secondary", []string{agent.PurposeSecondary}, agent.FederationConfig{AllowJoin: []string{agent.AnyPrimary}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			missing := func(name string, lines []string) string {
				t.Helper()
				client := mustClient(t, c, c.MintToken(strings.ReplaceAll(tt.name+"-"+name, " ", "-"), strings.Join(lines, "\n")))
				report := agent.Rights(t.Context(), client, tt.federation, &isthmusv1.DesiredState{Items: tt.items}, self)
				if report.GetErrorReason() != "" {
					t.Fatalf("%s: %v", name, report)
				}
				var out []string
				for _, m := range report.GetMissing() {
					if m.GetMessage() == "" || strings.Contains(m.GetMessage(), "What an isthmus agent needs") {
						t.Errorf("%s: it is said to be for %q", m.GetRule(), m.GetMessage())
					}
					out = append(out, m.GetRule())
				}
				return strings.Join(out, "\n")
			}
			rules, err := policyRules(tt.purposes...)
			need(t, err)
			lines := ruleLines(rules)
			if got := missing("all", lines); got != "" {
				t.Errorf("with all rules these are missing:\n%s", got)
			}
			if got := missing("none", []string{`key "x" { policy = "read" }`}); got != strings.Join(lines, "\n") {
				t.Errorf("without any rule these are missing:\n%s", got)
			}
			for i, line := range lines {
				rest := append(append([]string{}, lines[:i]...), lines[i+1:]...)
				got := missing("without-"+string(rune('a'+i)), rest)
				if included := strings.HasPrefix(line, "service_prefix") && len(tt.purposes) > 1 && strings.Contains(line, `policy = "read" }`); included {
					continue // the rule for writing includes it
				}
				if got != line {
					t.Errorf("without %s these are missing:\n%s", line, got)
				}
			}
		})
	}
	stranger := mustClient(t, c, "11111111-2222-3333-4444-555555555555")
	if report := agent.Rights(t.Context(), stranger, agent.FederationConfig{}, nil, self); report.GetErrorReason() != "AclTokenUnknown" || len(report.GetMissing()) > 0 {
		t.Errorf("with a token that Consul does not know: %v", report)
	}
}

// A leader that loses the right to read says so, although it can do nothing any more.
func TestRightsAreToldWhenTheyGo(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	rules, err := agent.Policy(agent.PurposePeering)
	need(t, err)
	run(t, h.config("east", settings(t, c.Env(c.MintToken("agent", rules))...)))
	h.want("east", entries(wanting("service-intentions", "api", "source/default/web", allowWeb)))
	missing := func() string {
		var out []string
		for _, m := range h.reported("east").GetRights().GetMissing() {
			out = append(out, m.GetRule())
		}
		return strings.Join(out, "\n")
	}
	const write = `service_prefix "" { policy = "read" intentions = "write" }`
	eventually(t, "the rule for intentions is missing", func() bool { return missing() == write })
	e := h.settled("east", wanting("service-intentions", "api", "source/default/web", allowWeb), "failed")
	if e.GetReason() != "AclRuleMissing" || !strings.Contains(e.GetMessage(), write) || len(e.GetParts()) != 1 || !strings.Contains(e.GetParts()[0].GetFix(), "isthmus agent policy --for intentions") {
		t.Errorf("what is reported: %v", e)
	}
}
