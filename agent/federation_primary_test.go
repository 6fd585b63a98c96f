package agent_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// primary is the leading agent of dc1 with a real Consul, and what it stored.
type primary struct {
	t      *testing.T
	fleet  *identity.FleetKey
	id     *identity.Identity
	agent  *agent.Primary
	consul *consultest.Cluster
	ca     *serverCA
	clock  time.Time
	item   *isthmusv1.FederationPrimary
	stored []*isthmusv1.StoreBundleRequest
	// refuse answers the next StoreBundle.
	refuse error
	log    bytes.Buffer
}

// trust lets a Consul trust a further CA: all that newServerCA makes have the same name.
func trust(t *testing.T, c *consultest.Cluster, ca *serverCA) {
	t.Helper()
	own, err := os.ReadFile(c.CAFile)
	need(t, err)
	need(t, os.WriteFile(c.CAFile, []byte(string(own)+ca.text(t)), 0o600))
	c.Do(http.MethodPut, "/v1/agent/reload", nil, nil)
}

func newPrimary(t *testing.T, c *consultest.Cluster, token string) *primary {
	t.Helper()
	fleet, err := identity.NewFleetKey()
	need(t, err)
	p := &primary{t: t, fleet: fleet, consul: c, clock: time.Now(), item: &isthmusv1.FederationPrimary{
		Uid: "f1", Federation: "global", Mode: "mesh-gateway", RetryIntervalWan: "2s",
	}}
	p.id = p.enrolled(c.Datacenter)
	p.ca = newServerCA(t, p.clock, 5*365*24*time.Hour, nil)
	trust(t, c, p.ca)
	client, err := consul.New(settings(t, c.Env(token)...), hclog.NewNullLogger())
	need(t, err)
	log := hclog.New(&hclog.LoggerOptions{Output: &p.log, Level: hclog.Trace})
	p.agent, err = agent.NewPrimary(client, p.id, p.ca.config(), func() time.Time { return p.clock }, log, p.store)
	need(t, err)
	t.Cleanup(func() {
		for _, secret := range []string{c.GossipKey, c.ManagementToken, token, "PRIVATE KEY"} {
			if secret != "" && strings.Contains(p.log.String(), secret) {
				t.Error("a secret is in the log")
			}
		}
	})
	return p
}

// asDocumented is newPrimary with the rules that the agent's documentation gives.
func asDocumented(t *testing.T, c *consultest.Cluster) *primary {
	t.Helper()
	rules, err := agent.Policy(agent.PurposePrimary)
	need(t, err)
	return newPrimary(t, c, c.MintToken("primary", rules))
}

// enrolled is an agent of the fleet.
func (p *primary) enrolled(datacenter string) *identity.Identity {
	p.t.Helper()
	return enrolledBy(p.t, p.fleet, datacenter)
}

func enrolledBy(t *testing.T, fleet *identity.FleetKey, datacenter string) *identity.Identity {
	t.Helper()
	token, err := identity.MintJoinToken(fleet, identity.MintOptions{Datacenter: datacenter, Address: "127.0.0.1:1", CAFingerprint: "SHA256:" + strings.Repeat("A", 43)}, time.Now())
	need(t, err)
	id, err := identity.NewIdentity(token, time.Now())
	need(t, err)
	return id
}

// store takes a bundle as the server does, and shows it in the item.
func (p *primary) store(r *isthmusv1.StoreBundleRequest) (string, error) {
	if err := p.refuse; err != nil {
		p.refuse = nil
		return "", err
	}
	p.stored = append(p.stored, r)
	if r.GetRecipient() != "" {
		return seal.Digest(r.GetPayload()), nil
	}
	m := p.member(r.GetDatacenter())
	if m.GetBundle().GetGeneration() != r.GetPreviousGeneration() {
		return "", fault.New(fault.Conflict, "another bundle was stored")
	}
	m.Bundle = &isthmusv1.BundleEntry{
		Generation: r.GetPayload().GetGeneration(), SecretDigest: seal.Digest(r.GetPayload()), InputDigest: r.GetInputDigest(),
		Recipients: r.GetPayload().GetRecipients(), MakeTime: timestamppb.New(p.clock),
		Certificates: r.GetCertificates(), CertificateExpireTime: r.GetCertificateExpireTime(),
	}
	return m.GetBundle().GetSecretDigest(), nil
}

