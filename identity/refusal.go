package identity

import (
	"fmt"

	"isthmus/fault"
)

// Reasons why something is not believed. Programs act on them; agents end with an exit code for each.
const (
	ReasonNotAToken          = "NotAToken"
	ReasonTokenVersion       = "TokenVersion"
	ReasonTokenTruncated     = "TokenTruncated"
	ReasonTokenTampered      = "TokenTampered"
	ReasonTokenUnknown       = "TokenUnknown"
	ReasonTokenExpired       = "TokenExpired"
	ReasonTokenUsed          = "TokenUsed"
	ReasonWrongDatacenter    = "WrongDatacenter"
	ReasonCSRMismatch        = "CSRMismatch"
	ReasonBadAttestation     = "BadAttestation"
	ReasonUntrusted          = "Untrusted"
	ReasonUnknownServer      = "UnknownServer"
	ReasonBadCertificate     = "BadCertificate"
	ReasonCertificateExpired = "CertificateExpired"
	ReasonCertificateTooOld  = "CertificateTooOld"
	ReasonAgentDeleted       = "AgentDeleted"
	ReasonNotApproved        = "NotApproved"
	ReasonWrongKey           = "WrongKey"
)

// refuse is a fault with one reason, about one field.
func refuse(code fault.Code, reason, field, format string, args ...any) *fault.Error {
	message := fmt.Sprintf(format, args...)
	return &fault.Error{
		Code: code, Message: message,
		Violations: []fault.Violation{{Field: field, Reason: reason, Message: message}},
	}
}
