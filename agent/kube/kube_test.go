package kube_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isthmus/agent/delivery"
	"isthmus/agent/kube"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/resource"
	"isthmus/test/kubetest"
)

const (
	manifests = "../../deploy/kubernetes/"
	account   = "isthmus-agent"
	owner     = "7b0e-global/dc2"
	certName  = "consul-federation-server"
)

// TestKubernetes runs against one Kubernetes API, each part in a namespace of its own.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	c := kubetest.Start(t)
	for name, part := range map[string]func(*rig){
		"the chart gets what it reads":            testSecret,
		"a human's own delivery":                  testHandMade,
		"foreign Secrets stay":                    testForeign,
		"a Secret that was made before":           testPremade,
		"one bundle, two agents":                  testTwoAgents,
		"other CAs to trust":                      testTrust,
		"keyless":                                 testKeyless,
		"two agents' certificates":                testCertificates,
		"Consul runs from the Secrets":            testConsul,
		"the rights of an agent":                  testRights,
		"before Helm":                             testFresh,
		"an upgrade by Helm":                      testUpgrade,
		"leaving":                                 testLeaving,
		"rollout":                                 testRollout,
		"rollout without the right":               testRolloutForbidden,
		"rollout that cannot be":                  testRolloutRefused,
		"the CA of a primary":                     testReadCA,
		"what the API refuses, and why":           testRefusals,
		"the manifests are what Kubernetes takes": testManifests,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(newRig(t, c))
		})
	}
}

func testSecret(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	h := r.host(nil)
	b := bundle()
	r.put(h, content(t, b, 1), delivery.EffectRestart)
	got := r.read("consul-federation")
	want := map[string][]byte{
		"caCert":              []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
		"caKey":               []byte("the-ca-key"),
		"gossipEncryptionKey": []byte("the-gossip-key"),
		"replicationToken":    []byte("the-token"),
		// Byte for byte what consul-k8s's create-federation-secret writes.
		"serverConfigJSON": []byte(`{"primary_datacenter":"dc1","primary_gateways":["203.0.113.7:8443","gw.example.com:443"]}`),
	}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Fatal(diff)
	}
	if got.Type != "Opaque" || got.Metadata.Labels["app.kubernetes.io/managed-by"] != "isthmus" {
		t.Fatalf("type %s, labels %v", got.Type, got.Metadata.Labels)
	}

	// Until it is done the effect is asked for again, also by another process; the Secret is not written again.
	r.put(h, content(t, b, 1), delivery.EffectRestart)
	r.put(r.host(nil), content(t, b, 1), delivery.EffectRestart)
	if again := r.read("consul-federation"); again.Metadata.ResourceVersion != got.Metadata.ResourceVersion {
		t.Fatal("it was written without need")
	}
	if err := h.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put(r.host(nil), content(t, b, 1), delivery.EffectNone)

	// A re-issued bundle with the same content needs nothing; another one does. What others note on the Secret stays.
	r.Do(t, http.MethodPatch, r.path("secrets", "consul-federation"), map[string]any{"metadata": map[string]any{"annotations": map[string]string{"example.com/team": "net"}}}, nil)
	r.put(h, content(t, b, 2), delivery.EffectNone)
	b.PrimaryGateways = []string{"203.0.113.8:8443"}
	r.put(h, content(t, b, 3), delivery.EffectRestart)
	got = r.read("consul-federation")
	if string(got.Data["serverConfigJSON"]) != `{"primary_datacenter":"dc1","primary_gateways":["203.0.113.8:8443"]}` || got.Metadata.Annotations["example.com/team"] != "net" {
		t.Fatalf("%s, %v", got.Data["serverConfigJSON"], got.Metadata.Annotations)
	}

	// Without ACLs and gossip encryption there are no such keys.
	b.GossipKey, b.ACL, b.Tokens = "", false, federation.Tokens{}
	r.put(h, content(t, b, 4), delivery.EffectRestart)
	if got = r.read("consul-federation"); len(got.Data) != 3 {
		t.Fatalf("%d keys", len(got.Data))
	}
}

func testHandMade(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	c := content(t, bundle(), 1)
	r.create(secret{Metadata: metadata{Name: "consul-federation"}, Type: "Opaque", Data: c.Secret})
	before := r.read("consul-federation")
	h := r.host(nil)
	r.put(h, c, delivery.EffectNone)
	if err := h.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, r.read("consul-federation")); diff != "" {
		t.Fatal(diff)
	}
}

