package client

import (
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/fault"
)

// decodeError turns an answer that is no success back into the fault that the server had.
func decodeError(status int, body []byte) error {
	st := &spb.Status{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, st); err != nil || st.GetMessage() == "" {
		return fault.New(codeOfHTTP(status), "the answer is HTTP status %d (%s), and not isthmus's: is there a proxy between?",
			status, strings.ToLower(http.StatusText(status)))
	}
	e := fault.New(codeOf(codes.Code(st.GetCode()), status), "%s", st.GetMessage())
	for _, detail := range st.GetDetails() {
		message, err := detail.UnmarshalNew()
		if err != nil {
			continue // a detail of a newer server
		}
		bad, ok := message.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			e.Violations = append(e.Violations, fault.Violation{
				Field: v.GetField(), Reason: v.GetReason(), Message: v.GetDescription(),
			})
		}
	}
	return e
}

// codeOf is the way back through fault's table. Where two codes share a gRPC code, the HTTP status tells them apart, as
// far as it can: Referenced reads as Refused.
func codeOf(code codes.Code, status int) fault.Code {
	candidates := []fault.Code{
		fault.Invalid, fault.NotFound, fault.AlreadyExists, fault.Conflict, fault.Refused, fault.Unauthenticated, fault.Denied,
		fault.TooLarge, fault.Busy, fault.Unavailable, fault.Canceled, fault.Timeout, fault.Unimplemented, fault.Internal,
	}
	for _, exact := range []bool{true, false} {
		for _, c := range candidates {
			if c.GRPC() == code && (!exact || c.HTTP() == status) {
				return c
			}
		}
	}
	return fault.Internal
}

// codeOfHTTP judges an answer that something other than isthmus gave.
func codeOfHTTP(status int) fault.Code {
	switch {
	case status == http.StatusUnauthorized:
		return fault.Unauthenticated
	case status == http.StatusForbidden:
		return fault.Denied
	case status == http.StatusNotFound:
		return fault.NotFound
	case status == http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	case status == http.StatusTooManyRequests:
		return fault.Busy
	case status >= http.StatusInternalServerError:
		return fault.Unavailable
	}
	return fault.Invalid
}
