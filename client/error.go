package client

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/fault"
)

// decodeError turns an answer that is no success back into the fault that the server had.
func decodeError(res *http.Response, body []byte) error {
	st := &spb.Status{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, st); err != nil || st.GetMessage() == "" {
		e := fault.New(codeOfHTTP(res.StatusCode), "the answer is HTTP status %d (%s), and not isthmus's: is there a proxy between?",
			res.StatusCode, strings.ToLower(http.StatusText(res.StatusCode)))
		e.RetryAfter = retryAfter(res)
		return e
	}
	return fault.FromStatus(status.FromProto(st), fault.Code(res.Header.Get(fault.Header)))
}

// retryAfter is what the header of that name says in seconds; a date, or nothing that can be read, is 0.
func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
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
