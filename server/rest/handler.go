package rest

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/limit"
	"isthmus/server/profile"
	"isthmus/server/session"
)

const (
	// readyTimeout is how long /readyz may take; load balancers ask every few seconds. readyFor is how old its answer may be.
	readyTimeout = 3 * time.Second
	readyFor     = time.Second
	// maxScrapes is how many may read /metrics at a time: it counts the fleet anew for each.
	maxScrapes = 4
)

// Options is what the handler needs of the server.
type Options struct {
	// Conn reaches the gRPC services in this process.
	Conn *grpc.ClientConn
	// Guard says who shows an Authorization header or a session.
	Guard *auth.Guard
	// Sessions opens the cookies of browsers.
	Sessions *session.Keeper
	// Limiter lets requests in, as many as there is room for.
	Limiter *limit.Limiter
	// Profiler takes profiles of the process.
	Profiler *profile.Profiler
	// Refused hears why a request was refused before it came to the services.
	Refused func(ctx context.Context, err error)
	// Ready tells why the server cannot serve; nil when it can.
	Ready func(ctx context.Context) error
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	// OpenAPI is the document at /v1/openapi.json.
	OpenAPI []byte
	// Dashboard are the files of the dashboard; nil when this program has none.
	Dashboard fs.FS
	// TLS: tell browsers to come back with TLS only.
	TLS bool
	Log hclog.Logger
}

// New makes the handler for everything that HTTP serves.
func New(ctx context.Context, o Options) (http.Handler, error) {
	gateway, err := newGateway(ctx, o.Conn)
	if err != nil {
		return nil, err
	}
	smaller, err := compressed()
	if err != nil {
		return nil, err
	}
	dashboard, err := newDashboard(o.Dashboard)
	if err != nil {
		return nil, err
	}
	calls := smaller(query(negotiated(gateway)))
	mux := http.NewServeMux()
	mux.Handle("/v1/", authenticated(o, limitBody(working(o, calls))))
	mux.Handle("POST /v1/apply", authenticated(o, limitBody(working(o, manifests(calls)))))
	mux.Handle("POST "+loginPath, login(o, limitBody(entering(o, calls))))
	mux.Handle("GET "+profilePath+"{name}", profiles(o))
	mux.Handle("GET /v1/openapi.json", smaller(document(o.OpenAPI)))
	mux.Handle("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, http.StatusOK, "ok\n")
	}))
	mux.Handle("GET /readyz", &readiness{o: o})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{
		ErrorLog:            o.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Error}),
		MaxRequestsInFlight: maxScrapes,
	}))
	mux.Handle("/", dashboard)
	return secure(mux, o.TLS), nil
}

func newGateway(ctx context.Context, conn *grpc.ClientConn) (http.Handler, error) {
	inJSON := newMarshaler()
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, inJSON),
		runtime.WithMarshalerOption(protobufType, encoded{inJSON}),
		runtime.WithErrorHandler(handleError),
		runtime.WithRoutingErrorHandler(handleRoutingError),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithMetadata(passVisit),
		runtime.WithForwardResponseOption(forwardCookie),
		runtime.WithDisablePathLengthFallback(),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		isthmusv1.RegisterServerServiceHandler,
		isthmusv1.RegisterDatacenterServiceHandler,
		isthmusv1.RegisterGatewayServiceHandler,
		isthmusv1.RegisterPeeringServiceHandler,
		isthmusv1.RegisterPeeringGroupServiceHandler,
		isthmusv1.RegisterFederationServiceHandler,
		isthmusv1.RegisterServiceExportServiceHandler,
		isthmusv1.RegisterIntentionServiceHandler,
		isthmusv1.RegisterTrafficPolicyServiceHandler,
		isthmusv1.RegisterDiagnosisServiceHandler,
		isthmusv1.RegisterOverviewServiceHandler,
		isthmusv1.RegisterSessionServiceHandler,
		isthmusv1.RegisterJoinTokenServiceHandler,
		isthmusv1.RegisterAgentServiceHandler,
		isthmusv1.RegisterAPITokenServiceHandler,
		isthmusv1.RegisterEventServiceHandler,
	} {
		if err := register(ctx, mux, conn); err != nil {
			return nil, fmt.Errorf("registering REST routes: %w", err)
		}
	}
	return mux, nil
}

// incomingHeader passes no header on but Authorization, which the gateway passes by itself: no caller can pass off a session as
// one that was checked.
func incomingHeader(string) (string, bool) { return "", false }

// outgoingHeader shows what answers say beyond their body.
func outgoingHeader(key string) (string, bool) {
	switch key {
	case resource.IndexHeader:
		return "X-Isthmus-Index", true
	case fault.Header:
		return "X-Isthmus-Fault", true
	case "x-request-id":
		return "X-Request-Id", true
	}
	return "", false
}

// secure adds the headers that keep a browser from doing anything with an answer but read it.
func secure(next http.Handler, tls bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		// No other site embeds what is answered here, nor keeps a handle to the page's window.
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if tls {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// readiness answers /readyz for whoever asks, stranger or not: however many ask, the store hears one question at a time, and
// not more than one in readyFor.
type readiness struct {
	o  Options
	mu sync.Mutex
	// at is when why was found out.
	at  time.Time
	why error
}

// ServeHTTP implements http.Handler.
func (a *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.ask(r.Context()); err != nil {
		writeText(w, http.StatusServiceUnavailable, "not ready: "+userMessage(err)+"\n")
		return
	}
	writeText(w, http.StatusOK, "ok\n")
}

func (a *readiness) ask(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at.IsZero() && time.Since(a.at) < readyFor {
		return a.why
	}
	// The others wait for the answer, too, whoever asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	if a.why = a.o.Ready(ctx); a.why != nil {
		a.o.Log.Warn("not ready", "error", a.why)
	}
	a.at = time.Now()
	return a.why
}

// document serves what was made with this program: it is what the tests of package openapi have seen.
func document(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}
