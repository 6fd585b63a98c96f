package kube_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"isthmus/agent/delivery"
	"isthmus/agent/kube"
	"isthmus/demo/consulrun"
	"isthmus/federation"
	"isthmus/test/consultest"
)

// testConsul runs a real Consul server from the Secrets, as the chart's pods do: kubelet and chart are played by volume and chartFiles.
func testConsul(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	a := newAuthority(t)
	issued := time.Now()
	b := bundle()
	b.CAKey, b.ACL, b.Tokens = "", false, federation.Tokens{}
	b.CACertificates, b.PrimaryGateways = []string{string(a.pem)}, []string{"127.0.0.1:9"}
	b.GossipKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	c := content(t, b, 1)
	c.Cert, c.Key = a.issue(t, "dc2", issued)
	h := r.host(nil)
	r.put(h, c, delivery.EffectRestart)

	consul := consultest.StartWith(t, consulrun.Options{Datacenter: "dc2", Prepared: true})
	bundleVolume, certVolume := &volume{r: r, dir: t.TempDir()}, &volume{r: r, dir: t.TempDir()}
	bundleVolume.sync("consul-federation")
	certVolume.sync(certName)
	chartFiles(r, consul.ConfigDir, bundleVolume.dir, certVolume.dir)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", consul.RestartCommand()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var self struct {
		DebugConfig struct {
			PrimaryDatacenter                      string
			PrimaryGateways                        []string
			ConnectMeshGatewayWANFederationEnabled bool
			EncryptVerifyIncoming                  bool
			ServerPort                             int
		}
	}
	consul.Do(http.MethodGet, "/v1/agent/self", nil, &self)
	got := self.DebugConfig
	if got.PrimaryDatacenter != "dc1" || !slices.Equal(got.PrimaryGateways, b.PrimaryGateways) || !got.ConnectMeshGatewayWANFederationEnabled {
		t.Fatalf("Consul runs with %+v", got)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(got.ServerPort))
	if shown := r.shown(address); !bytes.Equal(shown, c.Cert) {
		t.Fatal("Consul shows another certificate than the Secret's")
	}

	// A renewed certificate gets to Consul without anybody's doing: the kubelet brings it, Consul sees it.
	later := issued.AddDate(0, 0, 21)
	c.Cert, c.Key = a.issue(t, "dc2", time.Now())
	r.put(r.host(func(k *kube.Config) { k.Now = func() time.Time { return later } }), c, delivery.EffectRestart)
	certVolume.sync(certName)
	r.eventually("Consul shows the renewed certificate", func() bool { return bytes.Equal(r.shown(address), c.Cert) })
}

// volume is how a kubelet mounts a Secret: files are links through ..data, which is turned over in one step.
type volume struct {
	r    *rig
	dir  string
	turn int
}

func (v *volume) sync(name string) {
	t := v.r.t
	t.Helper()
	v.turn++
	target := "..generation" + strconv.Itoa(v.turn)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(v.dir, target), 0o700))
	for key, value := range v.r.read(name).Data {
		must(os.WriteFile(filepath.Join(v.dir, target, key), value, 0o600))
		if v.turn == 1 {
			must(os.Symlink(filepath.Join("..data", key), filepath.Join(v.dir, key)))
		}
	}
	must(os.Symlink(target, filepath.Join(v.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")))
}

// chartFiles are the parts of Consul's configuration that the chart makes of the values of a keyless secondary: server-config, the file
// of server.extraVolumes, server.extraConfig, and the gossip key, which it gives on the command line.
func chartFiles(r *rig, dir, bundle, cert string) {
	r.t.Helper()
	key, err := os.ReadFile(filepath.Join(bundle, "gossipEncryptionKey"))
	if err != nil {
		r.t.Fatal(err)
	}
	file := func(name string, content any) {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	file("tls-config.json", map[string]any{"tls": map[string]any{
		"internal_rpc": map[string]any{"verify_incoming": true, "verify_server_hostname": true},
		"defaults": map[string]any{
			"verify_outgoing": true, "ca_file": filepath.Join(bundle, "caCert"),
			"cert_file": filepath.Join(cert, "tls.crt"), "key_file": filepath.Join(cert, "tls.key"),
		},
	}})
	file("federation-config.json", map[string]any{
		"primary_datacenter": "dc1", "primary_gateways": []string{}, "connect": map[string]any{"enable_mesh_gateway_wan_federation": true},
	})
	file("extra-from-values.json", map[string]any{"auto_reload_config": true})
	file("gossip.json", map[string]any{"encrypt": string(key)})
	text, err := os.ReadFile(filepath.Join(bundle, "serverConfigJSON"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "userconfig.json"), text, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// shown is the certificate (PEM) that a Consul server shows other servers.
func (r *rig) shown(address string) []byte {
	r.t.Helper()
	var shown []byte
	conn, err := (&tls.Dialer{Config: &tls.Config{
		ServerName: "server.dc2.consul", NextProtos: []string{"consul/rpc-multi"}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			shown = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: state.PeerCertificates[0].Raw})
			return nil
		},
	}}).DialContext(r.t.Context(), "tcp", address)
	if err == nil {
		err = conn.Close()
	}
	// Without a client's certificate it may go no further than that.
	if shown == nil && err != nil && !strings.Contains(err.Error(), "connection re") {
		r.t.Fatal(err)
	}
	return shown
}
