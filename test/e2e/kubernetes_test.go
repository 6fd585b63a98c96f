package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"testing"

	"go.yaml.in/yaml/v3"

	"isthmus/agent"
	"isthmus/test/kubetest"
)

// Kubernetes as docs/kubernetes.md tells it: the agent with the rights of the manifests, a Secret, and a Consul that the chart starts out
// of it. A primary on VMs has a secondary there.
func TestKubernetesFederation(t *testing.T) {
	f := NewFleet(t, 2)
	k := kubetest.Start(t)
	k.Namespace(t, "consul")
	k.Apply(t, "../../deploy/kubernetes/agent-secondary.yaml", "consul")
	kubeconfig := k.Kubeconfig(t, k.Token(t, "consul", "isthmus-agent"))

	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := &Datacenter{f: f}
	dc2.Servers = f.servers(dc2, "dc2", Site{Fresh: true})
	dc2.Cluster = dc2.Servers[0]
	f.online(dc2.launchAgent(dc2.Cluster, "--kubeconfig", kubeconfig, "--allow-join"))
	f.Apply("kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n---\n" +
		"kind: Datacenter\nname: dc2\nspec: {runtime: kubernetes, kubernetes: {apiUrl: \"" + k.URL + "\"}}\n")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2], mode: mesh-gateway, keyless: true}\n")

	secrets := "/api/v1/namespaces/consul/secrets/"
	f.Eventually("the Secrets are there", func() error {
		for _, name := range []string{"consul-federation", "consul-federation-server"} {
			if status := k.Call(t, "", http.MethodGet, secrets+name, nil, nil); status != http.StatusOK {
				return fmt.Errorf("%s: %d; dc2 is %v", name, status, f.Member("global", "dc2"))
			}
		}
		return nil
	})
	var secret struct {
		Type string
		Data map[string][]byte
	}
	k.Do(t, http.MethodGet, secrets+"consul-federation", nil, &secret)
	if want := fmt.Sprintf(`{"primary_datacenter":"dc1","primary_gateways":[%q]}`, dc1.Gateways[0].WAN); string(secret.Data["serverConfigJSON"]) != want {
		t.Errorf("serverConfigJSON is %s, want %s", secret.Data["serverConfigJSON"], want)
	}
	if len(secret.Data["caKey"]) > 0 || len(secret.Data["replicationToken"]) == 0 || len(secret.Data["gossipEncryptionKey"]) == 0 {
		t.Error("a keyless Secret has a CA key, or not what it should have")
	}

	f.Phase("global", "dc2", "delivering", "HelmValuesNeeded")

	// Helm, the kubelet, and the controller of StatefulSets.
	k.Apply(t, "../../agent/kube/testdata/consul-server.yaml", "consul")
	pod := k.NewPod(t, "consul", dc2.ConfigDir, "consul-federation", "consul-federation-server")
	pod.Mount()
	pod.Configure("dc1", f.extraConfig("dc2"))
	restart := func() {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", dc2.RestartCommand()).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	restart()
	k.Do(t, http.MethodPatch, "/apis/apps/v1/namespaces/consul/statefulsets/consul-server/status", map[string]any{
		"status": map[string]any{"observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "currentRevision": "one", "updateRevision": "one"},
	}, nil)
	dc2.chartGateway(dc1)
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	var noted struct {
		Metadata struct{ Annotations map[string]string }
	}
	k.Do(t, http.MethodGet, secrets+"consul-federation", nil, &noted)
	if noted.Metadata.Annotations["isthmus.io/running"] == "" {
		t.Error("the Secret does not say what the servers run with")
	}

	t.Log("leaving: what the servers still read stays")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [], mode: mesh-gateway, keyless: true}\n")
	f.Phase("global", "dc2", "leaving", "SecretInUse")
	servers := "/apis/apps/v1/namespaces/consul/statefulsets/consul-server"
	containers := []any{map[string]string{"name": "consul", "image": "hashicorp/consul:1.20.6"}}
	k.Do(t, http.MethodPatch, servers, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"volumes": nil, "containers": containers}}}}, nil)
	pod.Unfederate()
	restart()
	f.Eventually("the Secrets are gone, and the tokens with them", func() error {
		for _, name := range []string{"consul-federation", "consul-federation-server"} {
			if status := k.Call(t, "", http.MethodGet, secrets+name, nil, nil); status != http.StatusNotFound {
				return fmt.Errorf("%s: %d", name, status)
			}
		}
		// On one machine Consul finds the others without gateways, too, so that it is not seen to leave the WAN pool here: see TestLeave.
		if left := dc1.federationTokens(); len(left) > 0 {
			return fmt.Errorf("dc1 still has %q; dc2 is %v", left, f.Member("global", "dc2"))
		}
		return nil
	})
}

// extraConfig is what the Helm values for a datacenter add to Consul's configuration.
func (f *Fleet) extraConfig(datacenter string) string {
	f.t.Helper()
	var values struct {
		Server struct {
			ExtraConfig string `yaml:"extraConfig"`
			ServerCert  struct {
				SecretName string `yaml:"secretName"`
			} `yaml:"serverCert"`
		} `yaml:"server"`
	}
	text := f.Must("federation", "values", "global", "--datacenter", datacenter)
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		f.t.Fatal(err)
	}
	if values.Server.ServerCert.SecretName != "consul-federation-server" {
		f.t.Errorf("the values are\n%s", text)
	}
	return values.Server.ExtraConfig
}

// chartGateway runs what the chart has as mesh gateway: one that knows the local Consul and nothing of isthmus.
func (d *Datacenter) chartGateway(primary *Datacenter) {
	f := d.f
	f.t.Helper()
	address := freeAddress(f.t)
	token := primary.MintToken("chart-gateway", f.rules(agent.PurposeGateway))
	env := []string{"CONSUL_HTTP_ADDR=unix://" + d.Socket, "CONSUL_HTTP_TOKEN=" + token}
	launch(f.t, "chart gateway", f.path("chart-gateway.log"), env, "gateway", "--log-level", "debug", "--drain-timeout", "1s",
		"--listen", address, "--lan-address", address, "--wan-address", address)
}
