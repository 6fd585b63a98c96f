package agent

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/fault"
	"isthmus/identity"
)

// fromServer turns what an RPC failed with into a fault with the server's code, message and reasons. refused is why the
// server's certificate was not believed, when that is why no connection came about.
func fromServer(err, refused error, doing string) error {
	if own, ok := errors.AsType[*fault.Error](err); ok {
		return own
	}
	st := status.Convert(err)
	code := codeOf(st.Code())
	if code == fault.Unavailable && refused != nil {
		return fault.Wrap(fault.Denied, refused, "%s: the server is not the one that was pinned", doing)
	}
	message := doing + ": " + st.Message()
	if code == fault.Unavailable {
		message = doing + ": the server does not answer" // gRPC's text says more, and is for logs
	}
	out := fault.Wrap(code, err, "%s", message)
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				out.Violations = append(out.Violations, fault.Violation{Field: v.GetField(), Reason: v.GetReason(), Message: v.GetDescription()})
			}
		case *errdetails.ErrorInfo:
			out.Violations = append(out.Violations, fault.Violation{Reason: d.GetReason(), Message: st.Message()})
		}
	}
	return out
}

func codeOf(c codes.Code) fault.Code {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.Invalid
	case codes.NotFound:
		return fault.NotFound
	case codes.AlreadyExists:
		return fault.AlreadyExists
	case codes.Aborted:
		return fault.Conflict
	case codes.FailedPrecondition:
		return fault.Refused
	case codes.Unauthenticated:
		return fault.Unauthenticated
	case codes.PermissionDenied:
		return fault.Denied
	case codes.ResourceExhausted:
		return fault.Busy
	case codes.Unavailable:
		return fault.Unavailable
	case codes.Canceled:
		return fault.Canceled
	case codes.DeadlineExceeded:
		return fault.Timeout
	case codes.Unimplemented:
		return fault.Unimplemented
	default:
		return fault.Internal
	}
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
