package agent_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
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
		{"entries of everybody", func(ctx context.Context, c *consul.Client) error {
			_, err := c.ServiceEntry(ctx, consul.KindIntentions, "", "api")
			return cmp.Or(err, justRead(c.ServiceEntry(ctx, consul.KindResolver, "", "api")))
		}},
		{"the leader lock", func(ctx context.Context, c *consul.Client) error { return lockOnce(ctx, c) }},
	}
}

func justRead(_ consul.Entry, err error) error { return err }

// writing is the deed of writing one entry of a kind.
func writing(kind string, body map[string]any) deed {
	return deed{kind, func(ctx context.Context, c *consul.Client) error {
		e, err := c.ServiceEntry(ctx, kind, "", "policy-test")
		if err != nil {
			return err
		}
		maps.Copy(e.Body, body)
		e.SetMeta(map[string]string{"at": strconv.FormatUint(e.Index, 10)})
		return c.PutEntry(ctx, e)
	}}
}

// policyDeeds are what writing Intentions and TrafficPolicies takes.
func policyDeeds() map[string][]deed {
	return map[string][]deed{
		agent.PurposeIntentions: {writing(consul.KindIntentions, map[string]any{"Sources": []any{map[string]any{"Name": "web", "Action": "allow"}}})},
		agent.PurposeTraffic: {
			writing(consul.KindServiceDefaults, map[string]any{"Protocol": "http"}),
			writing(consul.KindResolver, map[string]any{"ConnectTimeout": "5s"}),
			writing(consul.KindSplitter, map[string]any{"Splits": []any{map[string]any{"Weight": 100}}}),
			writing(consul.KindRouter, map[string]any{}),
		},
	}
}

// weaker are the rules that are a little less than one: for reading only, or without intentions.
func weaker(line string) []string {
	var out []string
	if before, _, ok := strings.Cut(line, ` intentions = "write"`); ok {
		out = append(out, before+" }")
	}
	if strings.Contains(line, `policy = "write"`) {
		out = append(out, strings.Replace(line, `policy = "write"`, `policy = "read"`, 1))
	}
	if strings.HasSuffix(line, `= "write"`) {
		out = append(out, strings.TrimSuffix(line, `"write"`)+`"read"`)
	}
	return out
}

// The rules for intentions and traffic add to those for peerings what writing them takes, and nothing less would do.
func TestPoliciesForPoliciesAreMinimal(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	base, err := agent.Policy(agent.PurposePeering)
	need(t, err)
	for purpose, own := range policyDeeds() {
		rules, err := agent.Policy(purpose)
		need(t, err)
		for _, d := range own {
			if err := d.do(t.Context(), mustClient(t, c, c.MintToken("all-"+d.name, base+rules))); err != nil {
				t.Errorf("%s: %s: %v", purpose, d.name, err)
			}
		}
		lines := ruleLines(rules)
		if len(lines) != 1 {
			t.Fatalf("%s: %d rules", purpose, len(lines))
		}
		for i, less := range append(weaker(lines[0]), "") {
			client := mustClient(t, c, c.MintToken("less-"+purpose+strconv.Itoa(i), base+less))
			for _, d := range own {
				if err := d.do(t.Context(), client); consul.ReasonOf(err) != consul.RuleMissing || !strings.Contains(err.Error(), lines[0]) {
					t.Errorf("%s: %s with %q in place of %q: %v", purpose, d.name, less, lines[0], err)
				}
			}
		}
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
			policyDeeds()[agent.PurposeIntentions][0], policyDeeds()[agent.PurposeTraffic][1],
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
			for k, less := range append(weaker(missing), "") {
				rest := append(append([]string{less}, ruleLines(rules)[:i]...), ruleLines(rules)[i+1:]...)
				client := mustClient(t, c, c.MintToken(fmt.Sprintf("without-%s-%d-%d", purpose, i, k), strings.Join(rest, "\n")))
				resource, _, _ := strings.Cut(missing, " ")
				if !slices.ContainsFunc(own, func(d deed) bool {
					err := d.do(t.Context(), client)
					return consul.ReasonOf(err) == consul.RuleMissing && strings.Contains(err.Error(), resource)
				}) {
					t.Errorf("%s: everything works with %q in place of %s", purpose, less, missing)
				}
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

// A gateway registers itself and reads where to send what: with its rules it can, and without any one of them it cannot.
func TestGatewayPolicyIsMinimal(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	c.Register("web")
	rules, err := agent.Policy(agent.PurposeGateway)
	need(t, err)
	c.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "exported-services", "Name": "default", "Services": []any{
		map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "dc3"}}},
	}}, nil)
	registration := map[string]any{
		"Kind": "mesh-gateway", "ID": "mesh-gateway", "Name": "mesh-gateway", "Address": "127.0.0.1", "Port": 8443,
		"Meta": map[string]any{"consul-wan-federation": "1"},
	}
	works := func(name string, lines []string) bool {
		ask := withToken(t, c, c.MintToken(name, strings.Join(lines, "\n")))
		return ask(http.MethodPut, "/v1/agent/service/register", registration) &&
			ask(http.MethodGet, "/v1/agent/self", nil) && ask(http.MethodGet, "/v1/config/exported-services/default", nil) && ask(http.MethodGet, "/v1/peerings", nil) &&
			ask(http.MethodGet, "/v1/health/service/consul", nil) && ask(http.MethodGet, "/v1/health/service/web", nil) &&
			ask(http.MethodPut, "/v1/agent/service/deregister/mesh-gateway", nil)
	}
	lines := ruleLines(rules)
	if !works("all", lines) {
		t.Fatal("the rules are not enough")
	}
	for i, missing := range lines {
		if works("without-"+strconv.Itoa(i), append(append([]string{}, lines[:i]...), lines[i+1:]...)) {
			t.Errorf("everything works without %s", missing)
		}
	}
}