func (p *primary) member(datacenter string) *isthmusv1.BundleMember {
	p.t.Helper()
	for _, m := range p.item.GetMembers() {
		if m.GetDatacenter() == datacenter {
			return m
		}
	}
	p.t.Fatalf("no member %s", datacenter)
	return nil
}

// add makes datacenters members, each with agents.
func (p *primary) add(datacenter string, agents ...*identity.Identity) *isthmusv1.BundleMember {
	m := &isthmusv1.BundleMember{
		Datacenter: datacenter, ConsulDatacenter: datacenter, Ready: true, PrimaryGateways: []string{"10.0.0.20:8443"}, Recipients: trustedOf(agents...),
	}
	p.item.Members = append(p.item.Members, m)
	return m
}

func trustedOf(agents ...*identity.Identity) []*isthmusv1.TrustedAgent {
	var out []*isthmusv1.TrustedAgent
	for _, id := range agents {
		out = append(out, &isthmusv1.TrustedAgent{Attestation: id.Attestation})
	}
	return out
}

// pass looks once, and gives what was reported.
func (p *primary) pass() []*isthmusv1.ObservedBundle {
	p.t.Helper()
	state := &isthmusv1.DesiredState{Datacenter: "dc1", ConsulDatacenter: "dc1", Items: []*isthmusv1.DesiredItem{
		{Id: "federation-primary/f1", Type: "federation-primary", FederationPrimary: p.item},
	}}
	observed, err := p.agent.Pass(p.t.Context(), state)
	need(p.t, err)
	return observed
}

// later looks again when everything is looked at anew.
func (p *primary) later(d time.Duration) []*isthmusv1.ObservedBundle {
	p.t.Helper()
	p.clock = p.clock.Add(d)
	return p.pass()
}

// makes passes, and wants one more bundle of a datacenter without any error.
func (p *primary) makes(what, datacenter string) *isthmusv1.StoreBundleRequest {
	p.t.Helper()
	before := len(p.stored)
	for _, o := range p.later(20 * time.Second) {
		if o.GetError() != "" {
			p.t.Fatalf("%s: %s: %s", what, o.GetErrorReason(), o.GetError())
		}
	}
	if len(p.stored) != before+1 || p.stored[before].GetDatacenter() != datacenter {
		p.t.Fatalf("%s: %d bundles were made, want one for %s", what, len(p.stored)-before, datacenter)
	}
	return p.stored[before]
}

// rests passes twice, and wants no bundle and no error.
func (p *primary) rests(what string) {
	p.t.Helper()
	before := len(p.stored)
	for range 2 {
		for _, o := range p.later(20 * time.Second) {
			if o.GetError() != "" {
				p.t.Fatalf("%s: %s: %s", what, o.GetErrorReason(), o.GetError())
			}
		}
	}
	if len(p.stored) != before {
		p.t.Fatalf("%s: %d bundles were made for nothing", what, len(p.stored)-before)
	}
}

// refuses passes, and wants one error with a reason that says a word.
func (p *primary) refuses(reason, word string) {
	p.t.Helper()
	before := len(p.stored)
	observed := p.later(20 * time.Second)
	if len(p.stored) != before {
		p.t.Fatalf("a bundle was made, want %s", reason)
	}
	for _, o := range observed {
		if o.GetErrorReason() == reason && strings.Contains(o.GetError(), word) {
			return
		}
	}
	p.t.Fatalf("want %s with %q, got %v", reason, word, observed)
}

// open opens a bundle as an agent of that datacenter does.
func (p *primary) open(r *isthmusv1.StoreBundleRequest, opener *age.X25519Identity) *federation.Bundle {
	p.t.Helper()
	payload := r.GetPayload()
	text, err := seal.Open(payload, seal.Expect{
		Kind: seal.KindFederationBundle, UID: "f1", FromDatacenter: "dc1", ToDatacenter: r.GetDatacenter(), Generation: payload.GetGeneration(),
	}, trustedOf(p.id), p.fleet.Public(), opener, p.clock)
	need(p.t, err)
	b, err := federation.DecodeBundle(text)
	need(p.t, err)
	return b
}

