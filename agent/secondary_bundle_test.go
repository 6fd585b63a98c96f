package agent_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// Whatever a hostile server makes of it: a bundle counts when an agent of the primary, proven by the fleet key, made exactly this one.
func TestBundlesThatAreRefused(t *testing.T) {
	t.Parallel()
	draft := func(s *site) seal.Draft {
		return seal.Draft{
			Kind: seal.KindFederationBundle, UID: "f1", From: s.primary.Agent(), FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: 1, TTL: time.Hour,
		}
	}
	for name, spoil := range map[string]func(s *site){
		"wrong kind":       func(s *site) { d := draft(s); d.Kind = seal.KindPeeringToken; s.sealAs(d, s.primary, s.bundle) },
		"other federation": func(s *site) { d := draft(s); d.UID = "f2"; s.sealAs(d, s.primary, s.bundle) },
		"from elsewhere":   func(s *site) { d := draft(s); d.FromDatacenter = "dc3"; s.sealAs(d, s.primary, s.bundle) },
		"to somebody else": func(s *site) { d := draft(s); d.ToDatacenter = "dc3"; s.sealAs(d, s.primary, s.bundle) },
		"other generation": func(s *site) { s.item.Generation = 2 },
		"made by a stranger": func(s *site) {
			other := enrolledBy(t, s.fleet, "dc1")
			d := draft(s)
			d.From = other.Agent()
			s.sealAs(d, other, s.bundle)
		},
		"made by another fleet": func(s *site) {
			fleet, err := identity.NewFleetKey()
			need(t, err)
			other := enrolledBy(t, fleet, "dc1")
			d := draft(s)
			d.From, s.item.Senders = other.Agent(), trustedOf(other)
			s.sealAs(d, other, s.bundle)
		},
		"expired": func(s *site) { s.clock = s.clock.Add(2 * time.Hour) },
		"another than was named": func(s *site) {
			digest := s.item.GetSecretDigest()
			s.seal(s.bundle, 1)
			s.item.SecretDigest = digest
		},
		"for another datacenter of Consul": func(s *site) { b := s.bundle; b.Datacenter = "dc9"; s.seal(b, 1) },
		"of another primary":               func(s *site) { b := s.bundle; b.PrimaryDatacenter = "dc9"; s.seal(b, 1) },
		"of another uid inside":            func(s *site) { b := s.bundle; b.UID = "f2"; s.seal(b, 1) },
		"for the other mode": func(s *site) {
			b := s.bundle
			b.Mode, b.PrimaryGateways, b.RetryJoinWAN = "traditional", nil, []string{"10.0.0.1:8302"}
			s.seal(b, 1)
		},
		"with a key although keyless": func(s *site) { s.item.Keyless = true },
		"without a CA":                func(s *site) { b := s.bundle; b.CACertificates = nil; s.seal(b, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			spoil(s)
			h := s.is("refused", "SecretRefused")
			if h.GetWritten() != 0 || s.host.content.DropIn != nil || s.host.restarts != 0 {
				t.Errorf("something was done: %v", h)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "consul-token")); !os.IsNotExist(err) {
				t.Errorf("a token was kept: %v", err)
			}
		})
	}
}

func TestBundlesAreNotRolledBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.seal(s.bundle, 5)
	s.is("restarting", "ConsulNotThere")
	s.is("applied", "")
	s.seal(s.bundle, 4)
	s.start()
	if h := s.is("refused", "SecretRefused"); h.GetApplied() != 5 {
		t.Fatal(h)
	}
	s.seal(s.bundle, 6)
	s.is("applied", "")
	kept, err := os.ReadFile(filepath.Join(s.dir, "federation-bundle.sealed"))
	need(t, err)
	if strings.Contains(string(kept), "PRIVATE KEY") || strings.Contains(string(kept), "primaryDatacenter") {
		t.Error("the bundle is kept in clear")
	}
}

func TestJoinHasToBeAllowedOnTheHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := agent.NewCourier(s.client, s.id, agent.FederationConfig{}, s.host, s.dir, time.Now, nullLog(), agent.CourierHub{})
	need(t, err)
	s.courier = c
	s.is("refused", "JoinNotAllowed")
	c, err = agent.NewCourier(s.client, s.id, agent.FederationConfig{AllowJoin: []string{"dc1"}}, nil, s.dir, time.Now, nullLog(), agent.CourierHub{})
	need(t, err)
	s.courier = c
	s.is("refused", "NoConfigDir")
}

// A Consul that ran here before and does not answer now may have much to lose.
func TestSilentConsulIsNotTakenForAFreshOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.consul.set(func(c *simConsul) { c.connect = true })
	s.item.Join = false
	s.is("none", "")
	s.item.Join = true
	s.consul.set(func(c *simConsul) { c.down = true })
	s.is("none", "ConsulNotThere")
	if s.host.content.DropIn != nil {
		t.Fatal("it was written")
	}
	s.consul.set(func(c *simConsul) { c.down = false })
	s.is("refused", "LossNotAccepted") // its mesh CA
}

func TestGossipKeySteps(t *testing.T) {
	t.Parallel()
	row := func(nodes int, keys, primary map[consul.Secret]int) consul.KeyringRow {
		return consul.KeyringRow{Nodes: nodes, Keys: keys, PrimaryKeys: primary}
	}
	type keys = map[consul.Secret]int
	for name, tt := range map[string]struct {
		rows []consul.KeyringRow
		step string
		old  consul.Secret
	}{
		"nobody has it":              {[]consul.KeyringRow{row(3, keys{"a": 3}, keys{"a": 3})}, "install", ""},
		"some have it":               {[]consul.KeyringRow{row(3, keys{"a": 3, "b": 2}, keys{"a": 3})}, "install", ""},
		"all have it":                {[]consul.KeyringRow{row(3, keys{"a": 3, "b": 3}, keys{"a": 3})}, "use", ""},
		"some use it":                {[]consul.KeyringRow{row(3, keys{"a": 3, "b": 3}, keys{"a": 1, "b": 2})}, "use", ""},
		"all use it":                 {[]consul.KeyringRow{row(3, keys{"a": 3, "b": 3}, keys{"b": 3})}, "remove", "a"},
		"some still have the former": {[]consul.KeyringRow{row(3, keys{"a": 1, "b": 3}, keys{"b": 3})}, "remove", "a"},
		"done":                       {[]consul.KeyringRow{row(3, keys{"b": 3}, keys{"b": 3})}, "done", ""},
		"one pool is behind": {
			[]consul.KeyringRow{row(3, keys{"b": 3}, keys{"b": 3}), row(3, keys{"a": 3}, keys{"a": 3})}, "install", "",
		},
	} {
		if step, old := agent.NextKeyStep(tt.rows, "b"); step != tt.step || old != tt.old {
			t.Errorf("%s: %s %q", name, step, old)
		}
	}
}

