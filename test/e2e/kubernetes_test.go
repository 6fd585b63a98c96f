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

const (
	federationSecret = "consul-federation"
	serverCertSecret = "consul-federation-server"
)

// kubernetes is a datacenter in a cluster: agent and servers are real, kubelet, Helm and controllers are played.
type kubernetes struct {
	*Datacenter
	cluster *kubetest.Cluster
	pod     *kubetest.Pod
}

// Kubernetes as docs/kubernetes.md tells it: the agent with the rights of the manifests, Secrets, and a Consul that the chart starts out
// of them. A primary on VMs has a secondary there.
func TestKubernetesFederation(t *testing.T) {
	f := NewFleet(t, 2)
	dc2 := f.kubernetes("dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	nobody := freeAddress(t)
	f.Apply("kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n---\n" + dc2.manifest("https://"+nobody))
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2], mode: mesh-gateway, keyless: true}\n")
	f.Phase("global", "dc2", "delivering", "HelmValuesNeeded")
	f.Finds("KubernetesAPIReachable", "dc1", finds, nobody, "ConnectionRefused", "spec.kubernetes.apiUrl of Datacenter dc2")
	f.Apply(dc2.manifest(dc2.cluster.URL))
	f.Passes("KubernetesAPIReachable")

	data := dc2.secret(federationSecret).Data
	if want := fmt.Sprintf(`{"primary_datacenter":"dc1","primary_gateways":[%q]}`, dc1.Gateways[0].WAN); string(data["serverConfigJSON"]) != want {
		t.Errorf("serverConfigJSON is %s, want %s", data["serverConfigJSON"], want)
	}
	if len(data["caKey"]) > 0 || len(data["replicationToken"]) == 0 || len(data["gossipEncryptionKey"]) == 0 {
		t.Error("a keyless Secret has a CA key, or not what it should have")
	}

	dc2.install("dc1", f.extraConfig("dc2"))
	dc2.chartGateway(dc1)
	f.Joined("global", dc1, dc2.Datacenter)
	dc1.Reads(dc2.Datacenter)
	dc2.Reads(dc1)
	if dc2.secret(federationSecret).Metadata.Annotations["isthmus.io/running"] == "" {
		t.Error("the Secret does not say what the servers run with")
	}

	t.Log("leaving: what the servers still read stays")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [], mode: mesh-gateway, keyless: true}\n")
	f.Phase("global", "dc2", "leaving", "SecretInUse")
	dc2.unfederate()
	f.Eventually("the Secrets are gone, and the tokens with them", func() error {
		for _, name := range []string{federationSecret, serverCertSecret} {
			if status := dc2.cluster.Call(t, "", http.MethodGet, secretPath(name), nil, nil); status != http.StatusNotFound {
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

// kubernetes starts the agent of a datacenter of which nothing else is there yet.
func (f *Fleet) kubernetes(name string) *kubernetes {
	f.t.Helper()
	d := &kubernetes{Datacenter: &Datacenter{f: f}, cluster: kubetest.Start(f.t)}
	d.cluster.Namespace(f.t, "consul")
	d.cluster.Apply(f.t, "../../deploy/kubernetes/agent-secondary.yaml", "consul")
	d.Servers = f.servers(d.Datacenter, name, Site{Fresh: true})
	d.Cluster = d.Servers[0]
	kubeconfig := d.cluster.Kubeconfig(f.t, d.cluster.Token(f.t, "consul", "isthmus-agent"))
	f.online(d.launchAgent(d.Cluster, "--kubeconfig", kubeconfig, "--allow-join=dc1"))
	d.pod = d.cluster.NewPod(f.t, "consul", d.ConfigDir, federationSecret, serverCertSecret)
	return d
}

// manifest declares it, with the address of its API.
func (d *kubernetes) manifest(api string) string {
	return fmt.Sprintf("kind: Datacenter\nname: %s\nspec: {runtime: kubernetes, kubernetes: {apiUrl: %q}}\n", d.Cluster.Datacenter, api)
}

type kubernetesSecret struct {
	Metadata struct{ Annotations map[string]string }
	Data     map[string][]byte
}

func secretPath(name string) string { return "/api/v1/namespaces/consul/secrets/" + name }

func (d *kubernetes) secret(name string) kubernetesSecret {
	d.f.t.Helper()
	var s kubernetesSecret
	d.cluster.Do(d.f.t, http.MethodGet, secretPath(name), nil, &s)
	return s
}

const serversPath = "/apis/apps/v1/namespaces/consul/statefulsets/consul-server"

// install plays helm install.
func (d *kubernetes) install(primary, extraConfig string) {
	t := d.f.t
	t.Helper()
	d.cluster.Apply(t, "../../agent/kube/testdata/consul-server.yaml", "consul")
	d.pod.Mount()
	d.pod.Configure(primary, extraConfig)
	d.restart()
	d.cluster.Do(t, http.MethodPatch, serversPath+"/status", map[string]any{
		"status": map[string]any{"observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "currentRevision": "one", "updateRevision": "one"},
	}, nil)
}

// unfederate plays helm upgrade with values without the federation's.
func (d *kubernetes) unfederate() {
	t := d.f.t
	t.Helper()
	spec := map[string]any{"volumes": nil, "containers": []any{map[string]string{"name": "consul", "image": "hashicorp/consul:1.20.6"}}}
	d.cluster.Do(t, http.MethodPatch, serversPath, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": spec}}}, nil)
	d.pod.Unfederate()
	d.restart()
}

func (d *kubernetes) restart() {
	d.f.t.Helper()
	if out, err := exec.CommandContext(d.f.t.Context(), "sh", "-c", d.RestartCommand()).CombinedOutput(); err != nil {
		d.f.t.Fatalf("%v\n%s", err, out)
	}
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
	if values.Server.ServerCert.SecretName != serverCertSecret {
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
