package agent_test

import (
	"slices"
	"strings"
	"testing"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// A pod that comes or goes logs in or out: what somebody accepted to lose is still the same.
func TestLoginsChangeNoLoss(t *testing.T) {
	t.Parallel()
	all := consul.ACLInventory{
		Policies: []consul.ACLItem{{Name: "web"}}, AuthMethods: []consul.ACLItem{{Name: "k8s"}},
		Tokens: []consul.ACLToken{{Accessor: "a", Description: "made by hand"}, {Accessor: "b", Local: true}},
	}
	none := agent.ACLLosses(all)
	digest := federation.LossDigest(none)
	for _, accessor := range []string{"c", "d"} {
		all.Tokens = append(all.Tokens, consul.ACLToken{Accessor: accessor, Description: "token created via login", Local: true, AuthMethod: "k8s"})
		if some := agent.ACLLosses(all); federation.LossDigest(some) != digest {
			t.Fatalf("with logins: %v\nwithout: %v", some, none)
		}
	}
	i := slices.IndexFunc(none, func(l *isthmusv1.LostItem) bool { return l.GetKind() == "auth-method" && l.GetName() == "k8s" })
	if i < 0 || !strings.Contains(none[i].GetMessage(), "tokens from logins by k8s lose their policies") {
		t.Fatalf("losses: %v", none)
	}
	all.Tokens = append(all.Tokens, consul.ACLToken{Accessor: "e"})
	if federation.LossDigest(agent.ACLLosses(all)) == digest {
		t.Fatal("one more token by hand does not count")
	}
}

// What isthmus itself wrote comes again, and is no loss; what others wrote beside it is, and stays the same whatever isthmus does.
func TestOnlyOthersPartsAreLost(t *testing.T) {
	t.Parallel()
	want := wanting("service-intentions", "api", "source/default/web", allowWeb)
	alone, err := agent.MergeParts(stored(t, "service-intentions", "api", ""), want, nil, true)
	need(t, err)
	alone.Entry.Index = 7
	if digest := agent.ForeignDigest(alone.Entry); digest != "" {
		t.Error("isthmus's own entry is a loss")
	}
	const byBob = `{"Sources":[{"Name":"a","Action":"deny"}],"Meta":{"owner":"bob"}}`
	beside, err := agent.MergeParts(stored(t, "service-intentions", "api", byBob), want, nil, true)
	need(t, err)
	if with, without := agent.ForeignDigest(beside.Entry), agent.ForeignDigest(stored(t, "service-intentions", "api", byBob)); with != without || with == "" {
		t.Errorf("with isthmus's part %q, without it %q", with, without)
	}
	yes := true
	mesh, _, _, err := agent.MergeMesh(stored(t, "mesh", "mesh", ""), &yes, true)
	need(t, err)
	mesh.Index = 7
	if agent.ForeignDigest(mesh) != "" {
		t.Error("isthmus's own mesh entry is a loss")
	}
	mesh.Body["HTTP"] = map[string]any{"SanitizeXForwardedClientCert": true}
	if agent.ForeignDigest(mesh) == "" {
		t.Error("what somebody added to isthmus's mesh entry is no loss")
	}
}
