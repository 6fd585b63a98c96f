package agent

import (
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc/status"

	"isthmus/fault"
	"isthmus/identity"
)

// fromServer turns what an RPC failed with into a fault with the server's code, message and reasons. refused is why the
// server's certificate was not believed last, which may be long ago.
func fromServer(err, refused error, doing string) error {
	if own, ok := errors.AsType[*fault.Error](err); ok {
		return own
	}
	out := fault.FromStatus(status.Convert(err), "")
	switch {
	case out.Code == fault.Unavailable && shows(out.Message, refused):
		return fault.Wrap(fault.Denied, refused, "%s: the server is not the one that was pinned", doing)
	case out.Code == fault.Unavailable:
		return fault.Wrap(out.Code, err, "%s: the server does not answer", doing) // gRPC's text says more, and is for logs
	}
	out.Message = doing + ": " + out.Message
	return out
}

// shows tells whether a connection failed for that cause. gRPC keeps but the cause's text, quoted.
func shows(message string, cause error) bool {
	if cause == nil {
		return false
	}
	quoted := strconv.Quote(cause.Error())
	return strings.Contains(message, quoted[1:len(quoted)-1])
}

// refusal is the first reason that identity or the server gave, "" for none.
func refusal(err error) string {
	var e *fault.Error
	for errors.As(err, &e) {
		for _, v := range e.Violations {
			if v.Reason != "" {
				return v.Reason
			}
		}
		err = e.Cause
		if err == nil {
			break
		}
	}
	return ""
}

// final turns a refusal that no waiting mends into the end of the agent. Others are returned as they are. Whether the server
// is the right one is final only for an agent that has not enrolled: later, it is an outage.
func final(err error, enrolling bool) error {
	exit := ExitFailure
	switch refusal(err) {
	case identity.ReasonAgentDeleted:
		exit = ExitAgentDeleted
	case identity.ReasonCertificateTooOld:
		exit = ExitCertificateTooOld
	}
	if enrolling {
		switch refusal(err) {
		case identity.ReasonWrongDatacenter:
			exit = ExitWrongDatacenter
		case identity.ReasonTokenExpired:
			exit = ExitTokenExpired
		case identity.ReasonTokenUsed:
			exit = ExitTokenUsed
		case identity.ReasonTokenUnknown, identity.ReasonTokenTampered, identity.ReasonTokenTruncated, identity.ReasonTokenVersion,
			identity.ReasonNotAToken, identity.ReasonBadAttestation, identity.ReasonCSRMismatch:
			exit = ExitTokenInvalid
		case identity.ReasonUnknownServer:
			exit = ExitUntrusted
		}
	}
	if exit == ExitFailure {
		return err
	}
	return exiting(exit, err)
}
