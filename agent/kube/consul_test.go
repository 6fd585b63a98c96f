package kube_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"os/exec"
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

// testConsul runs a real Consul server from the Secrets, as the chart's pods do.
func testConsul(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
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
	pod := r.NewPod(t, r.namespace, consul.ConfigDir, "consul-federation", certName)
	pod.Mount()
	pod.Configure("dc1", `{"auto_reload_config": true}`)
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
	pod.Mount()
	r.eventually("Consul shows the renewed certificate", func() bool { return bytes.Equal(r.shown(address), c.Cert) })
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
