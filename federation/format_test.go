package federation_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"isthmus/federation"
	"isthmus/test/consultest"
)

// handBundle is a bundle of which each part can be told apart.
func handBundle() *federation.Bundle {
	return &federation.Bundle{
		Federation: "global", UID: "u1", Mode: "mesh-gateway", PrimaryDatacenter: "dc1", Datacenter: "dc2", Domain: "consul",
		CACertificates: []string{"CA ONE\n", "CA TWO"}, CAKey: "CA KEY\n", GossipKey: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		ACL: true, DefaultPolicy: "deny",
		Tokens:          federation.Tokens{Replication: "11111111-1111-4111-8111-111111111111", Agent: "22222222-2222-4222-8222-222222222222", Isthmus: "i", Gateway: "g"},
		PrimaryGateways: []string{"192.0.2.1:8443", "[2001:db8::1]:443"}, RetryIntervalWAN: "2s",
	}
}

const wantHCL = `# Federation global: Consul datacenter dc2 as a secondary of dc1. This holds secrets.
datacenter = "dc2"
primary_datacenter = "dc1"
primary_gateways = ["192.0.2.1:8443", "[2001:db8::1]:443"]
retry_interval_wan = "2s"
encrypt = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

connect {
  enabled = true
  enable_mesh_gateway_wan_federation = true
}

acl {
  enabled = true
  default_policy = "deny"
  enable_token_replication = true

  tokens {
    agent = "22222222-2222-4222-8222-222222222222"
    replication = "11111111-1111-4111-8111-111111111111"
  }
}

tls {
  defaults {
    ca_file = "/etc/consul.d/isthmus-federation-ca.pem"
    cert_file = "/etc/consul.d/isthmus-federation-server.pem"
    key_file = "/etc/consul.d/isthmus-federation-server-key.pem"
    verify_incoming = true
    verify_outgoing = true
  }

  internal_rpc {
    verify_server_hostname = true
  }
}
`

func TestHCL(t *testing.T) {
	t.Parallel()
	got, err := handBundle().HCL("/etc/consul.d")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantHCL, string(got)); diff != "" {
		t.Error(diff)
	}
}

// Consul itself takes it, and the JSON that says the same.
func TestConsulTakesWhatIsRendered(t *testing.T) {
	t.Parallel()
	binary := consultest.Binary(t)
	hcl, err := handBundle().HCL("/etc/consul.d")
	if err != nil {
		t.Fatal(err)
	}
	files, err := handBundle().HandFiles("/etc/consul.d")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"server.hcl": hcl, federation.FileDropIn: files[federation.FileDropIn]} {
		dir := t.TempDir()
		own := `{"server": true, "data_dir": "` + dir + `", "datacenter": "dc2", "bind_addr": "127.0.0.1"}`
		for file, content := range map[string]string{"a.json": own, name: string(text)} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.CommandContext(t.Context(), binary, "validate", dir).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Configuration is valid!") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestHandFiles(t *testing.T) {
	t.Parallel()
	files, err := handBundle().HandFiles("/etc/consul.d/")
	if err != nil || len(files) != 3 || string(files[federation.FileCA]) != "CA ONE\nCA TWO\n" || string(files[federation.FileGatewayToken]) != "g\n" {
		t.Errorf("got %d files, %v", len(files), err)
	}
	var config struct {
		TLS struct {
			Defaults map[string]any `json:"defaults"`
		} `json:"tls"`
	}
	if err := json.Unmarshal(files[federation.FileDropIn], &config); err != nil || config.TLS.Defaults["ca_file"] != "/etc/consul.d/"+federation.FileCA {
		t.Errorf("got %v, %v", config, err)
	}
}

