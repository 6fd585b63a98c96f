package client

import (
	"net/http"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/fault"
)

// decodeError turns an answer that is no success back into the fault that the server had.
func decodeError(res *http.Response, body []byte) error {
	st := &spb.Status{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, st); err != nil || st.GetMessage() == "" {
		return fault.New(codeOfHTTP(res.StatusCode), "the answer is HTTP status %d (%s), and not isthmus's: is there a proxy between?",
			res.StatusCode, strings.ToLower(http.StatusText(res.StatusCode)))
	}
	return fault.FromStatus(status.FromProto(st), fault.Code(res.Header.Get(fault.Header)))
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
