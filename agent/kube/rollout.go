package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"isthmus/agent/delivery"
	"isthmus/fault"
)

// statefulSet is what is looked at of an apps/v1 StatefulSet. It is read only: changes are patches.
type statefulSet struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas       *int32 `json:"replicas"`
		UpdateStrategy struct {
			Type          string `json:"type"`
			RollingUpdate *struct {
				Partition *int32 `json:"partition"`
			} `json:"rollingUpdate"`
		} `json:"updateStrategy"`
		Template struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              podSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int64  `json:"observedGeneration"`
		ReadyReplicas      int32  `json:"readyReplicas"`
		UpdatedReplicas    int32  `json:"updatedReplicas"`
		CurrentRevision    string `json:"currentRevision"`
		UpdateRevision     string `json:"updateRevision"`
	} `json:"status"`
}

// podSpec is where a pod names Secrets, as far as Consul's chart does.
type podSpec struct {
	Volumes []struct {
		Secret    *struct{ SecretName string } `json:"secret"`
		Projected *struct {
			Sources []struct {
				Secret *struct{ Name string } `json:"secret"`
			} `json:"sources"`
		} `json:"projected"`
	} `json:"volumes"`
	Containers     []container `json:"containers"`
	InitContainers []container `json:"initContainers"`
}

type container struct {
	Env []struct {
		ValueFrom *struct {
			SecretKeyRef *struct{ Name string } `json:"secretKeyRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	EnvFrom []struct {
		SecretRef *struct{ Name string } `json:"secretRef"`
	} `json:"envFrom"`
}

// reads tells that the pods get a Secret, as files or environment. Without servers (nil) nothing reads it.
func (s *statefulSet) reads(secret string) bool {
	if s == nil {
		return false
	}
	spec := &s.Spec.Template.Spec
	for _, v := range spec.Volumes {
		if v.Secret != nil && v.Secret.SecretName == secret {
			return true
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.Secret != nil && source.Secret.Name == secret {
				return true
			}
		}
	}
	for _, c := range append(append([]container{}, spec.Containers...), spec.InitContainers...) {
		if c.reads(secret) {
			return true
		}
	}
	return false
}

func (c container) reads(secret string) bool {
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == secret {
			return true
		}
	}
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil && e.SecretRef.Name == secret {
			return true
		}
	}
	return false
}

func (s *statefulSet) replicas() int32 {
	if s.Spec.Replicas == nil {
		return 1 // Kubernetes' own default
	}
	return *s.Spec.Replicas
}

// stuck tells why a change of the template would not reach all pods.
func (s *statefulSet) stuck() string {
	strategy := s.Spec.UpdateStrategy
	switch {
	case strategy.Type != "" && strategy.Type != "RollingUpdate":
		return "its update strategy is " + strategy.Type
	case strategy.RollingUpdate != nil && strategy.RollingUpdate.Partition != nil && *strategy.RollingUpdate.Partition > 0:
		return "it has an update partition (Helm value server.updatePartition)"
	}
	return ""
}

// rolled tells that all pods are of the newest template, and ready.
func (s *statefulSet) rolled() bool {
	return s.Status.ObservedGeneration >= s.Generation && s.Status.CurrentRevision == s.Status.UpdateRevision &&
		s.Status.ReadyReplicas >= s.replicas()
}

// Carry implements delivery.Host. A reload needs nothing from here: the kubelet brings a changed Secret into the pods within about a
// minute, and Consul, which the Helm values of a keyless federation tell so (auto_reload_config), reads changed certificates itself.
// A restart rolls the StatefulSet, one server after the other and each only when the one before it is ready, and waits for the end.
// Called again after a crash, it goes on with the same rollout.
func (h *Host) Carry(ctx context.Context, effect delivery.Effect) error {
	if effect < delivery.EffectRestart {
		return nil
	}
	if !h.config.AllowRollout {
		return because(NoRollout, fault.Refused, "Consul's servers have to be restarted: kubectl rollout restart statefulset/%s --namespace %s, or let the agent do it with %s",
			h.config.StatefulSet, h.config.Namespace, flagRollout)
	}
	set, err := h.api.statefulSet(ctx, h.config.StatefulSet)
	if err != nil {
		return err
	}
	if set == nil {
		return nil // it was there when Put looked: there is nothing to restart any more
	}
	if why := set.stuck(); why != "" {
		return because(RolloutStuck, fault.Refused, "StatefulSet %s in namespace %s does not roll by itself: %s", h.config.StatefulSet, h.config.Namespace, why)
	}
	return h.roll(ctx, set)
}

// roll marks the template with what it is rolled for, unless it is marked so, and waits.
func (h *Host) roll(ctx context.Context, set *statefulSet) error {
	digest, err := h.delivered(ctx)
	if err != nil {
		return err
	}
	if set.Spec.Template.Annotations[annotationDelivered] != digest {
		patch := map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotationDelivered: digest}}}}}
		if err := h.api.patchStatefulSet(ctx, h.config.StatefulSet, patch); err != nil {
			return err
		}
		h.log.Info("rolling the servers, so that they read the Secret", "statefulset", h.config.StatefulSet, "namespace", h.config.Namespace)
	}
	return h.waitRolled(ctx)
}

// delivered is the digest of what the last Put left, or after a crash of what is there.
func (h *Host) delivered(ctx context.Context) (string, error) {
	h.mu.Lock()
	put := h.put
	h.mu.Unlock()
	if put.federation != "" {
		return put.federation, nil
	}
	s, err := h.api.secret(ctx, h.config.Secret)
	if err != nil {
		return "", err
	}
	if s == nil {
		return "", because(SecretMissing, fault.Unavailable, "Secret %s in namespace %s is gone", h.config.Secret, h.config.Namespace)
	}
	return digestOf(s.Data), nil
}

func (h *Host) waitRolled(ctx context.Context) error {
	limit := time.NewTimer(rolloutTimeout)
	defer limit.Stop()
	tick := time.NewTicker(h.config.RolloutPoll)
	defer tick.Stop()
	for {
		set, err := h.api.statefulSet(ctx, h.config.StatefulSet)
		if err != nil {
			return err
		}
		if set == nil || set.rolled() {
			return nil
		}
		select {
		case <-ctx.Done():
			return wrap(RolloutStuck, fault.Canceled, ctx.Err(), "waiting for the rollout of StatefulSet %s", h.config.StatefulSet)
		case <-limit.C:
			return because(RolloutStuck, fault.Unavailable, "the rollout of StatefulSet %s in namespace %s has not ended: %d of %d servers are new and %d are ready. kubectl rollout status tells more",
				h.config.StatefulSet, h.config.Namespace, set.Status.UpdatedReplicas, set.replicas(), set.Status.ReadyReplicas)
		case <-tick.C:
		}
	}
}