func testForeign(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	r.create(secret{Metadata: metadata{Name: "consul-federation"}, Type: "Opaque", Data: map[string][]byte{"caCert": []byte("theirs")}})
	before := r.read("consul-federation")
	h := r.host(nil)
	_, err := h.Put(t.Context(), content(t, bundle(), 1))
	refused(t, err, kube.ForeignSecret, "consul-federation", r.namespace, "app.kubernetes.io/managed-by=isthmus", "--federation-secret")
	if _, err := h.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, r.read("consul-federation")); diff != "" {
		t.Fatal(diff)
	}

	// Handed over, it is ours; another datacenter's is not.
	label := map[string]any{"metadata": map[string]any{"labels": map[string]string{"app.kubernetes.io/managed-by": "isthmus"}}}
	r.Do(t, http.MethodPatch, r.path("secrets", "consul-federation"), label, nil)
	r.put(h, content(t, bundle(), 1), delivery.EffectRestart)
	b := bundle()
	b.Tokens.Replication = "another"
	other := content(t, b, 9)
	other.Owner = "7b0e-global/dc3"
	_, err = r.host(nil).Put(t.Context(), other)
	refused(t, err, kube.ForeignSecret, owner)

	// A type cannot be changed.
	r.create(secret{Metadata: metadata{Name: certName, Labels: map[string]string{"app.kubernetes.io/managed-by": "isthmus"}}, Type: "Opaque"})
	c, _ := keylessContent(t, newAuthority(t), time.Now(), 1)
	_, err = r.host(nil).Put(t.Context(), c)
	refused(t, err, kube.ForeignSecret, certName, "kubernetes.io/tls")
}

// The manifest says how to do without the right to create Secrets.
func testPremade(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	r.create(secret{Metadata: metadata{Name: "consul-federation", Labels: map[string]string{"app.kubernetes.io/managed-by": "isthmus"}}, Type: "Opaque"})
	var role struct {
		Rules []map[string][]string `json:"rules"`
	}
	path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + r.namespace + "/roles/isthmus-agent"
	r.Do(t, http.MethodGet, path, nil, &role)
	kept := role.Rules[:0]
	for _, rule := range role.Rules {
		if rule["verbs"][0] != "create" {
			kept = append(kept, rule)
		}
	}
	r.Do(t, http.MethodPatch, path, map[string]any{"rules": kept}, nil)
	h := r.host(nil)
	r.put(h, content(t, bundle(), 1), delivery.EffectRestart)
	other := r.host(func(c *kube.Config) { c.Secret, c.ServerCertSecret = certName, "another" })
	_, err := other.Put(t.Context(), content(t, bundle(), 1))
	refused(t, err, kube.Forbidden, `"create"`, "secrets", "system:serviceaccount:"+r.namespace+":isthmus-agent")
}

