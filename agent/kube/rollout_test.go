package kube_test

import (
	"net/http"
	"time"

	"isthmus/agent/delivery"
	"isthmus/agent/kube"
	"isthmus/fault"
)

func mayRoll(c *kube.Config) { c.AllowRollout = true }

// set is what the tests see of the StatefulSet.
type set struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Template struct {
			Metadata metadata `json:"metadata"`
		} `json:"template"`
	} `json:"spec"`
}

func (r *rig) servers() set {
	r.t.Helper()
	var s set
	r.Do(r.t, http.MethodGet, r.path("statefulsets", "consul-server"), nil, &s)
	return s
}

func (r *rig) delivered() string {
	r.t.Helper()
	return r.servers().Spec.Template.Metadata.Annotations["isthmus.io/delivered"]
}

// status plays the StatefulSet's controller.
func (r *rig) status(updated, ready int, current, update string) {
	r.t.Helper()
	status := map[string]any{
		"observedGeneration": r.servers().Metadata.Generation, "replicas": 3, "updatedReplicas": updated, "readyReplicas": ready,
		"currentRevision": current, "updateRevision": update,
	}
	r.Do(r.t, http.MethodPatch, r.path("statefulsets", "consul-server")+"/status", map[string]any{"status": status}, nil)
}

func (r *rig) edit(patch map[string]any) {
	r.t.Helper()
	r.Do(r.t, http.MethodPatch, r.path("statefulsets", "consul-server"), patch, nil)
}

