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