// What is lost is told exactly, and what isthmus or Consul itself made is not among it.
func TestLossesOfARealConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc2")
	id := newSite(t).id
	courier := func(token string) *agent.Courier {
		t.Helper()
		made, err := agent.NewCourier(mustClient(t, c, token), id, agent.FederationConfig{}, nil, t.TempDir(), time.Now, nullLog(), agent.CourierHub{})
		need(t, err)
		return made
	}
	rules, err := agent.Policy(agent.PurposeSecondary)
	need(t, err)
	token := c.MintToken("agent", rules)
	before, err := courier(token).Losses(t.Context())
	need(t, err)

	put := func(path string, body map[string]any) {
		t.Helper()
		c.Do(http.MethodPut, path, body, nil)
	}
	policies := []any{map[string]any{"Name": "agent"}}
	put("/v1/acl/role", map[string]any{"Name": "ops", "Policies": policies})
	put("/v1/acl/token", map[string]any{"AccessorID": "11111111-1111-1111-1111-111111111111", "Description": "global"})
	put("/v1/acl/token", map[string]any{"AccessorID": "22222222-2222-2222-2222-222222222222", "Description": "local", "Local": true, "Policies": policies})
	put("/v1/acl/token", map[string]any{"AccessorID": "33333333-3333-3333-3333-333333333333", "Description": "isthmus federation f1: gateway of dc2"})
	for _, entry := range []map[string]any{
		{"Kind": "proxy-defaults", "Name": "global", "Meta": map[string]string{"isthmus-created": "true"}},
		{"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
		{"Kind": "service-intentions", "Name": "web", "Sources": []any{map[string]any{"Name": "api", "Action": "allow"}}},
		{"Kind": "exported-services", "Name": "default", "Services": []any{
			map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "ours"}, map[string]any{"Peer": "theirs"}}},
		}, "Meta": map[string]string{"isthmus-exports": `[{"s":["web"],"p":["ours"]}]`}},
	} {
		put("/v1/config", entry)
	}
	c.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "by-hand"}, nil)
	c.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "ours", "Meta": map[string]string{"managed-by": "isthmus", "isthmus-uid": "u1"}}, nil)

	after, err := courier(token).Losses(t.Context())
	need(t, err)
	got := map[string]string{}
	for _, i := range after {
		got[i.GetKind()+" "+i.GetName()] = i.GetMessage()
	}
	for _, i := range before {
		delete(got, i.GetKind()+" "+i.GetName())
	}
	for _, want := range []string{
		"role ops", "token 11111111-1111-1111-1111-111111111111", "token 22222222-2222-2222-2222-222222222222",
		"config-entry service-defaults/web", "intention web", "export default/web to theirs", "peering by-hand",
	} {
		if got[want] == "" {
			t.Errorf("%s is not told", want)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("told besides: %v", got)
	}
	again, err := courier(c.ManagementToken).Losses(t.Context())
	if err != nil || federation.LossDigest(again) != federation.LossDigest(after) {
		t.Errorf("another look: %v, %d and %d", err, len(again), len(after))
	}
	c.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "service-defaults", "Name": "web", "Protocol": "tcp"}, nil)
	changed, err := courier(token).Losses(t.Context())
	if err != nil || len(changed) != len(after) || federation.LossDigest(changed) == federation.LossDigest(after) {
		t.Errorf("another content: %v, %d and %d", err, len(changed), len(after))
	}
	kinds := map[string]int{}
	for _, i := range before {
		kinds[i.GetKind()]++
	}
	if kinds["mesh-ca"] != 1 || kinds["gossip-key"] != 1 || kinds["policy"] != 1 || kinds["token"] != 2 {
		t.Errorf("at first: %v", before)
	}
	// Who may not look says so, rather than that nothing is lost.
	weaker := strings.Replace(rules, `acl = "read"`, "", 1)
	if _, err := courier(c.MintToken("weaker", weaker)).Losses(t.Context()); fault.CodeOf(err) != fault.Denied || consul.ReasonOf(err) != consul.RuleMissing {
		t.Errorf("without acl:read: %v", err)
	}
}

// What a host trusts before it joins is taken back when the datacenter is not to join after all.
func TestTrustIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	own := newServerCA(t, s.clock, time.Hour, nil)
	config := agent.FederationConfig{AllowJoin: []string{"dc1"}, CACertFile: own.config().CACertFile}
	c, err := agent.NewCourier(s.client, s.id, config, s.host, s.dir, func() time.Time { return s.clock }, nullLog(), agent.CourierHub{})
	need(t, err)
	s.courier = c
	s.item.Join, s.item.TrustedCas = false, []*isthmusv1.TrustedCA{vouched(t, enrolledBy(t, s.fleet, "dc1"), "f1", "primary", s.ca.text(t))}
	s.is("applied", "")
	if n := strings.Count(string(s.host.content.CA), "BEGIN CERTIFICATE"); n != 2 || s.host.restarts != 0 {
		t.Fatalf("%d CAs, %d restarts", n, s.host.restarts)
	}
	s.item.TrustedCas = nil
	s.is("applied", "") // no word of it is no order
	s.item = &isthmusv1.FederationSecondary{Uid: "f1", Federation: "global", Primary: "dc1", Delete: true}
	s.is("removed", "")
	if s.host.content.CA != nil || s.host.content.DropIn != nil || s.host.restarts != 0 {
		t.Fatalf("it is there: %v", s.host.content)
	}
}