// tokens are the descriptions of isthmus's tokens in Consul.
func (p *primary) tokens() []string {
	p.t.Helper()
	var list []struct{ Description string }
	p.consul.Do(http.MethodGet, "/v1/acl/tokens", nil, &list)
	var out []string
	for _, token := range list {
		if strings.HasPrefix(token.Description, "isthmus federation ") {
			out = append(out, token.Description)
		}
	}
	slices.Sort(out)
	return out
}

// selfOf is what Consul says of a token; empty when it knows it not.
func (p *primary) policiesOf(secret string) (names []string) {
	p.t.Helper()
	c, err := consul.New(settings(p.t, p.consul.Env(secret)...), hclog.NewNullLogger())
	need(p.t, err)
	inventory, err := c.ACLInventory(p.t.Context())
	if consul.ReasonOf(err) == consul.ACLUnknown {
		return nil
	}
	if err != nil {
		return []string{"known"}
	}
	for _, policy := range inventory.Policies {
		names = append(names, policy.Name)
	}
	return names
}

func TestBundleIsMadeForAMember(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	first, second, stranger := p.enrolled("dc2"), p.enrolled("dc2"), p.enrolled("dc3")
	m := p.add("dc2", first, second)
	// An agent of another datacenter, and one of another fleet, are named by the server and get nothing.
	foreign, err := identity.NewFleetKey()
	need(t, err)
	m.Recipients = append(m.Recipients, trustedOf(stranger, enrolledBy(t, foreign, "dc2"))...)

	r := p.makes("the first bundle", "dc2")
	if got := r.GetPayload().GetRecipients(); len(got) != 2 || r.GetPayload().GetGeneration() != 1 {
		t.Fatalf("sealed to %v, generation %d", got, r.GetPayload().GetGeneration())
	}
	b := p.open(r, first.Opener())
	if other := p.open(r, second.Opener()); other.Tokens != b.Tokens {
		t.Fatal("two agents of one datacenter were given different bundles")
	}
	want := federation.Bundle{
		Federation: "global", UID: "f1", Mode: "mesh-gateway", PrimaryDatacenter: "dc1", Datacenter: "dc2", Domain: "consul",
		CACertificates: []string{p.ca.text(t)}, GossipKey: c.GossipKey, ACL: true, DefaultPolicy: "deny", Tokens: b.Tokens,
		PrimaryGateways: []string{"10.0.0.20:8443"}, RetryIntervalWAN: "2s", CAKey: b.CAKey,
	}
	if got, expected := encoded(t, b), encoded(t, &want); got != expected {
		t.Fatal("the bundle is another than expected") // it holds secrets
	}
	if key, _ := pem.Decode([]byte(b.CAKey)); key == nil {
		t.Fatal("there is no CA key in it")
	} else if parsed, err := x509.ParseECPrivateKey(key.Bytes); err != nil || !parsed.Equal(p.ca.key) {
		t.Fatal("it is another CA key")
	}
	if !slices.Contains(p.policiesOf(b.Tokens.Replication), "isthmus-global-dc2-replication") {
		t.Fatal("the replication token cannot read ACLs in the primary")
	}
	for _, secret := range []string{b.Tokens.Agent, b.Tokens.Isthmus, b.Tokens.Gateway} {
		if !slices.Equal(p.policiesOf(secret), []string{"known"}) {
			t.Fatal("a token of the secondary is unknown, or may read the primary's ACLs")
		}
	}
	p.rests("nothing changed")

	// Whatever goes into it makes another one; and it alone.
	m.PrimaryGateways = []string{"10.0.0.20:8443", "10.0.0.21:8443"}
	if got := p.open(p.makes("another gateway", "dc2"), first.Opener()); len(got.PrimaryGateways) != 2 || got.Tokens != b.Tokens {
		t.Fatalf("gateways %v, or other tokens", got.PrimaryGateways)
	}
	third := p.enrolled("dc2")
	m.Recipients = trustedOf(first, second, third)
	p.open(p.makes("another recipient", "dc2"), third.Opener())
	m.Recipients = trustedOf(third, second, first)
	p.rests("the same recipients in another order")
	key := p.rotate(c)
	if got := p.open(p.makes("another gossip key", "dc2"), first.Opener()); got.GossipKey != key {
		t.Fatal("it is not the new gossip key")
	}
	other := newServerCA(t, p.clock, 24*365*time.Hour, nil)
	p.item.TrustedCas = []*isthmusv1.TrustedCA{vouched(t, first, "f1", "secondary", other.text(t))}
	if got := p.open(p.makes("another CA to trust", "dc2"), first.Opener()); len(got.CACertificates) != 2 || got.CACertificates[0] != p.ca.text(t) {
		t.Fatal("the CA that signs is not the first of two")
	}
	p.item.TrustedCas = nil
	p.makes("no other CA to trust", "dc2")
	p.agent.Allow(other.config())
	if got := p.open(p.makes("another CA", "dc2"), first.Opener()); !slices.Equal(got.CACertificates, []string{other.text(t)}) {
		t.Fatal("it is not the new CA")
	}
	p.add("dc3", stranger)
	d := p.open(p.makes("another member", "dc3"), stranger.Opener())
	if got := []string{b.Tokens.Replication, b.Tokens.Agent, b.Tokens.Isthmus, b.Tokens.Gateway, d.Tokens.Replication, d.Tokens.Agent, d.Tokens.Isthmus, d.Tokens.Gateway}; len(slices.Compact(slices.Sorted(slices.Values(got)))) != 8 {
		t.Fatal("members share tokens")
	}
	if got := p.tokens(); len(got) != 8 {
		t.Fatalf("tokens: %v", got)
	}
	// It is sealed anew before it cannot be opened any more.
	p.clock = p.clock.Add(19 * 24 * time.Hour)
	p.rests("19 days later")
	before := len(p.stored)
	if p.later(36 * time.Hour); len(p.stored) != before+2 {
		t.Fatalf("%d of two bundles were sealed anew after two thirds of their time", len(p.stored)-before)
	}
}