func testRollout(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.apply("agent-rollout.yaml")
	r.install()
	h := r.host(mayRoll)
	r.put(h, content(t, bundle(), 1), delivery.EffectRestart)
	before := r.servers().Metadata.Generation
	done := make(chan error, 1)
	go func() { done <- h.Carry(t.Context(), delivery.EffectRestart) }()
	r.eventually("the template is marked", func() bool { return r.delivered() != "" })
	r.status(1, 2, "one", "two")
	// After a crash another process goes on with it.
	again, other := make(chan error, 1), r.host(mayRoll)
	go func() { again <- other.Carry(t.Context(), delivery.EffectRestart) }()
	r.status(3, 2, "one", "two")
	r.pending(done, again)
	r.status(3, 3, "two", "two")
	for _, ended := range []<-chan error{done, again} {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if got := r.servers().Metadata.Generation; got != before+1 {
		t.Fatalf("%d changes", got-before)
	}

	// Another content is another rollout; after a crash it is the one of what is there.
	mark := r.delivered()
	c := content(t, bundle(), 2)
	c.Secret["replicationToken"] = []byte("newer")
	r.put(h, c, delivery.EffectRestart)
	other = r.host(mayRoll)
	go func() { done <- other.Carry(t.Context(), delivery.EffectRestart) }()
	r.eventually("the template is marked anew", func() bool { return r.delivered() != mark })
	r.status(3, 3, "three", "three")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// pending checks that something has not ended, as far as that can be seen.
func (r *rig) pending(one, two <-chan error) {
	r.t.Helper()
	select {
	case err := <-one:
		r.t.Fatalf("it did not wait for the servers: %v", err)
	case err := <-two:
		r.t.Fatalf("it did not wait for the servers: %v", err)
	case <-time.After(100 * time.Millisecond): // a few looks at the rollout; too short a wait would only miss a bug
	}
}

func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit.C:
			r.t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func testRolloutForbidden(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	h := r.host(mayRoll)
	r.put(h, content(t, bundle(), 1), delivery.EffectRestart)
	refused(t, h.Carry(t.Context(), delivery.EffectRestart), kube.Forbidden, `"patch"`, "statefulsets", "consul-server")
	if r.delivered() != "" {
		t.Fatal("it was rolled")
	}
	// Not allowed by the agent's own flags, whatever the cluster allows.
	h = r.host(nil)
	if h.CanRestart() {
		t.Error("CanRestart")
	}
	refused(t, h.Carry(t.Context(), delivery.EffectRestart), kube.NoRollout, "kubectl rollout restart statefulset/consul-server", "--allow-rollout")
	// A reload needs nobody.
	if err := h.Carry(t.Context(), delivery.EffectReload); err != nil {
		t.Fatal(err)
	}
}

func testRolloutRefused(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.apply("agent-rollout.yaml")
	r.install()
	h := r.host(mayRoll)
	r.put(h, content(t, bundle(), 1), delivery.EffectRestart)

	strategy := func(value any) map[string]any { return map[string]any{"spec": map[string]any{"updateStrategy": value}} }
	r.edit(strategy(map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": 2}}))
	refused(t, h.Carry(t.Context(), delivery.EffectRestart), kube.RolloutStuck, "server.updatePartition")
	r.edit(strategy(map[string]any{"type": "OnDelete", "rollingUpdate": nil}))
	refused(t, h.Carry(t.Context(), delivery.EffectRestart), kube.RolloutStuck, "OnDelete")
}

// install plays helm install and the StatefulSet's controller: the servers run.
func (r *rig) install() {
	r.t.Helper()
	r.Apply(r.t, "testdata/consul-server.yaml", r.namespace)
	r.status(3, 3, "one", "one")
}

// A Consul that Helm installs after the Secret is there runs with it.
func testFresh(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	h := r.host(nil)
	c := content(t, bundle(), 1)
	for generation := range int32(2) { // more than once, and also when it changes meanwhile
		c.Generation = generation
		c.Secret["replicationToken"] = []byte{byte(generation)}
		_, err := h.Put(t.Context(), c)
		refused(t, err, kube.ByHelm, "consul-federation", "consul-server", "isthmus federation values")
		if got := r.read("consul-federation"); string(got.Data["replicationToken"]) != string(c.Secret["replicationToken"]) {
			t.Fatal("the Secret is not there")
		}
	}
	r.Apply(t, "testdata/consul-server.yaml", r.namespace)
	_, err := h.Put(t.Context(), c)
	refused(t, err, kube.RolloutStuck, "0 of 3 servers")
	if fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("code %s", fault.CodeOf(err))
	}
	r.status(3, 3, "one", "one")
	r.put(r.host(nil), c, delivery.EffectNone)
	// From then on a change needs a restart.
	c.Generation, c.Secret["replicationToken"] = 3, []byte("newer")
	r.put(h, c, delivery.EffectRestart)
}

// A Consul that runs without the Secret reads it after an upgrade by Helm, which restarts it.
func testUpgrade(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	r.notMounted()
	h := r.host(mayRoll)
	c, _ := keylessContent(t, newAuthority(t), time.Now(), 1)
	_, err := h.Put(t.Context(), c)
	refused(t, err, kube.SecretUnused, "consul-federation", "consul-server", "isthmus federation values")
	r.install()
	r.put(h, c, delivery.EffectNone)
}

// notMounted takes the Secrets out of the servers, as Helm does with other values.
func (r *rig) notMounted() {
	r.t.Helper()
	containers := []any{map[string]string{"name": "consul", "image": "hashicorp/consul:1.20.6"}}
	r.edit(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"volumes": nil, "containers": containers}}}})
}

func testLeaving(r *rig) {
	t := r.t
	r.apply("agent-secondary.yaml")
	r.install()
	c, _ := keylessContent(t, newAuthority(t), time.Now(), 1)
	h := r.host(nil)
	r.put(h, c, delivery.EffectRestart)
	_, err := h.Clear(t.Context())
	refused(t, err, kube.SecretInUse, "consul-federation", "consul-server", "Helm")
	_, err = h.Put(t.Context(), delivery.Content{Owner: owner})
	refused(t, err, kube.SecretInUse, "consul-federation")

	r.notMounted()
	// Another federation's stay.
	r.put(h, delivery.Content{Owner: "other/dc2"}, delivery.EffectNone)
	if r.read("consul-federation") == nil || r.read(certName) == nil {
		t.Fatal("a Secret of somebody else is gone")
	}
	r.put(h, delivery.Content{Owner: owner}, delivery.EffectNone)
	if r.read("consul-federation") != nil || r.read(certName) != nil {
		t.Fatal("the Secrets are still there")
	}
	if _, err := r.host(nil).Clear(t.Context()); err != nil { // there is nothing to clear
		t.Fatal(err)
	}
}
