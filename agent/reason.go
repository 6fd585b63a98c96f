package agent

import (
	"errors"

	"isthmus/agent/consul"
	"isthmus/agent/kube"
	"isthmus/fault"
)

// Reasons that the agent itself has for not doing something, beside Consul's (consul.Reason): one CamelCase word each, for
// reports.
const (
	reasonWrongConsul  = "WrongConsulDatacenter"
	reasonPartition    = "WrongConsulPartition"
	reasonNameTaken    = "NameTaken"
	reasonNoRecipient  = "NoTrustedRecipient"
	reasonNoSender     = "NoTrustedSender"
	reasonSecret       = "SecretRefused"
	reasonNoFleetKey   = "FleetKeyUnknown"
	reasonSecretGone   = "SecretGone"
	reasonServer       = "ServerUnreachable"
	reasonRefused      = "ServerRefused"
	reasonConflict     = "Conflict"
	reasonTooMany      = "TooManyExports"
	reasonConfigByHand = "ConfigEntryByHand"
	reasonInternal     = "AgentError"
	reasonSecondary    = "SecondaryOfFederation"
	// What keeps a primary from making a bundle, or from taking it back.
	reasonNotPrimary = "NotAPrimary"
	reasonCA         = "CAUnreadable"
	reasonGossip     = "GossipKeyUnclear"
	reasonNoWay      = "NoWayToPrimary"
	reasonConsulName = "WrongConsulName"
	reasonRequest    = "CertificateRequestRefused"
	reasonNoRequest  = "NoCertificateRequest"
	reasonRecipient  = "RecipientNotAllowed"
	reasonNoMember   = "NoMember"
	reasonAlive      = "StillInWANGossip"
	reasonJoin       = "WANJoinFailed"
	// reasonUntrustedCA: the server names a CA that nobody proves.
	reasonUntrustedCA = "UntrustedCA"
	// What keeps a host from taking what a federation gives it.
	reasonNoConfigDir    = "NoConfigDir"
	reasonJoinNotAllowed = "JoinNotAllowed"
	reasonOwnCA          = "OwnCAUnknown"
	reasonDomain         = "WrongDomain"
	reasonNoBundle       = "NoBundle"
	reasonNoCertificate  = "NoCertificate"
	reasonNoConsul       = "ConsulNotThere"
	reasonOtherPrimary   = "OtherPrimary"
	reasonLoss           = "LossNotAccepted"
	reasonGossipMismatch = "GossipMismatch"
	reasonGossipSwitch   = "GossipKeyNotChanged"
	reasonExportsThere   = "ExportsNotDeleted"
	reasonLossUnknown    = "LossUnknown"
	// reasonLeaderFirst: only the leading agent tells whether what a join destroys is what was accepted.
	reasonLeaderFirst = "WaitingForLeader"
	// reasonOtherFederation: the server names another federation than the one that this host is in.
	reasonOtherFederation = "OtherFederation"
	// reasonMeshCA: a datacenter that left has the primary's mesh.
	reasonMeshCA = "MeshCAOfPrimary"
	// What keeps Consul from running with it.
	reasonOtherHost = "OtherHostRestarts"
	reasonNotWell   = "ServersNotWell"
	reasonNotTaken  = "ConfigurationNotTaken"
	reasonRestart   = "RestartRequired"
	reasonCommand   = "CommandFailed"
	reasonStranger  = "TokenNotKnown"
	// What keeps a part out of a config entry.
	reasonMetaFull   = "MetaFull"
	reasonLegacy     = "LegacyIntentions"
	reasonForeign    = "WrittenByHand"
	reasonAdopt      = "AdoptNotAllowed"
	reasonKubernetes = "ManagedByKubernetes"
	reasonDrift      = "ChangedByHand"
	reasonContested  = "Contested"
	reasonNeedsHTTP  = "NeedsHTTP"
	reasonValue      = "ValueUnreadable"
	// reasonOutdated is for the log only: no end failed for it.
	reasonOutdated = "StateOutdated"
)

// reason is the cause inside of a *fault.Error that says why in one word.
type reason string

// Error implements error.
func (r reason) Error() string { return string(r) }

// because makes an error with a reason for reports.
func because(code fault.Code, why, format string, args ...any) error {
	return fault.Wrap(code, reason(why), format, args...)
}

// reasonOf is the word for an error in a report; empty for nil.
func reasonOf(err error) string {
	var own reason
	var problem *consul.Problem
	var kubernetes *kube.Problem
	switch {
	case err == nil:
		return ""
	case errors.As(err, &own):
		return string(own)
	case errors.As(err, &problem):
		return string(problem.Reason)
	case errors.As(err, &kubernetes):
		return string(kubernetes.Reason)
	}
	switch fault.CodeOf(err) {
	case fault.Unavailable, fault.Timeout, fault.Canceled:
		return reasonServer
	case fault.Conflict:
		return reasonConflict
	case fault.Refused, fault.Denied, fault.NotFound, fault.Invalid:
		return reasonRefused
	default:
		return reasonInternal
	}
}

// messageOf is what users are shown of an error: never its cause.
func messageOf(err error) string {
	var e *fault.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Message
	}
	return "the agent failed; its log tells more"
}
