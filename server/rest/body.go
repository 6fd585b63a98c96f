package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// bodyTimeout is how long a body may take to arrive; loginTimeout is that of a stranger's; answerTimeout is how long an answer may take to be
// read.
const (
	bodyTimeout   = time.Minute
	loginTimeout  = 10 * time.Second
	answerTimeout = 2 * time.Minute
)

// Of how large a body each route reads. The largest is that of manifests: some ten thousand resources.
const (
	maxManifests = 8 << 20
	// maxPayload is for a token sealed to all agents of a datacenter.
	maxPayload = 2 << 20
	maxBody    = 256 << 10
	// maxLogin is for an API token, and for what little JSON is around it.
	maxLogin = 4 << 10
)

// expected is what body a request may have: how large, and how long it may take. call is the method that takes it, for those who may call that
// alone; empty when whoever is let in may send it.
type expected struct {
	limit int64
	time  time.Duration
	call  string
}

func bodyOf(r *http.Request) expected {
	path := r.URL.Path
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead, r.Method == http.MethodDelete:
		// A blocking query would keep it for as long as it waits.
		return expected{time: bodyTimeout}
	case path == "/v1/apply":
		return expected{limit: maxManifests, time: bodyTimeout, call: isthmusv1.ServerService_Apply_FullMethodName}
	case path == loginPath:
		return expected{limit: maxLogin, time: loginTimeout}
	case strings.HasPrefix(path, "/v1/peerings/") && strings.HasSuffix(path, ":import"):
		return expected{limit: maxPayload, time: bodyTimeout, call: isthmusv1.PeeringService_ImportPeering_FullMethodName}
	}
	return expected{limit: maxBody, time: bodyTimeout}
}

// authenticated lets nobody on who does not show a good API token or session, or asks for more than they may: no byte of such a
// body is read. Whether the caller may do what is asked, the interceptors say, but for what takes large bodies.
func authenticated(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, caller, err := o.admit(r)
		if err != nil {
			refuse(o, w, r, err)
			return
		}
		call, err := o.Limiter.Arrive(caller, r.Method != http.MethodGet && r.Method != http.MethodHead)
		if err != nil {
			refuse(o, w, r, err)
			return
		}
		defer call.End()
		if method := bodyOf(r).call; method != "" {
			if err := o.Guard.May(caller, method); err != nil {
				refuse(o, w, r, err)
				return
			}
		}
		v := visitOf(admitted.Context())
		v.call = call
		next.ServeHTTP(w, withVisit(admitted, v))
	})
}

// refuse answers a request of which no more is read.
func refuse(o Options, w http.ResponseWriter, r *http.Request, err error) {
	o.Refused(r.Context(), err)
	if sessionEnded(err) {
		setCookie(w, secured(r), "")
	}
	// The rest of the request is not worth waiting for, neither to answer it nor to drop it.
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	writeError(w, err)
}

// working lets a request of which everything is there work, when there is a place for it.
func working(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := visitOf(r.Context()).call.Begin(r.Context()); err != nil {
			o.Refused(r.Context(), err)
			writeError(w, err)
			return
		}
		next.ServeHTTP(&answer{ResponseWriter: w}, r)
	})
}

// answer is what a request that has a place writes to: from its first byte on it has to be taken in time, since the place is held for as long.
type answer struct {
	http.ResponseWriter
	begun bool
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	a.begin()
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(data)
}

func (a *answer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	// A connection without deadlines (a test's recorder) has nothing to wait for.
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout))
}

// limitBody reads the whole body, so that what is too large or too slow is refused before anything looks at it. The
// server's own ReadTimeout cannot be used: it would end blocking queries as well.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		expected := bodyOf(r)
		if r.ContentLength > expected.limit {
			w.Header().Set("Connection", "close")
			writeError(w, tooLargeBody(expected.limit))
			return
		}
		if err := makeRoom(r, expected.limit); err != nil {
			w.Header().Set("Connection", "close")
			writeError(w, err)
			return
		}
		// A connection without deadlines (a test's recorder) has nothing to wait for.
		_ = connection.SetReadDeadline(time.Now().Add(expected.time))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, expected.limit))
		if err != nil {
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				writeError(w, tooLargeBody(expected.limit))
				return
			}
			writeError(w, fault.Wrap(fault.Invalid, err, "the body could not be read to its end"))
			return
		}
		_ = connection.SetReadDeadline(time.Time{})
		replaceBody(r, body)
		next.ServeHTTP(w, r)
	})
}

// makeRoom counts a body that may be large among those that are in memory. Small ones are bounded by the number of calls.
func makeRoom(r *http.Request, limit int64) error {
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	call := visitOf(r.Context()).call
	if call == nil || size <= maxBody {
		return nil
	}
	return call.Body(size)
}

func tooLargeBody(limit int64) error {
	switch limit {
	case 0:
		return fault.New(fault.TooLarge, "there is a body; a request that only reads or deletes has none")
	case maxManifests:
		return fault.New(fault.TooLarge, "the body is larger than %d MiB; apply the manifests in parts", limit>>20)
	}
	return fault.New(fault.TooLarge, "the body is larger than the %d KiB that are read here", limit>>10)
}

func replaceBody(r *http.Request, body []byte) {
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(len(body))
}

// manifests lets POST /v1/apply take the manifests themselves as its body, with dryRun and force in the query.
func manifests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isYAML(r.Header.Get("Content-Type")) {
			next.ServeHTTP(w, r)
			return
		}
		request, err := applyRequest(r)
		if err != nil {
			writeError(w, err)
			return
		}
		body, err := json.Marshal(request)
		if err != nil {
			writeError(w, fault.Wrap(fault.Invalid, err, "the manifests are not text"))
			return
		}
		replaceBody(r, body)
		r.Header.Set("Content-Type", "application/json")
		r.URL.RawQuery = ""
		next.ServeHTTP(w, r)
	})
}

func isYAML(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch mediaType {
	case "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
		return true
	}
	return false
}

func applyRequest(r *http.Request) (map[string]any, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the body could not be read")
	}
	if !utf8.Valid(raw) {
		return nil, fault.New(fault.Invalid, "the manifests are not text in UTF-8")
	}
	request := map[string]any{"manifests": string(raw)}
	for key, values := range r.URL.Query() {
		var field string
		switch key {
		case "dryRun", "dry_run", "dry-run":
			field = "dryRun"
		case "force":
			field = "force"
		default:
			return nil, fault.Violated(fault.Violation{
				Field: key, Reason: "UnknownParameter",
				Message: "is no query parameter here; expected dryRun or force",
			})
		}
		on, err := strconv.ParseBool(values[len(values)-1])
		if err != nil {
			return nil, fault.Violated(fault.Violation{
				Field: key, Reason: "Invalid",
				Message: strconv.Quote(values[len(values)-1]) + " is neither true nor false",
			})
		}
		request[field] = on
	}
	return request, nil
}
