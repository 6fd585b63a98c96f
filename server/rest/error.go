package rest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/fault"
)

// carrier separates the message of a decoding error from its violations: generated code keeps nothing of such an error
// but its text.
const carrier = "\x00"

// carry makes an error whose text keeps a fault's violations.
func carry(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Violations) == 0 {
		return err
	}
	violations, encodeErr := json.Marshal(f.Violations)
	if encodeErr != nil {
		return err
	}
	return errors.New(f.Message + carrier + string(violations))
}

// uncarry is the status with the violations of its text, if it has some.
func uncarry(st *status.Status) *status.Status {
	message, encoded, found := strings.Cut(st.Message(), carrier)
	if !found {
		return st
	}
	f := &fault.Error{Code: fault.Invalid, Message: message}
	if json.Unmarshal([]byte(encoded), &f.Violations) != nil {
		return status.New(st.Code(), message)
	}
	return f.GRPCStatus()
}

func handleError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	exact := fault.Code("")
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		if code := md.HeaderMD.Get(fault.Header); len(code) > 0 {
			exact = fault.Code(code[0])
		}
		for key, values := range md.HeaderMD {
			if name, ok := outgoingHeader(key); ok && len(values) > 0 {
				w.Header().Set(name, values[0])
			}
		}
		_ = forwardCookie(ctx, w, nil) // it always succeeds.
	}
	if routing, ok := errors.AsType[*runtime.HTTPStatusError](err); ok {
		writeStatus(w, routing.HTTPStatus, status.Convert(routing.Err))
		return
	}
	st := uncarry(status.Convert(err))
	writeStatus(w, fault.FromStatus(st, exact).Code.HTTP(), st)
}

func handleRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	switch code {
	case http.StatusNotFound:
		notFound(w, r)
	case http.StatusMethodNotAllowed:
		writeStatus(w, code, status.Newf(codes.Unimplemented, "%s is not possible at %s; /v1/openapi.json has what is", r.Method, r.URL.Path))
	default:
		writeStatus(w, code, status.Newf(codes.InvalidArgument, "%s is not a path of this API", r.URL.Path))
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, fault.New(fault.NotFound, "there is nothing at %s; /v1/openapi.json has what there is", r.URL.Path))
}

func writeError(w http.ResponseWriter, err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		f = fault.New(fault.Internal, "internal error")
	}
	w.Header().Set(fault.Header, string(f.Code))
	writeStatus(w, f.Code.HTTP(), f.GRPCStatus())
}

func writeStatus(w http.ResponseWriter, code int, st *status.Status) {
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="isthmus"`)
	}
	if after := fault.FromStatus(st, "").RetryAfter; after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(after.Seconds())), 10))
	}
	body, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(st.Proto())
	if err != nil {
		body = []byte(`{"code":13,"message":"internal error","details":[]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func userMessage(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message
	}
	return "internal error"
}
