package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/agent/delivery"
	"isthmus/agent/kube"
	"isthmus/fault"
	"isthmus/federation"
	"isthmus/resource"
	"isthmus/test/kubetest"
)

// rig is a namespace.
type rig struct {
	*kubetest.Cluster
	t         *testing.T
	namespace string
}

func newRig(t *testing.T, c *kubetest.Cluster) *rig {
	t.Helper()
	name := strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, name), "-")
	c.Namespace(t, name)
	return &rig{Cluster: c, t: t, namespace: name}
}

// host is an agent's, with the rights of the manifests that were applied.
func (r *rig) host(change func(*kube.Config)) *kube.Host {
	r.t.Helper()
	return r.hostAs(r.Token(r.t, r.namespace, account), change)
}

func (r *rig) hostAs(token string, change func(*kube.Config)) *kube.Host {
	r.t.Helper()
	config := kube.Config{Kubeconfig: r.Kubeconfig(r.t, token), Namespace: r.namespace, RolloutPoll: 20 * time.Millisecond}
	if change != nil {
		change(&config)
	}
	h, err := kube.NewHost(config)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func (r *rig) apply(file string) { r.t.Helper(); r.Apply(r.t, manifests+file, r.namespace) }

// secret is v1 Secret, as far as the tests look.
type secret struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   metadata          `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
}

type metadata struct {
	Name            string            `json:"name"`
	UID             string            `json:"uid,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
}

func (r *rig) path(kind, name string) string {
	group := "/api/v1"
	if kind == "statefulsets" {
		group = "/apis/apps/v1"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s/namespaces/%s/%s/%s", group, r.namespace, kind, name), "/")
}

// read is a Secret, nil without it.
func (r *rig) read(name string) *secret {
	r.t.Helper()
	var s secret
	switch status := r.Call(r.t, "", http.MethodGet, r.path("secrets", name), nil, &s); status {
	case http.StatusOK:
		return &s
	case http.StatusNotFound:
		return nil
	default:
		r.t.Fatalf("reading secret %s: %d", name, status)
		return nil
	}
}

func (r *rig) create(s secret) {
	r.t.Helper()
	r.Do(r.t, http.MethodPost, r.path("secrets", ""), s, nil)
}

func (r *rig) put(h *kube.Host, content delivery.Content, want delivery.Effect) {
	r.t.Helper()
	effect, err := h.Put(r.t.Context(), content)
	if err != nil {
		r.t.Fatal(err)
	}
	if effect != want {
		r.t.Fatalf("effect %d, want %d", effect, want)
	}
}

// refused checks that an error has a reason, that its message names what has to be changed, and that it tells no secret.
func refused(t *testing.T, err error, reason kube.Reason, names ...string) {
	t.Helper()
	var problem *kube.Problem
	if !errors.As(err, &problem) || problem.Reason != reason {
		t.Fatalf("got %v, want reason %s", err, reason)
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("%v is no fault", err)
	}
	for _, name := range names {
		if !strings.Contains(f.Message, name) {
			t.Errorf("the message does not name %q: %s", name, f.Message)
		}
	}
	for _, word := range []string{"the-gossip-key", "the-token", "the-ca-key"} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

// bundle is of a federation with a CA key.
func bundle() *federation.Bundle {
	return &federation.Bundle{
		Federation: "global", UID: "7b0e-global", Mode: resource.ModeMeshGateway, PrimaryDatacenter: "dc1", Datacenter: "dc2", Domain: "consul",
		CACertificates: []string{"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"},
		CAKey:          "the-ca-key", GossipKey: "the-gossip-key", ACL: true, DefaultPolicy: "deny",
		Tokens:          federation.Tokens{Replication: "the-token", Agent: "another"},
		PrimaryGateways: []string{"203.0.113.7:8443", "gw.example.com:443"},
	}
}

func content(t *testing.T, b *federation.Bundle, generation int32) delivery.Content {
	t.Helper()
	data, err := b.SecretData()
	if err != nil {
		t.Fatal(err)
	}
	dropIn, err := b.SecondaryDropIn(federation.TLSFiles{})
	if err != nil {
		t.Fatal(err)
	}
	return delivery.Content{Owner: owner, Generation: generation, Secret: data, DropIn: dropIn, CA: []byte(b.CABundle())}
}
