package kube

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
)

// Marks of what isthmus wrote. A Secret is ours when it has the label and our owner; with the label alone, somebody made it for us.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	managedBy      = "isthmus"
	// annotationOwner says for whom it is: a federation's uid and Consul's datacenter.
	annotationOwner = "isthmus.io/federation"
	// annotationGeneration is the bundle's that the data are from.
	annotationGeneration = "isthmus.io/bundle-generation"
	// annotationRunning is the digest of the data that the servers run with.
	annotationRunning = "isthmus.io/running"
	// annotationDelivered on the pods' template is the digest of the data that they were rolled for.
	annotationDelivered = "isthmus.io/delivered"
)

// Types of Secrets.
const (
	typeOpaque = "Opaque"
	typeTLS    = "kubernetes.io/tls"
)

// Keys of a Secret of type kubernetes.io/tls.
const (
	keyCert = "tls.crt"
	keyKey  = "tls.key"
)

// writeTries is how often a write is repeated that somebody else was faster than: the other agent of the datacenter, as a rule.
const writeTries = 5

// Put implements delivery.Host: it writes the federation Secret and, when keyless, the one of the server certificate. Both change
// nothing when their data are as wanted.
//
// Without Secret in content, which is before a join, the Secret has the CA certificates to trust alone. Without anything it is Clear.
//
// While the servers do not read them, it is Refused with that: Helm has to install or upgrade them, which starts them with what is
// written by then.
func (h *Host) Put(ctx context.Context, content delivery.Content) (delivery.Effect, error) {
	wanted, err := h.wanted(content)
	if err != nil {
		return delivery.EffectNone, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owner = content.Owner
	if !slices.ContainsFunc(wanted, func(o object) bool { return len(o.data) > 0 }) {
		return delivery.EffectNone, h.clearAll(ctx)
	}
	var effect delivery.Effect
	for _, w := range wanted {
		digest, running, err := h.putOne(ctx, w)
		if err != nil {
			return effect, err
		}
		*w.digest = digest
		if digest != running {
			effect = max(effect, w.effect)
		}
	}
	return effect, h.used(ctx, wanted, effect)
}

// used tells whether the servers are there and read what is delivered.
func (h *Host) used(ctx context.Context, delivered []object, effect delivery.Effect) error {
	set, err := h.api.statefulSet(ctx, h.config.StatefulSet)
	if err != nil {
		return err
	}
	for _, o := range delivered {
		if len(o.data) == 0 || set.reads(o.name) {
			continue
		}
		// Who reads it first reads what is there now.
		if err := h.noteAll(ctx); err != nil {
			return err
		}
		if set == nil {
			return because(ByHelm, fault.Refused,
				"Secret %s in namespace %s is there, and the servers (StatefulSet %s) are not yet: install Consul's Helm release with the values that `isthmus federation values` prints for this datacenter",
				o.name, h.config.Namespace, h.config.StatefulSet)
		}
		return because(SecretUnused, fault.Refused,
			"the servers (StatefulSet %s in namespace %s) do not read Secret %s yet: upgrade Consul's Helm release with the values that `isthmus federation values` prints for this datacenter",
			h.config.StatefulSet, h.config.Namespace, o.name)
	}
	if effect < delivery.EffectRestart && !set.rolled() {
		return because(RolloutStuck, fault.Unavailable, "StatefulSet %s in namespace %s is being rolled: %d of %d servers are ready",
			h.config.StatefulSet, h.config.Namespace, set.Status.ReadyReplicas, set.replicas())
	}
	return nil
}

// object is one Secret as it shall be.
type object struct {
	// option is the flag that names it.
	name, option, kind string
	data               map[string][]byte
	owner              string
	generation         int32
	// effect of a change, and where the digest of what is there now goes.
	effect delivery.Effect
	digest *string
	// keep tells that what is there will do.
	keep func(there map[string][]byte) bool
}

// wanted are the Secrets for content; those without data shall not be there.
func (h *Host) wanted(content delivery.Content) ([]object, error) {
	if content.Secret == nil && federation.NeedsRestart(nil, content.DropIn) {
		return nil, because(ByHelm, fault.Refused, "the configuration of Consul servers on Kubernetes is made of Helm values: upgrade Consul's release with those that `isthmus federation values` prints for this datacenter")
	}
	data := content.Secret
	if data == nil && len(content.CA) > 0 {
		data = map[string][]byte{federation.SecretCACert: content.CA}
	}
	if len(data) > 0 && content.Owner == "" {
		return nil, because(Bad, fault.Internal, "the content for Secret %s is nobody's", h.config.Secret)
	}
	main := object{
		name: h.config.Secret, option: flagSecret, kind: typeOpaque, data: data, owner: content.Owner, generation: content.Generation,
		effect: delivery.EffectRestart, digest: &h.put.federation,
	}
	keyless := len(data[federation.SecretCAKey]) == 0 && content.Secret != nil
	cert := object{
		name: h.config.ServerCertSecret, option: flagServerCert, kind: typeTLS, owner: content.Owner, generation: content.Generation,
		effect: delivery.EffectReload, digest: &h.put.serverCert,
	}
	// With a CA key the chart makes the servers' certificates itself.
	if keyless && len(content.Cert) > 0 && len(content.Key) > 0 {
		cert.data = map[string][]byte{keyCert: content.Cert, keyKey: content.Key}
		cert.keep = func(there map[string][]byte) bool {
			return serves(there[keyCert], there[keyKey], content.Cert, content.CA, h.config.Now())
		}
	}
	return []object{main, cert}, nil
}

// putOne makes one Secret as wanted, and gives the digests of what is there now and of what the servers run with.
func (h *Host) putOne(ctx context.Context, w object) (digest, running string, err error) {
	for range writeTries {
		there, err := h.api.secret(ctx, w.name)
		if err != nil {
			return "", "", err
		}
		if len(w.data) == 0 {
			return "", "", h.removeUnused(ctx, there, w.owner)
		}
		if done, err := h.stays(there, w); done || err != nil {
			if err != nil {
				return "", "", err
			}
			return digestOf(there.Data), runningOf(there), nil
		}
		changed, err := h.write(ctx, there, w)
		if err != nil {
			return "", "", err
		}
		if changed {
			continue
		}
		return digestOf(w.data), runningOf(there), nil
	}
	return "", "", because(Raced, fault.Unavailable, "somebody else keeps changing Secret %s in namespace %s", w.name, h.config.Namespace)
}

// runningOf is the digest that the servers run with; for a Secret that a human made with our data it is those data's, since the
// human started the servers.
func runningOf(s *secretObject) string {
	switch {
	case s == nil:
		return ""
	case s.Labels[labelManagedBy] != managedBy:
		return digestOf(s.Data)
	}
	return s.Annotations[annotationRunning]
}

// stays tells that a Secret is to be left as it is, or that it is not ours to change.
func (h *Host) stays(there *secretObject, w object) (bool, error) {
	if there == nil {
		return false, nil
	}
	if maps.EqualFunc(there.Data, w.data, slices.Equal[[]byte]) && there.Type == w.kind {
		return true, nil
	}
	if there.Labels[labelManagedBy] != managedBy {
		return false, because(ForeignSecret, fault.Refused,
			"Secret %s in namespace %s is there already, with other content, and is not isthmus's: delete it, hand it over (kubectl label secret %s %s=%s), or give another name with %s",
			w.name, h.config.Namespace, w.name, labelManagedBy, managedBy, w.option)
	}
	// A Secret without owner was handed over.
	if owner := there.Annotations[annotationOwner]; owner != "" && owner != w.owner {
		return false, because(ForeignSecret, fault.Refused,
			"Secret %s in namespace %s is of another federation or datacenter (annotation %s: %s): delete it when that one is gone, or give another name with %s",
			w.name, h.config.Namespace, annotationOwner, owner, w.option)
	}
	if there.Type != w.kind {
		return false, because(ForeignSecret, fault.Refused, "Secret %s in namespace %s is of type %s, which cannot be changed to %s: delete it", w.name, h.config.Namespace, there.Type, w.kind)
	}
	if w.keep != nil && w.keep(there.Data) {
		return true, nil
	}
	// Another agent of the datacenter knows a newer bundle.
	generation, err := strconv.ParseInt(there.Annotations[annotationGeneration], 10, 32)
	return err == nil && int32(generation) > w.generation, nil
}

// write creates a Secret or updates ours; foreign labels, annotations and owners on it stay.
func (h *Host) write(ctx context.Context, there *secretObject, w object) (changed bool, err error) {
	verb, s := "update", there
	if there == nil {
		verb, s = "create", &secretObject{ObjectMeta: metav1.ObjectMeta{Name: w.name, Namespace: h.config.Namespace}, Type: w.kind}
	}
	s.Labels = with(s.Labels, labelManagedBy, managedBy)
	s.Annotations = with(s.Annotations, annotationOwner, w.owner)
	s.Annotations = with(s.Annotations, annotationGeneration, strconv.Itoa(int(w.generation)))
	s.Data = w.data
	changed, err = h.api.writeSecret(ctx, verb, s)
	if err == nil && !changed {
		h.log.Info("wrote a Secret", "secret", w.name, "namespace", h.config.Namespace, "generation", w.generation, "verb", verb)
	}
	return changed, err
}

func with(values map[string]string, key, value string) map[string]string {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}

// digestOf names data without telling what they are: gossip keys, tokens and keys are too long to be guessed.
func digestOf(data map[string][]byte) string {
	hash := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		for _, part := range [][]byte{[]byte(key), data[key]} {
			hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			hash.Write(part)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Done implements delivery.Host: it notes in the Secrets what the servers run with.
func (h *Host) Done(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.noteAll(ctx)
}

func (h *Host) noteAll(ctx context.Context) error {
	if err := h.note(ctx, h.config.Secret, h.put.federation); err != nil {
		return err
	}
	return h.note(ctx, h.config.ServerCertSecret, h.put.serverCert)
}

// note writes the mark, unless the Secret is not ours, or has become another one since this agent's Put.
func (h *Host) note(ctx context.Context, name, digest string) error {
	if digest == "" {
		return nil
	}
	for range writeTries {
		s, err := h.api.secret(ctx, name)
		if err != nil {
			return err
		}
		if s == nil || s.Labels[labelManagedBy] != managedBy || s.Annotations[annotationRunning] == digest || digestOf(s.Data) != digest {
			return nil
		}
		s.Annotations = with(s.Annotations, annotationRunning, digest)
		changed, err := h.api.writeSecret(ctx, "update", s)
		if err != nil || !changed {
			return err
		}
	}
	return because(Raced, fault.Unavailable, "somebody else keeps changing Secret %s in namespace %s", name, h.config.Namespace)
}

// Clear implements delivery.Host. A Secret that the servers still read stays, since without it their pods would not start again:
// Refused, until Helm has taken it out of them. Nothing has to follow then: Helm has restarted them.
func (h *Host) Clear(ctx context.Context) (delivery.Effect, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return delivery.EffectNone, h.clearAll(ctx)
}

func (h *Host) clearAll(ctx context.Context) error {
	for _, name := range []string{h.config.Secret, h.config.ServerCertSecret} {
		if err := h.clearOne(ctx, name); err != nil {
			return err
		}
	}
	h.put = state{}
	return nil
}

func (h *Host) clearOne(ctx context.Context, name string) error {
	for range writeTries {
		there, err := h.api.secret(ctx, name)
		if err != nil || !h.removable(there, h.owner) {
			return err
		}
		set, err := h.api.statefulSet(ctx, h.config.StatefulSet)
		if err != nil {
			return err
		}
		if set.reads(name) {
			return because(SecretInUse, fault.Refused,
				"the servers (StatefulSet %s in namespace %s) still read Secret %s, and would not start without it: first upgrade Consul's Helm release with values that do not name it; it is deleted then",
				h.config.StatefulSet, h.config.Namespace, name)
		}
		if changed, err := h.remove(ctx, there); err != nil || !changed {
			return err
		}
	}
	return because(Raced, fault.Unavailable, "somebody else keeps changing Secret %s in namespace %s", name, h.config.Namespace)
}

// removable tells that a Secret is ours: owner's, or any federation's when this process never knew one.
func (h *Host) removable(s *secretObject, owner string) bool {
	if s == nil || s.Labels[labelManagedBy] != managedBy || s.Annotations[annotationOwner] == "" {
		return false
	}
	return owner == "" || s.Annotations[annotationOwner] == owner
}

// removeUnused removes what is wanted no more; while the servers still read it, it stays until a later Put.
func (h *Host) removeUnused(ctx context.Context, there *secretObject, owner string) error {
	if !h.removable(there, owner) {
		return nil
	}
	set, err := h.api.statefulSet(ctx, h.config.StatefulSet)
	if err != nil || set.reads(there.Name) {
		return err
	}
	_, err = h.remove(ctx, there)
	return err
}

func (h *Host) remove(ctx context.Context, s *secretObject) (changed bool, err error) {
	changed, err = h.api.deleteSecret(ctx, s)
	if err == nil && !changed {
		h.log.Info("deleted a Secret", "secret", s.Name, "namespace", h.config.Namespace)
	}
	return changed, err
}
