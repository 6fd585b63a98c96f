package agent_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/test/consultest"
)

// deed is one thing that has to be allowed.
type deed struct {
	name string
	do   func(ctx context.Context, c *consul.Client) error
}

// deeds are what an agent does whatever its datacenter is.
func deeds() []deed {
	return []deed{
		{"who Consul is", func(ctx context.Context, c *consul.Client) error { _, err := c.Self(ctx); return err }},
		{"its servers and services", func(ctx context.Context, c *consul.Client) error { return c.CheckReads(ctx) }},
		{"peerings", func(ctx context.Context, c *consul.Client) error {
			_, err := c.GenerateToken(ctx, consul.TokenRequest{Name: "west"})
			return err
		}},
		{"config entries", func(ctx context.Context, c *consul.Client) error {
			for _, kind := range []string{consul.KindMesh, consul.KindProxyDefaults} {
				name := map[string]string{consul.KindMesh: consul.NameMesh, consul.KindProxyDefaults: consul.NameProxyDefaults}[kind]
				e, err := c.Entry(ctx, kind, name)
				if err == nil {
					e.SetMeta(map[string]string{"a": "b"})
					err = c.PutEntry(ctx, e)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"the leader lock", func(ctx context.Context, c *consul.Client) error { return lockOnce(ctx, c) }},
	}
}

// Every purpose's rules are enough for its work, and without any one of them some of it cannot be done, and the error says which.
func TestPoliciesAreMinimal(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	key := make([]byte, 32)
	_, err := rand.Read(key)
	need(t, err)
	gossip := consul.Secret(base64.StdEncoding.EncodeToString(key))
	grant := consul.ACLGrant{Description: "test", Policies: []consul.ACLPolicy{{Name: "test", Rules: `key "x" { policy = "read" }`, Datacenters: []string{"dc9"}}}}
	for purpose, own := range map[string][]deed{
		agent.PurposePrimary: append(deeds(),
			deed{"tokens", func(ctx context.Context, c *consul.Client) error {
				if _, err := c.EnsureTokens(ctx, []consul.ACLGrant{grant}); err != nil {
					return err
				}
				_, err := c.DeleteGrants(ctx, []consul.ACLGrant{grant})
				return err
			}},
			deed{"the gossip key", func(ctx context.Context, c *consul.Client) error { _, err := c.Keyring(ctx, true); return err }},
			deed{"forgetting servers", func(ctx context.Context, c *consul.Client) error { return denied(c.ForceLeaveWAN(ctx, "s1.dc9")) }},
			deed{"joining servers", func(ctx context.Context, c *consul.Client) error { return denied(c.JoinWAN(ctx, "127.0.0.1:1")) }},
		),
		agent.PurposeSecondary: append(deeds(),
			deed{"losses", func(ctx context.Context, c *consul.Client) error { _, err := c.ACLInventory(ctx); return err }},
			deed{"another gossip key", func(ctx context.Context, cl *consul.Client) error {
				return cmp.Or(cl.InstallKey(ctx, gossip), cl.UseKey(ctx, gossip), cl.UseKey(ctx, consul.Secret(c.GossipKey)), cl.RemoveKey(ctx, gossip))
			}},
		),
	} {
		rules, err := agent.Policy(purpose)
		need(t, err)
		for _, d := range own {
			if err := d.do(t.Context(), mustClient(t, c, c.MintToken("all-"+purpose+"-"+strings.ReplaceAll(d.name, " ", "-"), rules))); err != nil {
				t.Errorf("%s: %s: %v", purpose, d.name, err)
			}
		}
		for i, missing := range ruleLines(rules) {
			rest := append(append([]string{}, ruleLines(rules)[:i]...), ruleLines(rules)[i+1:]...)
			client := mustClient(t, c, c.MintToken("without-"+purpose+"-"+strconv.Itoa(i), strings.Join(rest, "\n")))
			resource, _, _ := strings.Cut(missing, " ")
			if !slices.ContainsFunc(own, func(d deed) bool {
				err := d.do(t.Context(), client)
				return consul.ReasonOf(err) == consul.RuleMissing && strings.Contains(err.Error(), resource)
			}) {
				t.Errorf("%s: everything works without %s", purpose, missing)
			}
		}
	}
	if _, err := agent.Policy("world-peace"); err == nil {
		t.Fatal("rules for an unknown purpose")
	}
}

// ruleLines are the rules of a policy without its comments.
func ruleLines(rules string) []string {
	var lines []string
	for line := range strings.Lines(rules) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// denied is an error of ACLs; others are what the call is about.
func denied(err error) error {
	if consul.ReasonOf(err) == consul.RuleMissing {
		return err
	}
	return nil
}

// lockOnce wins the leader lock and gives it back.
func lockOnce(ctx context.Context, c *consul.Client) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	c.Campaign(ctx, consul.Election{
		Key: "isthmus/leader", Holder: "test", Remember: func(string) error { return nil }, Now: time.Now,
		Leading: func(leads bool) {
			if leads {
				stop()
			}
		},
		Failed: func(err error) { failed = err; stop() },
	})
	return failed
}
