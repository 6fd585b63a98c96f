package agent

import (
	"isthmus/agent/delivery"
	"isthmus/agent/kube"
)

// newKubernetesHost is the Consul servers of a Kubernetes cluster, as the flags say.
func newKubernetesHost(config Config) (delivery.Host, error) {
	k := config.Federation.Kubernetes
	return kube.NewHost(kube.Config{
		Kubeconfig: k.Kubeconfig, InCluster: k.InCluster, Namespace: k.Namespace, Secret: k.SecretName, ServerCertSecret: k.ServerCertSecret,
		CACertSecret: k.CACertSecret, CAKeySecret: k.CAKeySecret, StatefulSet: k.StatefulSet, AllowRollout: k.AllowRollout,
		Log: config.Log.Named("kubernetes"), Now: config.Now,
	})
}
