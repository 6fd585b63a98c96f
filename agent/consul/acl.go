package consul

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

const (
	// builtin starts the ids of what Consul itself puts into every datacenter: its own policies, and the anonymous token.
	builtin = "00000000-0000-0000-0000-00000000000"
	// hidden is what Consul shows of a secret to those who may not write ACLs.
	hidden = "<hidden>"
)

// ACLPolicy is a policy as isthmus makes them.
type ACLPolicy struct {
	Name, Description, Rules string
	// Datacenters are those in which it counts; empty: all.
	Datacenters []string
}

// ACLToken is a token without its secret.
type ACLToken struct {
	Accessor, Description string
	// Local ones are good in their own datacenter only, and not replicated.
	Local bool
	// Policies and Roles are names.
	Policies, Roles []string
	// Digest is another one when what the token may do is.
	Digest string
	// AuthMethod is the one of a token that a login made; empty for the others.
	AuthMethod string
}

// ACLItem is a thing of the ACL system by its name or id, and a digest of what it is.
type ACLItem struct{ Name, Digest string }

// ACLInventory is all that a datacenter's ACL system holds. What Consul itself puts into every datacenter is left out: its built-in policies,
// and the anonymous token unless somebody gave it something.
type ACLInventory struct {
	// All are sorted by name: binding rules have ids, tokens accessors.
	Policies, Roles, AuthMethods, BindingRules []ACLItem
	Tokens                                     []ACLToken
}

// ACLInventory reads it. Empty when ACLs are off. Needs acl:read.
func (c *Client) ACLInventory(ctx context.Context) (ACLInventory, error) {
	var out ACLInventory
	err := c.do(ctx, "listing ACLs", func(ctx context.Context, a *api.Client) error {
		err := out.read(a, options(ctx, Query{}))
		if aclOff(err) {
			out = ACLInventory{}
			return nil
		}
		return err
	})
	return out, err
}

// whole is the error of a list, of which nothing may be left out.
func whole(meta *api.QueryMeta, err error) error {
	if err == nil && meta.ResultsFilteredByACLs {
		return partial("listing ACLs")
	}
	return err
}

