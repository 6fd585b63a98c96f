package kube

import (
	"isthmus/fault"
)

// Reason tells why Kubernetes did not get what it should, as one CamelCase word that is fit for a report.
type Reason string

// The reasons.
const (
	// Unreachable: nothing answers at the address of the Kubernetes API, or not in time, or it is overloaded.
	Unreachable Reason = "KubernetesUnreachable"
	// Unauthenticated: the API does not know the agent's credentials.
	Unauthenticated Reason = "KubernetesTokenRefused"
	// Forbidden: the agent's Role lacks a verb; the message names it.
	Forbidden Reason = "KubernetesRightMissing"
	// NoNamespace: the namespace is not there, or about to go.
	NoNamespace Reason = "KubernetesNamespaceMissing"
	// Rejected: the API does not take what it is given: an admission rule, a quota, an immutable Secret.
	Rejected Reason = "KubernetesRejected"
	// Raced: somebody else wrote at the same time, again and again.
	Raced Reason = "KubernetesConflict"
	// ForeignSecret: a Secret of that name is somebody else's.
	ForeignSecret Reason = "SecretNameTaken"
	// SecretMissing: a Secret that is to be read, or a key of it, is not there.
	SecretMissing Reason = "SecretMissing"
	// SecretUnused: the servers do not read the Secret: the Helm values are missing.
	SecretUnused Reason = "SecretNotUsed"
	// SecretInUse: the servers still read a Secret that is to go.
	SecretInUse Reason = "SecretInUse"
	// ByHelm: this is a Helm value's to change.
	ByHelm Reason = "HelmValuesNeeded"
	// NoRollout: a restart is needed, and may not be done from here.
	NoRollout Reason = "RestartRequired"
	// RolloutStuck: the StatefulSet does not roll, or not to its end.
	RolloutStuck Reason = "RolloutNotFinished"
	// Bad: the agent was given something that makes no Secret, or the API answered something that is no answer.
	Bad Reason = "KubernetesAnswerInvalid"
)

// Problem is the cause inside of the *fault.Error that calls return. It holds nothing of any Secret.
type Problem struct {
	Reason Reason
	cause  error
}

// Error implements error.
func (p *Problem) Error() string {
	if p.cause != nil {
		return string(p.Reason) + ": " + p.cause.Error()
	}
	return string(p.Reason)
}

// Unwrap gives what went wrong below.
func (p *Problem) Unwrap() error { return p.cause }

func because(reason Reason, code fault.Code, format string, args ...any) error {
	return fault.Wrap(code, &Problem{Reason: reason}, format, args...)
}

func wrap(reason Reason, code fault.Code, cause error, format string, args ...any) error {
	return fault.Wrap(code, &Problem{Reason: reason, cause: cause}, format, args...)
}