// rotate changes the gossip key as operators do.
func (p *primary) rotate(c *consultest.Cluster) string {
	p.t.Helper()
	raw := make([]byte, 32)
	_, err := rand.Read(raw)
	need(p.t, err)
	key := base64.StdEncoding.EncodeToString(raw)
	client, err := consul.New(settings(p.t, c.Env(c.ManagementToken)...), hclog.NewNullLogger())
	need(p.t, err)
	ctx := p.t.Context()
	need(p.t, client.InstallKey(ctx, consul.Secret(key)))
	need(p.t, client.UseKey(ctx, consul.Secret(key)))
	need(p.t, client.RemoveKey(ctx, consul.Secret(c.GossipKey)))
	rows, err := client.Keyring(ctx, true)
	need(p.t, err)
	for _, row := range rows {
		if got, ok := row.Primary(); !ok || got.Reveal() != key || !row.Complete(got) || len(row.All()) != 1 {
			p.t.Fatal("the key was not changed")
		}
		if shown := fmt.Sprintf("%v %+v", row, row); strings.Contains(shown, key) {
			p.t.Fatal("a keyring shows its keys")
		}
	}
	return key
}

func encoded(t *testing.T, b *federation.Bundle) string {
	t.Helper()
	text, err := b.Encode()
	need(t, err)
	return string(text)
}