func (i *ACLInventory) read(a *api.Client, o *api.QueryOptions) error {
	policies, meta, err := a.ACL().PolicyList(o)
	if err = whole(meta, err); err != nil {
		return err
	}
	for _, p := range policies {
		if !strings.HasPrefix(p.ID, builtin) {
			i.Policies = append(i.Policies, ACLItem{p.Name, hex.EncodeToString(p.Hash)})
		}
	}
	tokens, meta, err := a.ACL().TokenList(o)
	if err = whole(meta, err); err != nil {
		return err
	}
	for _, t := range tokens {
		if !strings.HasPrefix(t.AccessorID, builtin) || len(t.Policies)+len(t.Roles) > 0 {
			i.Tokens = append(i.Tokens, tokenOf(t))
		}
	}
	roles, meta, err := a.ACL().RoleList(o)
	if err = whole(meta, err); err != nil {
		return err
	}
	for _, r := range roles {
		i.Roles = append(i.Roles, ACLItem{r.Name, hex.EncodeToString(r.Hash)})
	}
	methods, meta, err := a.ACL().AuthMethodList(o)
	if err = whole(meta, err); err != nil {
		return err
	}
	for _, m := range methods {
		m.CreateIndex, m.ModifyIndex = 0, 0
		i.AuthMethods = append(i.AuthMethods, ACLItem{m.Name, contentDigest(m)})
	}
	rules, meta, err := a.ACL().BindingRuleList("", o)
	if err = whole(meta, err); err != nil {
		return err
	}
	for _, r := range rules {
		r.CreateIndex, r.ModifyIndex = 0, 0
		i.BindingRules = append(i.BindingRules, ACLItem{r.ID, contentDigest(r)})
	}
	for _, list := range [][]ACLItem{i.Policies, i.Roles, i.AuthMethods, i.BindingRules} {
		slices.SortFunc(list, func(a, b ACLItem) int { return cmp.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(i.Tokens, func(a, b ACLToken) int { return cmp.Compare(a.Accessor, b.Accessor) })
	return nil
}

// contentDigest is of what consul/api has no hash of.
func contentDigest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "" // it came as JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func tokenOf(t *api.ACLTokenListEntry) ACLToken {
	out := ACLToken{Accessor: t.AccessorID, Description: t.Description, Local: t.Local, Digest: hex.EncodeToString(t.Hash), AuthMethod: t.AuthMethod}
	for _, p := range t.Policies {
		out.Policies = append(out.Policies, p.Name)
	}
	for _, r := range t.Roles {
		out.Roles = append(out.Roles, r.Name)
	}
	return out
}

// aclOff tells Consul's answer that there are no ACLs.
func aclOff(err error) bool {
	var refused api.StatusError
	return errors.As(err, &refused) && refused.Code == http.StatusUnauthorized
}

// ACLGrant is a token that shall exist once, with these policies. Its description is how it is found again.
type ACLGrant struct {
	Description string
	Policies    []ACLPolicy
}

// EnsureTokens makes each grant's policies and its token be there as wanted, and gives the secrets in the same order. What exists is used
// again: a second token of one description, which two callers at the same moment can make, goes. Needs acl:write.
func (c *Client) EnsureTokens(ctx context.Context, grants []ACLGrant) ([]Secret, error) {
	secrets := make([]Secret, len(grants))
	err := c.do(ctx, "making ACL tokens", func(ctx context.Context, a *api.Client) error {
		tokens, _, err := a.ACL().TokenList(options(ctx, Query{}))
		if err != nil {
			return err
		}
		for i, g := range grants {
			for _, p := range g.Policies {
				if err := ensurePolicy(ctx, a, p); err != nil {
					return err
				}
			}
			if secrets[i], err = ensureToken(ctx, a, g, tokens); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if slices.Contains(secrets, hidden) {
		return nil, fault.Wrap(fault.Denied, missing(rule("acl", "write", ""), "Consul hides the secrets of tokens"),
			"reading ACL tokens: the agent's Consul token lacks the rule %s", rule("acl", "write", ""))
	}
	return secrets, nil
}

func ensurePolicy(ctx context.Context, a *api.Client, want ACLPolicy) error {
	p := &api.ACLPolicy{Name: want.Name, Description: want.Description, Rules: want.Rules, Datacenters: want.Datacenters}
	found, _, err := a.ACL().PolicyReadByName(want.Name, options(ctx, Query{}))
	switch {
	case err != nil:
	case found == nil:
		_, _, err = a.ACL().PolicyCreate(p, writing(ctx))
	case found.Rules != p.Rules || found.Description != p.Description || !slices.Equal(found.Datacenters, p.Datacenters):
		p.ID = found.ID
		_, _, err = a.ACL().PolicyUpdate(p, writing(ctx))
	}
	return err //nolint:wrapcheck // the caller explains it
}

func ensureToken(ctx context.Context, a *api.Client, want ACLGrant, all []*api.ACLTokenListEntry) (Secret, error) {
	links := make([]*api.ACLTokenPolicyLink, 0, len(want.Policies))
	var names []string
	for _, p := range want.Policies {
		links, names = append(links, &api.ACLTokenPolicyLink{Name: p.Name}), append(names, p.Name)
	}
	slices.Sort(names)
	found := described(all, want.Description)
	if len(found) == 0 {
		made, _, err := a.ACL().TokenCreate(&api.ACLToken{Description: want.Description, Policies: links}, writing(ctx))
		if err != nil {
			return "", err //nolint:wrapcheck // the caller explains it
		}
		return Secret(made.SecretID), nil
	}
	for _, extra := range found[1:] {
		if _, err := a.ACL().TokenDelete(extra.AccessorID, writing(ctx)); err != nil {
			return "", err //nolint:wrapcheck // the caller explains it
		}
	}
	have := tokenOf(found[0])
	slices.Sort(have.Policies)
	if !slices.Equal(have.Policies, names) || len(have.Roles) > 0 {
		changed := &api.ACLToken{AccessorID: have.Accessor, Description: want.Description, Policies: links}
		if _, _, err := a.ACL().TokenUpdate(changed, writing(ctx)); err != nil {
			return "", err //nolint:wrapcheck // the caller explains it
		}
	}
	return Secret(found[0].SecretID), nil
}

// described are the global tokens of a description, the oldest first.
func described(all []*api.ACLTokenListEntry, description string) []*api.ACLTokenListEntry {
	var out []*api.ACLTokenListEntry
	for _, t := range all {
		if t.Description == description && !t.Local {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(x, y *api.ACLTokenListEntry) int {
		return cmp.Or(cmp.Compare(x.CreateIndex, y.CreateIndex), cmp.Compare(x.AccessorID, y.AccessorID))
	})
	return out
}

// DeleteGrants deletes the tokens and policies of grants, by their descriptions and names. What is not there is no error, nor are ACLs that
// are off. Needs acl:write.
func (c *Client) DeleteGrants(ctx context.Context, grants []ACLGrant) (deleted int, err error) {
	err = c.do(ctx, "deleting ACL tokens", func(ctx context.Context, a *api.Client) error {
		tokens, _, err := a.ACL().TokenList(options(ctx, Query{}))
		if aclOff(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, g := range grants {
			for _, t := range described(tokens, g.Description) {
				if _, err := a.ACL().TokenDelete(t.AccessorID, writing(ctx)); err != nil {
					return err
				}
				deleted++
			}
		}
		return deletePolicies(ctx, a, grants)
	})
	return deleted, err
}

func deletePolicies(ctx context.Context, a *api.Client, grants []ACLGrant) error {
	policies, _, err := a.ACL().PolicyList(options(ctx, Query{}))
	if err != nil {
		return err //nolint:wrapcheck // the caller explains it
	}
	gone := map[string]bool{}
	for _, g := range grants {
		for _, p := range g.Policies {
			gone[p.Name] = true
		}
	}
	for _, p := range policies {
		if !gone[p.Name] {
			continue
		}
		if _, err := a.ACL().PolicyDelete(p.ID, writing(ctx)); err != nil {
			return err //nolint:wrapcheck // the caller explains it
		}
	}
	return nil
}
