package consul_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/test/consultest"
)

func TestACLInventory(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	reader := open(t, settings(t, c.Env(c.MintToken("reader", `acl = "read"`))...))
	before, err := reader.ACLInventory(t.Context())
	need(t, err)
	names := func(items []consul.ACLItem) (out []string) {
		for _, i := range items {
			out = append(out, i.Name)
		}
		return out
	}
	if !slices.Equal(names(before.Policies), []string{"reader"}) || before.Policies[0].Digest == "" || len(before.Tokens) != 2 || len(before.Roles)+len(before.AuthMethods)+len(before.BindingRules) != 0 {
		t.Fatalf("a new datacenter: %+v", before)
	}
	c.Do(http.MethodPut, "/v1/acl/role", map[string]any{"Name": "ops", "Policies": []any{map[string]any{"Name": "reader"}}}, nil)
	c.Do(http.MethodPut, "/v1/acl/token", map[string]any{"Description": "here only", "Local": true, "Roles": []any{map[string]any{"Name": "ops"}}}, nil)
	c.Do(http.MethodPut, "/v1/acl/token/00000000-0000-0000-0000-000000000002", map[string]any{"Policies": []any{map[string]any{"Name": "reader"}}}, nil)
	after, err := reader.ACLInventory(t.Context())
	need(t, err)
	if !slices.Equal(names(after.Roles), []string{"ops"}) || len(after.Tokens) != 4 {
		t.Fatalf("after: %+v", after)
	}
	i := slices.IndexFunc(after.Tokens, func(token consul.ACLToken) bool { return token.Description == "here only" })
	if i < 0 || !after.Tokens[i].Local || !slices.Equal(after.Tokens[i].Roles, []string{"ops"}) {
		t.Fatalf("tokens: %+v", after.Tokens)
	}
	_, err = open(t, settings(t, c.Env(c.MintToken("nobody", `operator = "read"`))...)).ACLInventory(t.Context())
	want(t, err, fault.Denied, consul.RuleMissing)
}

func TestGrantsAreMadeOnce(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	ctx := t.Context()
	a := open(t, settings(t, c.Env(c.ManagementToken)...))
	grants := []consul.ACLGrant{
		{Description: "one", Policies: []consul.ACLPolicy{{Name: "a", Rules: `operator = "read"`, Datacenters: []string{"dc2"}}, {Name: "b", Rules: `acl = "read"`}}},
		{Description: "two", Policies: []consul.ACLPolicy{{Name: "c", Rules: `mesh = "read"`}}},
	}
	first, err := a.EnsureTokens(ctx, grants)
	need(t, err)
	index := func() (index int) {
		var tokens []struct{ ModifyIndex int }
		c.Do(http.MethodGet, "/v1/acl/tokens", nil, &tokens)
		for _, token := range tokens {
			index = max(index, token.ModifyIndex)
		}
		return index
	}
	at := index()
	again, err := a.EnsureTokens(ctx, grants)
	need(t, err)
	if !slices.Equal(first, again) || first[0] == first[1] || index() != at {
		t.Fatal("asking again made others, or wrote")
	}
	// What somebody changed is as it was.
	var policy struct{ ID, Rules string }
	c.Do(http.MethodGet, "/v1/acl/policy/name/b", nil, &policy)
	c.Do(http.MethodPut, "/v1/acl/policy/"+policy.ID, map[string]any{"Name": "b", "Rules": `acl = "write"`}, nil)
	_, err = a.EnsureTokens(ctx, grants)
	need(t, err)
	c.Do(http.MethodGet, "/v1/acl/policy/name/b", nil, &policy)
	if policy.Rules != `acl = "read"` {
		t.Fatalf("rules %s", policy.Rules)
	}
	// Who may but read is shown no secret, and none is handed on.
	_, err = open(t, settings(t, c.Env(first[0].Reveal())...)).EnsureTokens(ctx, grants)
	want(t, err, fault.Denied, consul.RuleMissing)
	if !strings.Contains(err.Error(), `acl = "write"`) {
		t.Fatal(err)
	}
	deleted, err := a.DeleteGrants(ctx, grants)
	if err != nil || deleted != 2 {
		t.Fatalf("%d deleted, %v", deleted, err)
	}
	if deleted, err = a.DeleteGrants(ctx, grants); err != nil || deleted != 0 {
		t.Fatalf("%d deleted again, %v", deleted, err)
	}
	inventory, err := a.ACLInventory(ctx)
	if err != nil || len(inventory.Policies) != 0 {
		t.Fatalf("left: %+v, %v", inventory, err)
	}
}
