package kubetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Pod plays a pod of Consul's Helm chart, with the values of a keyless secondary (isthmus federation values): the kubelet, which mounts
// Secrets and gives them as environment, and what the chart makes of them for one Consul server.
type Pod struct {
	c         *Cluster
	t         testing.TB
	namespace string
	// configDir is where the server reads its configuration.
	configDir string
	bundle    volume
	cert      volume
}

// NewPod mounts nothing yet. The Secrets have these names.
func (c *Cluster) NewPod(t testing.TB, namespace, configDir, bundle, cert string) *Pod {
	t.Helper()
	return &Pod{
		c: c, t: t, namespace: namespace, configDir: configDir,
		bundle: volume{secret: bundle, dir: t.TempDir()}, cert: volume{secret: cert, dir: t.TempDir()},
	}
}

// volume is how a kubelet mounts a Secret: files are links through ..data, which is turned over in one step.
type volume struct {
	secret, dir string
	turn        int
}

// Mount brings what the Secrets hold now into the volumes.
func (p *Pod) Mount() {
	p.t.Helper()
	for _, v := range []*volume{&p.bundle, &p.cert} {
		var secret struct{ Data map[string][]byte }
		p.c.Do(p.t, http.MethodGet, fmt.Sprintf("/api/v1/namespaces/%s/secrets/%s", p.namespace, v.secret), nil, &secret)
		if err := v.turnOver(secret.Data); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (v *volume) turnOver(data map[string][]byte) error {
	v.turn++
	now := fmt.Sprintf("..generation%d", v.turn)
	all := os.Mkdir(filepath.Join(v.dir, now), 0o700)
	for key, value := range data {
		all = errors.Join(all, os.WriteFile(filepath.Join(v.dir, now, key), value, 0o600))
		if _, err := os.Lstat(filepath.Join(v.dir, key)); err != nil {
			all = errors.Join(all, os.Symlink(filepath.Join("..data", key), filepath.Join(v.dir, key)))
		}
	}
	return errors.Join(all,
		os.Symlink(now, filepath.Join(v.dir, "..data_new")),
		os.Rename(filepath.Join(v.dir, "..data_new"), filepath.Join(v.dir, "..data")))
}

// Configure writes the parts of Consul's configuration that the chart makes of those values and of what is mounted: the ConfigMap of the
// servers, server.extraVolumes, server.extraConfig, and what it gives on the command line out of the environment. Consul is to be started
// after it. extra is the value server.extraConfig.
func (p *Pod) Configure(primary, extra string) {
	p.t.Helper()
	p.write("tls-config.json", map[string]any{"tls": map[string]any{
		"internal_rpc": map[string]any{"verify_incoming": true, "verify_server_hostname": true},
		"grpc":         map[string]any{"verify_incoming": false},
		"defaults": map[string]any{
			"verify_outgoing": true, "ca_file": filepath.Join(p.bundle.dir, "caCert"),
			"cert_file": filepath.Join(p.cert.dir, "tls.crt"), "key_file": filepath.Join(p.cert.dir, "tls.key"),
		},
	}})
	p.write("federation-config.json", map[string]any{
		"primary_datacenter": primary, "primary_gateways": []string{}, "connect": map[string]any{"enable_mesh_gateway_wan_federation": true},
	})
	p.write("userconfig-consul-federation.json", json.RawMessage(p.mounted("serverConfigJSON")))
	p.write("extra-from-values.json", json.RawMessage(extra))
	if key := p.mounted("gossipEncryptionKey"); len(key) > 0 {
		p.write("gossip.json", map[string]any{"encrypt": string(key)})
	}
	token := string(p.mounted("replicationToken"))
	if token == "" {
		return
	}
	p.write("acl-config.json", map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "down_policy": "extend-cache", "enable_token_replication": true, "enable_token_persistence": true,
		"tokens": map[string]string{"agent": token, "replication": token},
	}})
}

// Unfederate takes out of the configuration what the values without a federation do not have. TLS and ACLs stay, in files of the pod's
// own: the server would have them from other Secrets.
func (p *Pod) Unfederate() {
	p.t.Helper()
	for _, name := range []string{"federation-config.json", "userconfig-consul-federation.json"} {
		if err := os.Remove(filepath.Join(p.configDir, name)); err != nil {
			p.t.Fatal(err)
		}
	}
	p.write("acl-config.json", map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "down_policy": "extend-cache", "enable_token_persistence": true,
	}})
}

// mounted is a key of the federation Secret; empty when there is none.
func (p *Pod) mounted(key string) []byte {
	text, err := os.ReadFile(filepath.Join(p.bundle.dir, key))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	return text
}

func (p *Pod) write(name string, content any) {
	p.t.Helper()
	text, err := json.Marshal(content)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.configDir, name), text, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