func TestTokensAreMadeOnceAndRevoked(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	two, three := p.enrolled("dc2"), p.enrolled("dc3")
	m := p.add("dc2", two)
	b := p.open(p.makes("a bundle", "dc2"), two.Opener())
	p.add("dc3", three)
	d := p.open(p.makes("another member", "dc3"), three.Opener())

	// Another leading agent finds the same tokens, and makes its own bundle once.
	next := newPrimary(t, c, c.ManagementToken)
	next.fleet, next.ca = p.fleet, p.ca
	next.id = next.enrolled("dc1")
	client, err := consul.New(settings(t, c.Env(c.ManagementToken)...), hclog.NewNullLogger())
	need(t, err)
	next.agent, err = agent.NewPrimary(client, next.id, p.ca.config(), func() time.Time { return next.clock }, hclog.NewNullLogger(), next.store)
	need(t, err)
	next.item.Members = []*isthmusv1.BundleMember{m}
	if got := next.open(next.makes("another leader", "dc2"), two.Opener()); got.Tokens != b.Tokens {
		t.Fatal("another leader made other tokens")
	}
	next.rests("the same leader")

	// A token that somebody deleted is made again; a second one of the same name goes.
	var list []struct{ AccessorID, Description string }
	c.Do(http.MethodGet, "/v1/acl/tokens", nil, &list)
	for _, token := range list {
		if strings.Contains(token.Description, "replication of dc2") {
			c.Do(http.MethodDelete, "/v1/acl/token/"+token.AccessorID, nil, nil)
		}
	}
	c.Do(http.MethodPut, "/v1/acl/token", map[string]any{"Description": "isthmus federation f1: gateway of dc2"}, nil)
	p.item.Members = p.item.GetMembers()[:1]
	m.Bundle.InputDigest = next.stored[0].GetInputDigest()
	again := p.open(p.makes("a token was deleted", "dc2"), two.Opener())
	if again.Tokens.Replication == b.Tokens.Replication || again.Tokens.Gateway != b.Tokens.Gateway || len(p.tokens()) != 8 {
		t.Fatalf("tokens: %v", p.tokens())
	}

	// It leaves: its tokens are dead, others' are not.
	m.Revoke, m.Ready = true, false
	if got := p.pass(); len(got) != 1 || !got[0].GetRevoked() || got[0].GetError() != "" {
		t.Fatalf("revoked: %v", got)
	}
	for _, secret := range []string{again.Tokens.Replication, again.Tokens.Agent, again.Tokens.Isthmus, again.Tokens.Gateway} {
		if p.policiesOf(secret) != nil {
			t.Fatal("a revoked token is alive")
		}
	}
	policies := p.policiesOf(d.Tokens.Replication)
	if slices.ContainsFunc(policies, func(name string) bool { return strings.Contains(name, "dc2") }) || len(policies) != 6 { // dc3's five, and the agent's own
		t.Fatalf("policies left: %v", policies)
	}
	if got := p.later(time.Minute); !got[0].GetRevoked() || got[0].GetError() != "" {
		t.Fatalf("revoked again: %v", got)
	}
}

func TestBundleWithoutACLsAndGossipEncryption(t *testing.T) {
	t.Parallel()
	c := consultest.StartWith(t, plainConsul())
	p := newPrimary(t, c, "")
	two := p.enrolled("dc2")
	p.add("dc2", two)
	b := p.open(p.makes("a bundle", "dc2"), two.Opener())
	if b.ACL || b.Tokens != (federation.Tokens{}) || b.GossipKey != "" || b.DefaultPolicy != "" {
		t.Fatal("there are tokens, or a gossip key, where there are none")
	}
	inventory, err := mustClient(t, c, "").ACLInventory(t.Context())
	if err != nil || len(inventory.Policies)+len(inventory.Tokens) > 0 {
		t.Fatalf("ACLs are off: %v %v", inventory, err)
	}
	p.item.Members[0].Revoke = true
	if got := p.pass(); !got[0].GetRevoked() || got[0].GetError() != "" {
		t.Fatalf("revoked: %v", got)
	}
}

func mustClient(t *testing.T, c *consultest.Cluster, token string) *consul.Client {
	t.Helper()
	client, err := consul.New(settings(t, c.Env(token)...), hclog.NewNullLogger())
	need(t, err)
	return client
}

