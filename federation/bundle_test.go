package federation_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func whole() *federation.Bundle {
	return &federation.Bundle{
		Federation: "global", UID: "u1", Mode: resource.ModeMeshGateway, PrimaryDatacenter: "dc1", Datacenter: "dc2", Domain: "consul",
		CACertificates: []string{"ca\n"}, CAKey: "key", GossipKey: "gossip", ACL: true, DefaultPolicy: "deny",
		Tokens:          federation.Tokens{Replication: "r", Agent: "a", Isthmus: "i", Gateway: "g"},
		PrimaryGateways: []string{"192.0.2.1:8443"}, RetryIntervalWAN: "2s",
	}
}

func TestBundleChecks(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*federation.Bundle){
		"whose":         func(b *federation.Bundle) { b.UID = "" },
		"the primary":   func(b *federation.Bundle) { b.Datacenter = "dc1" },
		"mode":          func(b *federation.Bundle) { b.Mode = "other" },
		"CA":            func(b *federation.Bundle) { b.CACertificates = nil },
		"key and certs": func(b *federation.Bundle) { b.Certificates = map[string]string{"a": "c"} },
		"gateways":      func(b *federation.Bundle) { b.PrimaryGateways = nil },
		"servers":       func(b *federation.Bundle) { b.Mode, b.PrimaryGateways = resource.ModeTraditional, nil },
		"tokens":        func(b *federation.Bundle) { b.Tokens.Replication = "" },
		"address":       func(b *federation.Bundle) { b.PrimaryGateways = []string{"192.0.2.1"} },
		"no port":       func(b *federation.Bundle) { b.PrimaryGateways = []string{"192.0.2.1:x"} },
		"cloud join":    func(b *federation.Bundle) { b.PrimaryGateways = []string{"provider=k8s kubeconfig=/tmp/x:1"} },
		"template":      func(b *federation.Bundle) { b.PrimaryGateways = []string{"{{ GetPrivateIP }}:1"} },
		"zone":          func(b *federation.Bundle) { b.PrimaryGateways = []string{"[fe80::1%{{ GetPrivateIP }}]:1"} },
		"interval":      func(b *federation.Bundle) { b.RetryIntervalWAN = "soon" },
	} {
		b := whole()
		edit(b)
		if _, err := b.Encode(); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := whole().Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := federation.DecodeBundle(text)
	if diff := cmp.Diff(whole(), back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := federation.DecodeBundle([]byte(strings.Replace(string(text), `"mode"`, `"other":"secret","mode"`, 1))); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("an unknown field: %v", err)
	}
}

func FuzzDecodeBundle(f *testing.F) {
	text, err := whole().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"federation":"a","uid":"b","mode":"traditional","retryJoinWan":["[::1]:1"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := federation.DecodeBundle(text)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		same, err := federation.DecodeBundle(again)
		if diff := cmp.Diff(b, same); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		if _, err := b.SecondaryDropIn(federation.TLSFiles{CA: "ca"}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.SecretData(); err != nil {
			t.Fatal(err)
		}
	})
}

