package fault

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// FromStatus is the way back of GRPCStatus: the fault that a server had, for its clients. exact is what the answer's Header
// says, empty when there is none; it is believed where it fits the status. Violations are those of the status's BadRequest,
// and the reasons of its ErrorInfo; RetryAfter is its RetryInfo's.
func FromStatus(st *status.Status, exact Code) *Error {
	e := &Error{Code: codeOf(st.Code()), Message: st.Message()}
	if exact.known() && exact.GRPC() == st.Code() {
		e.Code = exact
	}
	for _, detail := range st.Details() { // one that this binary does not know is an error here, and is read over
		switch d := detail.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{Field: v.GetField(), Reason: v.GetReason(), Message: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = max(0, d.GetRetryDelay().AsDuration())
		case *errdetails.ErrorInfo:
			e.Violations = append(e.Violations, Violation{Reason: d.GetReason(), Message: st.Message()})
		}
	}
	return e
}

// codeOf is the table backwards. Of codes that share a gRPC code it is the one that claims less.
func codeOf(c codes.Code) Code {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange:
		return Invalid
	case codes.NotFound:
		return NotFound
	case codes.AlreadyExists:
		return AlreadyExists
	case codes.Aborted:
		return Conflict
	case codes.FailedPrecondition:
		return Refused
	case codes.Unauthenticated:
		return Unauthenticated
	case codes.PermissionDenied:
		return Denied
	case codes.ResourceExhausted:
		return Busy
	case codes.Unavailable:
		return Unavailable
	case codes.Canceled:
		return Canceled
	case codes.DeadlineExceeded:
		return Timeout
	case codes.Unimplemented:
		return Unimplemented
	default:
		return Internal
	}
}

// known tells whether it is one of the codes: a newer server may have others.
func (c Code) known() bool {
	return c == Internal || table(c).grpc != codes.Internal
}