// withToken asks Consul as somebody else: true for an answer with something in it.
func withToken(t *testing.T, c *consultest.Cluster, token string) func(method, path string, in any) bool {
	t.Helper()
	ca, err := os.ReadFile(c.CAFile)
	need(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return func(method, path string, in any) bool {
		t.Helper()
		body, err := json.Marshal(in)
		need(t, err)
		r, err := http.NewRequestWithContext(t.Context(), method, c.HTTPAddr+path, bytes.NewReader(body))
		need(t, err)
		r.Header.Set("X-Consul-Token", token)
		answer, err := transport.RoundTrip(r)
		need(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		need(t, err)
		empty := strings.HasPrefix(path, "/v1/health/") && strings.TrimSpace(string(text)) == "[]"
		return answer.StatusCode == http.StatusOK && !empty
	}
}

// What a join would destroy is told whole or not at all: with the rules for a secondary it is whole, and without one that Consul filters a
// list by it is an error, not less.
func TestLossesAreWhole(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	for _, entry := range []map[string]any{
		{"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
		{"Kind": "service-intentions", "Name": "web", "Sources": []any{map[string]any{"Name": "api", "Action": "allow"}}},
		{"Kind": "proxy-defaults", "Name": "global", "Config": map[string]any{"protocol": "http"}},
		{"Kind": "mesh", "Meta": map[string]any{"by": "hand"}},
		{"Kind": "jwt-provider", "Name": "jwt", "Issuer": "x", "JSONWebKeySet": map[string]any{"Local": map[string]any{"JWKS": "e30="}}},
		{"Kind": "exported-services", "Name": "default", "Services": []any{map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "east"}}}}},
	} {
		c.Do(http.MethodPut, "/v1/config", entry, nil)
	}
	c.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "east"}, nil)
	fleet, err := identity.NewFleetKey()
	need(t, err)
	id := enrolledBy(t, fleet, "dc1")
	losses := func(token string) ([]*isthmusv1.LostItem, error) {
		courier, err := agent.NewCourier(mustClient(t, c, token), id, agent.FederationConfig{}, nil, t.TempDir(), time.Now, nullLog(), agent.CourierHub{})
		need(t, err)
		return courier.Losses(t.Context())
	}
	rules, err := agent.Policy(agent.PurposeSecondary)
	need(t, err)
	token := c.MintToken("secondary", rules)
	partial := map[string]string{}
	lines := ruleLines(rules)
	for i, line := range lines {
		if kind, _, _ := strings.Cut(line, " "); slices.Contains([]string{"service_prefix", "mesh", "peering"}, kind) {
			rest := append(append([]string{}, lines[:i]...), lines[i+1:]...)
			partial[line] = c.MintToken("partial-"+kind, strings.Join(rest, "\n"))
		}
	}
	all, err := losses(c.ManagementToken)
	need(t, err)
	own, err := losses(token)
	if err != nil || federation.LossDigest(own) != federation.LossDigest(all) {
		t.Errorf("with the rules for a secondary: %v, %v\nwith all rules: %v", err, own, all)
	}
	for line, token := range partial {
		if found, err := losses(token); fault.CodeOf(err) != fault.Denied {
			t.Errorf("without %s: %v, %v", line, err, found)
		}
	}
}