// The Secret is what consul-k8s writes, byte for byte.
func TestSecretData(t *testing.T) {
	t.Parallel()
	data, err := whole().SecretData()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"caCert": "ca\n", "caKey": "key", "gossipEncryptionKey": "gossip", "replicationToken": "r",
		"serverConfigJSON": `{"primary_datacenter":"dc1","primary_gateways":["192.0.2.1:8443"]}`,
	}
	got := map[string]string{}
	for key, value := range data {
		got[key] = string(value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b := whole()
	b.CAKey, b.GossipKey, b.Tokens.Replication = "", "", ""
	if data, err = b.SecretData(); err != nil || len(data) != 2 {
		t.Errorf("keys that there is nothing for: %v, %v", data, err)
	}
}

func TestDropIns(t *testing.T) {
	t.Parallel()
	if _, err := federation.PrimaryDropIn("dc1", resource.ModeMeshGateway, "-2s", federation.TLSFiles{}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an interval that Consul would not start with: %v", err)
	}
	files := federation.TLSFiles{CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"}
	traditional := whole()
	traditional.Mode, traditional.PrimaryGateways, traditional.RetryJoinWAN = resource.ModeTraditional, nil, []string{"192.0.2.1:8302"}
	plain := whole()
	plain.ACL, plain.GossipKey = false, ""
	must := func(text []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const withTLS = `,"tls":{"defaults":{"ca_file":"ca.pem","cert_file":"cert.pem","key_file":"key.pem","verify_incoming":true,"verify_outgoing":true},"internal_rpc":{"verify_server_hostname":true}}}`
	const withACL = `,"acl":{"enabled":true,"default_policy":"deny","enable_token_replication":true,"tokens":{"agent":"a","replication":"r"}}`
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"through gateways", must(whole().SecondaryDropIn(files)), `{"primary_datacenter":"dc1","primary_gateways":["192.0.2.1:8443"],"retry_interval_wan":"2s","encrypt":"gossip","connect":{"enabled":true,"enable_mesh_gateway_wan_federation":true}` + withACL + withTLS},
		{"traditional", must(traditional.SecondaryDropIn(files)), `{"primary_datacenter":"dc1","retry_join_wan":["192.0.2.1:8302"],"retry_interval_wan":"2s","encrypt":"gossip","connect":{"enabled":true}` + withACL + withTLS},
		{"without ACLs", must(plain.SecondaryDropIn(files)), `{"primary_datacenter":"dc1","primary_gateways":["192.0.2.1:8443"],"retry_interval_wan":"2s","connect":{"enabled":true,"enable_mesh_gateway_wan_federation":true}` + withTLS},
		{"primary", must(federation.PrimaryDropIn("dc1", resource.ModeMeshGateway, "2s", federation.TLSFiles{})), `{"primary_datacenter":"dc1","retry_interval_wan":"2s","connect":{"enabled":true,"enable_mesh_gateway_wan_federation":true}}`},
		{"trust", must(federation.TrustDropIn("ca.pem")), `{"tls":{"defaults":{"ca_file":"ca.pem"}}}`},
		{"left", must(federation.LeftDropIn()), `{"ports":{"serf_wan":-1}}`},
	} {
		var want, got any
		if json.Unmarshal([]byte(tt.want), &want) != nil || json.Unmarshal(tt.got, &got) != nil {
			t.Fatal(tt.name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNeedsRestart(t *testing.T) {
	t.Parallel()
	files := federation.TLSFiles{CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"}
	text := func(edit func(*federation.Bundle, *federation.TLSFiles)) []byte {
		b, f := whole(), files
		edit(b, &f)
		out, err := b.SecondaryDropIn(f)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := text(func(*federation.Bundle, *federation.TLSFiles) {})
	trust, err := federation.TrustDropIn("ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		before, after []byte
		want          bool
	}{
		{"the same", same, same, false},
		{"other files", same, text(func(_ *federation.Bundle, f *federation.TLSFiles) { f.CA, f.Cert, f.Key = "a", "b", "c" }), false},
		{"another gateway", same, text(func(b *federation.Bundle, _ *federation.TLSFiles) { b.PrimaryGateways = []string{"192.0.2.9:8443"} }), true},
		{"a further gateway", same, text(func(b *federation.Bundle, _ *federation.TLSFiles) {
			b.PrimaryGateways = append([]string{"192.0.2.9:8443"}, b.PrimaryGateways...)
		}), false},
		{"a further gateway and another token", same, text(func(b *federation.Bundle, _ *federation.TLSFiles) {
			b.PrimaryGateways, b.Tokens.Agent = append([]string{"192.0.2.9:8443"}, b.PrimaryGateways...), "other"
		}), true},
		{"another token", same, text(func(b *federation.Bundle, _ *federation.TLSFiles) { b.Tokens.Agent = "other" }), true},
		{"another mode", same, text(func(b *federation.Bundle, _ *federation.TLSFiles) {
			b.Mode, b.RetryJoinWAN = resource.ModeTraditional, []string{"192.0.2.1:8302"}
		}), true},
		{"from nothing", nil, same, true},
		{"to nothing", same, nil, true},
		{"trust, from nothing", nil, trust, false},
		{"trust, to the join", trust, same, true},
		{"what is no JSON", []byte("{"), same, true},
	} {
		if got := federation.NeedsRestart(tt.before, tt.after); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestLossDigest(t *testing.T) {
	t.Parallel()
	if federation.LossDigest(nil) != "" || federation.PlanDigest("u", "dc2", "join", "") != "" {
		t.Error("nothing lost has a digest")
	}
	one := func(digest string) string {
		return federation.LossDigest([]*isthmusv1.LostItem{{Kind: "policy", Name: "web", Digest: digest}})
	}
	if one("a") == one("b") {
		t.Error("another rule in a policy is no other loss")
	}
	seen := map[string]bool{}
	for _, digest := range []string{
		federation.PlanDigest("u", "dc2", "join", "a"), federation.PlanDigest("v", "dc2", "join", "a"), federation.PlanDigest("u", "dc3", "join", "a"),
		federation.PlanDigest("u", "dc2", "leave", "a"), federation.PlanDigest("u", "dc2", "join", "b"),
	} {
		if seen[digest] {
			t.Error("two plans have the same digest")
		}
		seen[digest] = true
	}
}