func TestWhatKeepsAPrimaryFromMakingABundle(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	two := p.enrolled("dc2")
	m := p.add("dc2", two)
	good := p.ca.config()
	missing := filepath.Join(t.TempDir(), "none.pem")
	other := newServerCA(t, p.clock, time.Hour*1000, nil)
	over := newServerCA(t, p.clock.Add(-2000*time.Hour), 1000*time.Hour, nil)
	leaf := newServerCA(t, p.clock, time.Hour*1000, func(c *x509.Certificate) { c.IsCA = false })
	noise := filepath.Join(t.TempDir(), "noise.pem")
	need(t, os.WriteFile(noise, []byte("noise"), 0o600))
	for name, test := range map[string]struct {
		cert, key string
		word      string
	}{
		"no certificate named": {"", good.CAKeyFile, "--consul-ca-cert"},
		"no key named":         {good.CACertFile, "", "--consul-ca-key"},
		"no certificate there": {missing, good.CAKeyFile, "is not there"},
		"no key there":         {good.CACertFile, missing, "is not there"},
		"a directory":          {filepath.Dir(missing), good.CAKeyFile, "cannot be read"},
		"another CA's key":     {good.CACertFile, other.keyAt, "does not belong"},
		"an expired CA":        {over.cert, over.keyAt, "expired"},
		"not a CA":             {leaf.cert, leaf.keyAt, "is not a CA"},
		"no PEM":               {noise, good.CAKeyFile, "PEM"},
		"no key in PEM":        {good.CACertFile, good.CACertFile, "no private key"},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			p.agent.Allow(agent.FederationConfig{CACertFile: test.cert, CAKeyFile: test.key})
			p.later(time.Minute) // longer than any pause after the failures before
			p.refuses("CAUnreadable", test.word)
		})
	}
	p.t = t
	strange := newServerCA(t, p.clock, time.Hour*1000, func(c *x509.Certificate) { c.Subject.CommonName = "CA of others" })
	p.agent.Allow(strange.config())
	p.later(time.Minute)
	p.refuses("CAUnreadable", "CA of others is not one that this datacenter's server dc1-server trusts")
	p.agent.Allow(good)
	m.PrimaryGateways = nil
	p.refuses("NoWayToPrimary", "gateway")
	m.PrimaryGateways = []string{"10.0.0.20:8443"}
	for _, name := range []string{"", "dc1", "dc2.consul,server.dc1", "*", "DC2"} {
		m.ConsulDatacenter = name
		p.refuses("WrongConsulName", "")
	}
	m.ConsulDatacenter = "dc3"
	p.add("dc3", p.enrolled("dc3"))
	p.refuses("WrongConsulName", "several")
	p.item.Members, m.ConsulDatacenter = p.item.GetMembers()[:1], "dc2"
	m.Recipients = nil
	p.refuses("NoTrustedRecipient", "trusted")
	m.Recipients = trustedOf(two)
	// Somebody else stored one: the next state tells; nothing failed.
	p.refuse = fault.New(fault.Conflict, "another bundle was stored")
	if got := p.later(time.Minute); got[0].GetError() != "" || len(p.stored) != 0 {
		t.Fatalf("a lost race: %v", got)
	}
	p.refuse = fault.New(fault.Unavailable, "the server does not answer")
	p.refuses("ServerUnreachable", "")
	p.makes("all is well", "dc2")
	m.Ready = false
	m.PrimaryGateways = []string{"10.0.0.99:8443"}
	p.rests("not to be made now")
}

// The documented rules are enough for everything that a primary's agent does here, and none of them is too much: without any one, what it
// reports names it.
func TestPrimaryPolicyIsMinimal(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	rules, err := agent.Policy(agent.PurposePrimary)
	need(t, err)
	for i, test := range []struct{ rule, instead, missing string }{
		{`acl = "write"`, "", `acl = "`},
		{`acl = "write"`, `acl = "read"`, `acl = "write"`},
		{`keyring = "read"`, "", `keyring = "read"`},
	} {
		token := c.MintToken(fmt.Sprintf("without-%d", i), strings.Replace(rules, "\n"+test.rule, "\n"+test.instead, 1))
		p := newPrimary(t, c, token)
		two := p.enrolled("dc2")
		p.add("dc2", two)
		p.refuses("AclRuleMissing", test.missing)
	}
}

func TestItemsOfNoPrimary(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	if got, err := p.agent.Pass(t.Context(), &isthmusv1.DesiredState{}); err != nil || got != nil {
		t.Fatalf("no item: %v %v", got, err)
	}
}

// plainConsul is a Consul without ACLs and gossip encryption.
func plainConsul() consulrun.Options {
	return consulrun.Options{Datacenter: "dc1", Config: map[string]any{
		"encrypt": "", "acl": map[string]any{"enabled": false},
	}}
}
