package rest

import (
	"compress/gzip"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"isthmus/fault"
)

// minCompressed is the size from which an answer is compressed: below, a packet or two are on their way in any case.
const minCompressed = 1400

// compressed makes what compresses the answers of a handler, as far as the caller asks for it. Lists of large fleets become a
// tenth of their size.
func compressed() (func(http.Handler) http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(minCompressed), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false),
		gzhttp.SetContentType(false), gzhttp.ContentTypes([]string{"application/json", protobufType}))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "setting up compression")
	}
	return func(next http.Handler) http.Handler {
		smaller := wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hasSecrets(r.URL.Path) {
				next.ServeHTTP(w, r)
				return
			}
			smaller.ServeHTTP(w, r)
		})
	}, nil
}

// hasSecrets tells which answers may hold a secret. These are never compressed: beside what a caller sent in, the length of
// a compressed answer would tell of the secret (BREACH).
func hasSecrets(path string) bool {
	for _, prefix := range []string{"/v1/session", "/v1/api-tokens", "/v1/join-tokens"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
