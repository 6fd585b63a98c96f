package rest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
)

// protobufType is what answers in protobuf are called.
const protobufType = "application/protobuf"

// encoded answers in protobuf. The services have encoded it already, and most of what a large list costs at both ends is JSON. Bodies are JSON
// all the same: what is wrong with them is told by the names of their fields.
type encoded struct{ *marshaler }

// ContentType implements runtime.Marshaler.
func (encoded) ContentType(any) string { return protobufType }

// Marshal implements runtime.Marshaler.
func (encoded) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fault.New(fault.Internal, "%T is no message", v)
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding an answer")
	}
	return data, nil
}

// negotiated lets an answer that is no error be protobuf for who would rather have that than JSON. The gateway goes by the exact text of headers,
// that of a body included; here all bodies are JSON, whatever they are called.
func negotiated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept := r.Header.Values("Accept")
		r.Header.Del("Content-Type")
		r.Header.Del("Accept")
		if prefersProtobuf(accept) {
			r.Header.Set("Accept", protobufType)
		}
		w.Header().Add("Vary", "Accept")
		next.ServeHTTP(w, r)
	})
}

// prefersProtobuf reads the values of Accept headers. Protobuf has to be named: */* is JSON.
func prefersProtobuf(accept []string) bool {
	var protobuf, others float64
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mediaType, parameters, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		quality, err := strconv.ParseFloat(parameters["q"], 64)
		if err != nil {
			quality = 1
		}
		if mediaType == protobufType {
			protobuf = max(protobuf, quality)
		} else {
			others = max(others, quality)
		}
	}
	return protobuf > 0 && protobuf >= others
}