// Two agents of one datacenter look after one Secret.
func testTwoAgents(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	first, second := r.host(nil), r.host(nil)
	older, newer := content(t, bundle(), 4), content(t, bundle(), 5)
	newer.Secret["replicationToken"] = []byte("newer")
	r.put(first, newer, delivery.EffectRestart)
	// The second one has not heard of it yet.
	r.put(second, older, delivery.EffectRestart)
	if got := r.read("consul-federation"); string(got.Data["replicationToken"]) != "newer" {
		t.Fatal("an older bundle came back")
	}
	if err := first.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put(second, newer, delivery.EffectNone)
	// What one agent has seen done is not what another one has written meanwhile.
	newest := content(t, bundle(), 6)
	r.put(second, newest, delivery.EffectRestart)
	if err := first.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put(first, newest, delivery.EffectRestart)

	// At the same time: one creates, and the other sees it.
	r.Do(t, http.MethodDelete, r.path("secrets", "consul-federation"), nil, nil)
	done := make(chan error)
	for _, h := range []*kube.Host{first, second} {
		go func() {
			_, err := h.Put(t.Context(), newest)
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Before a join of a datacenter with another CA, its servers trust both.
func testTrust(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	h := r.host(nil)
	dropIn, err := federation.TrustDropIn("ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	r.put(h, delivery.Content{Owner: owner, DropIn: dropIn, CA: []byte("both")}, delivery.EffectRestart)
	if diff := cmp.Diff(map[string][]byte{"caCert": []byte("both")}, r.read("consul-federation").Data); diff != "" {
		t.Fatal(diff)
	}
	// What else a drop-in says is Helm's.
	dropIn, err = federation.PrimaryDropIn("dc1", resource.ModeMeshGateway, "", federation.TLSFiles{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Put(t.Context(), delivery.Content{Owner: owner, DropIn: dropIn})
	refused(t, err, kube.ByHelm, "isthmus federation values")
}

// An agent may do exactly what the manifest says.
func testRights(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.create(secret{Metadata: metadata{Name: "consul-bootstrap-acl-token"}, Data: map[string][]byte{"token": []byte("root")}})
	r.create(secret{Metadata: metadata{Name: "consul-federation"}})
	r.Apply(t, "testdata/consul-server.yaml", r.namespace)
	token := r.Token(t, r.namespace, account)
	patch := map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}}
	pod := map[string]any{"metadata": map[string]string{"name": "x"}, "spec": map[string]any{"containers": []any{map[string]string{"name": "x", "image": "x"}}}}
	for _, call := range []struct {
		method, path string
		body         any
		allowed      bool
	}{
		{http.MethodGet, r.path("secrets", "consul-federation"), nil, true},
		{http.MethodGet, r.path("statefulsets", "consul-server"), nil, true},
		{http.MethodGet, r.path("secrets", ""), nil, false},
		{http.MethodGet, r.path("secrets", "") + "?watch=true", nil, false},
		{http.MethodDelete, r.path("secrets", ""), nil, false},
		{http.MethodGet, r.path("secrets", "consul-bootstrap-acl-token"), nil, false},
		{http.MethodDelete, r.path("secrets", "consul-bootstrap-acl-token"), nil, false},
		{http.MethodPut, r.path("secrets", "consul-bootstrap-acl-token"), secret{Metadata: metadata{Name: "consul-bootstrap-acl-token"}}, false},
		{http.MethodPatch, r.path("secrets", "consul-federation"), patch, false},
		{http.MethodGet, "/api/v1/secrets", nil, false},
		{http.MethodGet, "/api/v1/namespaces/kube-system/secrets/consul-federation", nil, false},
		{http.MethodPatch, r.path("statefulsets", "consul-server"), patch, false},
		{http.MethodGet, r.path("statefulsets", ""), nil, false},
		{http.MethodPost, r.path("pods", ""), pod, false},
		{http.MethodGet, r.path("pods", ""), nil, false},
		{http.MethodPost, r.path("serviceaccounts", account) + "/token", map[string]any{}, false},
	} {
		status := r.Call(t, token, call.method, call.path, call.body, nil)
		if allowed := status != http.StatusForbidden; allowed != call.allowed {
			t.Errorf("%s %s: %d, allowed should be %t", call.method, call.path, status, call.allowed)
		}
	}
}

func testReadCA(r *rig) {
	t := r.t
	r.apply("agent-primary.yaml")
	h := r.host(nil)
	_, _, err := h.ReadCA(t.Context())
	refused(t, err, kube.SecretMissing, "consul-ca-cert", r.namespace, "--ca-cert-secret")
	r.create(secret{Metadata: metadata{Name: "consul-ca-cert"}, Data: map[string][]byte{"tls.crt": []byte("certificate")}})
	r.create(secret{Metadata: metadata{Name: "consul-ca-key"}})
	_, _, err = h.ReadCA(t.Context())
	refused(t, err, kube.SecretMissing, "consul-ca-key", "tls.key", "--ca-key-secret")
	r.Do(t, http.MethodDelete, r.path("secrets", "consul-ca-key"), nil, nil)
	r.create(secret{Metadata: metadata{Name: "consul-ca-key"}, Data: map[string][]byte{"tls.key": []byte("the-ca-key")}})
	cert, key, err := h.ReadCA(t.Context())
	if err != nil || string(cert) != "certificate" || string(key) != "the-ca-key" {
		t.Fatalf("%q, %v", cert, err)
	}
	// A primary's agent writes nothing.
	_, err = h.Put(t.Context(), content(t, bundle(), 1))
	refused(t, err, kube.Forbidden, `"get"`, "consul-federation", "system:serviceaccount:"+r.namespace+":isthmus-agent")
	// A secondary's reads no CA.
	r.Do(t, http.MethodDelete, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+r.namespace+"/rolebindings/isthmus-agent", nil, nil)
	r.Do(t, http.MethodDelete, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+r.namespace+"/roles/isthmus-agent", nil, nil)
	r.apply("agent-secondary.yaml")
	_, _, err = h.ReadCA(t.Context())
	refused(t, err, kube.Forbidden, `"get"`, "secrets", "consul-ca-cert")
}

func testRefusals(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	c := content(t, bundle(), 1)
	_, err := r.hostAs("unknown", nil).Put(t.Context(), c)
	refused(t, err, kube.Unauthenticated, "credentials")

	_, err = r.hostAs("", func(k *kube.Config) {
		k.Kubeconfig = r.Kubeconfig(t, r.AdminToken())
		k.Namespace = "nowhere"
	}).Put(t.Context(), c)
	refused(t, err, kube.NoNamespace, "nowhere")

	r.create(secret{Metadata: metadata{Name: "consul-federation", Labels: map[string]string{"app.kubernetes.io/managed-by": "isthmus"}}, Immutable: true, Type: "Opaque"})
	_, err = r.host(nil).Put(t.Context(), c)
	refused(t, err, kube.Rejected, "update", "consul-federation")

	gone := *r.Cluster
	gone.URL = "https://127.0.0.1:1"
	_, err = (&rig{Cluster: &gone, t: t, namespace: r.namespace}).hostAs("token", nil).Put(t.Context(), c)
	refused(t, err, kube.Unreachable, "127.0.0.1:1")
	if fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("code %s", fault.CodeOf(err))
	}
}

func testManifests(r *rig) {
	t := r.t
	files, err := os.ReadDir(manifests)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r.apply(f.Name())
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]kube.Config{
		"no cluster":      {},
		"two clusters":    {InCluster: true, Kubeconfig: "x"},
		"no such file":    {Kubeconfig: "/does/not/exist"},
		"not in a pod":    {InCluster: true},
		"one Secret only": {Kubeconfig: "x", Secret: "same", ServerCertSecret: "same"},
	} {
		if _, err := kube.NewHost(config); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
