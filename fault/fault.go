// Package fault is the one error type of isthmus: a code that programs act on, a message that is safe to show to users,
// and a cause that goes to the logs only.
//
// Owns: codes, field violations, the one table code → gRPC → HTTP that every interceptor uses, and the way back from gRPC
// that every client uses.
// Does not own: logging. Start reading at Error.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Code says what kind of failure it is.
type Code string

// The codes. Each stands for what the caller can do about it.
const (
	// Invalid: the input is wrong; see Violations.
	Invalid Code = "invalid"
	// NotFound: no such resource.
	NotFound Code = "not-found"
	// AlreadyExists: a resource of that name, or with that claim, is there.
	AlreadyExists Code = "already-exists"
	// Conflict: a precondition (index, require, fence) no longer holds; read again and retry.
	Conflict Code = "conflict"
	// Referenced: others refer to it; Violations lists them.
	Referenced Code = "referenced"
	// Refused: well-formed, but the state of things forbids it.
	Refused Code = "refused"
	// Unauthenticated: who the caller is, is not known.
	Unauthenticated Code = "unauthenticated"
	// Denied: the caller may not do this.
	Denied Code = "denied"
	// TooLarge: more than a limit allows.
	TooLarge Code = "too-large"
	// Busy: a limit is reached, and nothing was done; try again after RetryAfter.
	Busy Code = "busy"
	// Unavailable: not now; try again, perhaps elsewhere.
	Unavailable Code = "unavailable"
	// Canceled: the caller went away.
	Canceled Code = "canceled"
	// Timeout: the deadline passed.
	Timeout Code = "timeout"
	// Unimplemented: this binary does not know the call.
	Unimplemented Code = "unimplemented"
	// Internal: a bug or a broken machine; the message is fixed text.
	Internal Code = "internal"
)

// Header of an answer carries the fault's exact code, in gRPC metadata as over REST: gRPC's codes, and HTTP's, are coarser.
const Header = "x-isthmus-fault"

type mapping struct {
	grpc codes.Code
	http int
}

func table(c Code) mapping {
	switch c {
	case Invalid:
		return mapping{codes.InvalidArgument, http.StatusBadRequest}
	case NotFound:
		return mapping{codes.NotFound, http.StatusNotFound}
	case AlreadyExists:
		return mapping{codes.AlreadyExists, http.StatusConflict}
	case Conflict:
		return mapping{codes.Aborted, http.StatusConflict}
	case Referenced, Refused:
		return mapping{codes.FailedPrecondition, http.StatusBadRequest}
	case Unauthenticated:
		return mapping{codes.Unauthenticated, http.StatusUnauthorized}
	case Denied:
		return mapping{codes.PermissionDenied, http.StatusForbidden}
	case TooLarge:
		return mapping{codes.ResourceExhausted, http.StatusRequestEntityTooLarge}
	case Busy:
		return mapping{codes.ResourceExhausted, http.StatusTooManyRequests}
	case Unavailable:
		return mapping{codes.Unavailable, http.StatusServiceUnavailable}
	case Canceled:
		return mapping{codes.Canceled, 499}
	case Timeout:
		return mapping{codes.DeadlineExceeded, http.StatusGatewayTimeout}
	case Unimplemented:
		return mapping{codes.Unimplemented, http.StatusNotImplemented}
	case Internal:
		return mapping{codes.Internal, http.StatusInternalServerError}
	}
	return mapping{codes.Internal, http.StatusInternalServerError}
}

// GRPC is the code's gRPC code.
func (c Code) GRPC() codes.Code { return table(c).grpc }

// HTTP is the code's HTTP status.
func (c Code) HTTP() int { return table(c).http }

// Violation is what is wrong with one field.
type Violation struct {
	// Field is its path in lowerCamelCase (spec.dialer), with the document before it in a set of manifests.
	Field string
	// Reason is one CamelCase word.
	Reason string
	// Message says what is wrong and what would be right.
	Message string
}

// Error is an error with a code. Message and Violations are shown to users and hold no secret; Cause is for logs.
type Error struct {
	Code       Code
	Message    string
	Violations []Violation
	// RetryAfter is how long to wait before the same request is worth another try; 0: nothing is known of that.
	RetryAfter time.Duration
	Cause      error
}

// New makes an Error with a message for users.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error with a cause, which only logs show.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// Limited makes a Busy error: a limit is reached, and after a while there is room again. The message says which limit, and
// what changes it.
func Limited(after time.Duration, format string, args ...any) *Error {
	e := New(Busy, format, args...)
	e.RetryAfter = after
	return e
}

// Violated makes an Invalid error out of violations; there is at least one.
func Violated(violations ...Violation) *Error {
	message := fmt.Sprintf("%s: %s", violations[0].Field, violations[0].Message)
	if n := len(violations) - 1; n > 0 {
		message = fmt.Sprintf("%s (and %d more)", message, n)
	}
	return &Error{Code: Invalid, Message: message, Violations: violations}
}

// Error is the message with its cause, for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// GRPCStatus is what a gRPC client gets: code, message, violations, when to try again; never the cause.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(e.Code.GRPC(), e.Message)
	var details []protoadapt.MessageV1
	if len(e.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Description: v.Message, Reason: v.Reason,
			})
		}
		details = append(details, protoadapt.MessageV1Of(bad))
	}
	if e.RetryAfter > 0 {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)}))
	}
	if len(details) == 0 {
		return st
	}
	detailed, err := st.WithDetails(details...)
	if err != nil {
		return st
	}
	return detailed
}

// RetryAfter is how long the first Error in err's chain says to wait before the same is tried again; 0 when it says nothing.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// CodeOf is the code of the first Error in err's chain, Internal for others, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