func TestSecretYAML(t *testing.T) {
	t.Parallel()
	text, err := handBundle().SecretYAML("consul-federation", "consul")
	if err != nil {
		t.Fatal(err)
	}
	const want = `apiVersion: v1
kind: Secret
metadata:
  name: consul-federation
  namespace: consul
type: Opaque
data:
  caCert: Q0EgT05FCkNBIFRXTwo=
  caKey: Q0EgS0VZCg==
  gossipEncryptionKey: TURFeU16UTFOamM0T1dGaVkyUmxaakF4TWpNME5UWTNPRGxoWW1Oa1pXWT0=
  replicationToken: MTExMTExMTEtMTExMS00MTExLTgxMTEtMTExMTExMTExMTEx
  serverConfigJSON: eyJwcmltYXJ5X2RhdGFjZW50ZXIiOiJkYzEiLCJwcmltYXJ5X2dhdGV3YXlzIjpbIjE5Mi4wLjIuMTo4NDQzIiwiWzIwMDE6ZGI4OjoxXTo0NDMiXX0=
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if text, err := handBundle().SecretYAML("true", ""); err != nil || !strings.Contains(string(text), "name: \"true\"\ntype") {
		t.Errorf("got %s, %v", text, err)
	}
}

// What Consul's documents tell users to write, but for the comments.
func TestValuesAreThoseOfTheDocuments(t *testing.T) {
	t.Parallel()
	ref := func(key string) map[string]any {
		return map[string]any{"secretName": "consul-federation", "secretKey": key}
	}
	on := map[string]any{"enabled": true}
	volumes := []any{map[string]any{
		"type": "secret", "name": "consul-federation", "load": true, "items": []any{map[string]any{"key": "serverConfigJSON", "path": "config.json"}},
	}}
	secondary := func(edit func(global, server map[string]any)) map[string]any {
		global := map[string]any{
			"name": "consul", "datacenter": "dc2",
			"tls":              map[string]any{"enabled": true, "caCert": ref("caCert"), "caKey": ref("caKey")},
			"acls":             map[string]any{"manageSystemACLs": true, "replicationToken": ref("replicationToken")},
			"federation":       map[string]any{"enabled": true, "k8sAuthMethodHost": "https://k8s.example:6443", "primaryDatacenter": "dc1", "primaryGateways": []any{}},
			"gossipEncryption": ref("gossipEncryptionKey"),
		}
		server := map[string]any{"extraVolumes": volumes}
		edit(global, server)
		return map[string]any{"global": global, "connectInject": on, "meshGateway": on, "server": server}
	}
	both := federation.Values{Datacenter: "dc2", Primary: "dc1", ACL: true, Gossip: true, AuthMethodHost: "https://k8s.example:6443"}
	keyless, hurried := both, both
	keyless.Keyless, hurried.RetryIntervalWAN = true, "2s"
	for name, c := range map[string]struct {
		values federation.Values
		want   map[string]any
	}{
		"primary": {federation.Values{Datacenter: "dc1", ACL: true, Gossip: true}, map[string]any{
			"global": map[string]any{
				"name": "consul", "datacenter": "dc1", "tls": on,
				"federation":       map[string]any{"enabled": true, "createFederationSecret": true},
				"acls":             map[string]any{"manageSystemACLs": true, "createReplicationToken": true},
				"gossipEncryption": map[string]any{"autoGenerate": true},
			},
			"connectInject": on, "meshGateway": on,
		}},
		"secondary": {both, secondary(func(_, _ map[string]any) {})},
		"keyless": {keyless, secondary(func(global, server map[string]any) {
			global["tls"] = map[string]any{"enabled": true, "caCert": ref("caCert")}
			server["serverCert"] = map[string]any{"secretName": "consul-federation-server"}
			server["extraConfig"] = "{\"auto_reload_config\": true}\n"
		})},
		"in a hurry": {hurried, secondary(func(_, server map[string]any) {
			server["extraConfig"] = "{\"retry_interval_wan\": \"2s\"}\n"
		})},
		"open": {federation.Values{Name: "c2", Datacenter: "dc2", Primary: "dc1"}, secondary(func(global, _ map[string]any) {
			delete(global, "acls")
			delete(global, "gossipEncryption")
			global["name"] = "c2"
			global["federation"] = map[string]any{"enabled": true, "primaryDatacenter": "dc1", "primaryGateways": []any{}}
		})},
	} {
		var got map[string]any
		if err := yaml.Unmarshal([]byte(c.values.YAML()), &got); err != nil {
			t.Errorf("%s: %v\n%s", name, err, c.values.YAML())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
