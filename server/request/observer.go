package request

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"isthmus/fault"
)

const (
	// Header carries the request id to the client.
	Header = "x-request-id"
	// IndexHeader tells at which index an answer was true.
	IndexHeader = "x-isthmus-index"
)

// Observer sees every call go in and come out.
type Observer struct {
	log      hclog.Logger
	now      func() time.Time
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	// rpcs are the metrics of each, which are looked for once: *rpc by name.
	rpcs sync.Map
}

// rpc is the metrics of one.
type rpc struct {
	name     string
	inFlight prometheus.Gauge
	latency  prometheus.Observer
	fine     prometheus.Counter
}

func (o *Observer) rpc(method string) *rpc {
	if known, ok := o.rpcs.Load(method); ok {
		return known.(*rpc) //nolint:forcetypeassert // nothing else is stored
	}
	name := strings.TrimPrefix(method, "/")
	r := &rpc{name, o.inFlight.WithLabelValues(name), o.latency.WithLabelValues(name), o.requests.WithLabelValues(name, codes.OK.String())}
	o.rpcs.Store(method, r)
	return r
}

// NewObserver makes an Observer whose metrics are in registry.
func NewObserver(log hclog.Logger, now func() time.Time, registry prometheus.Registerer) *Observer {
	o := &Observer{
		log: log,
		now: now,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_requests_total",
			Help: "Calls answered, by RPC and gRPC code.",
		}, []string{"rpc", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "isthmus_request_duration_seconds",
			Help:    "Time to answer, by RPC, without the time that blocking queries waited for a change.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10),
		}, []string{"rpc"}),
	}
	o.inFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "isthmus_requests_in_flight",
		Help: "Calls that are being answered, those that wait for a change included, by RPC.",
	}, []string{"rpc"})
	registry.MustRegister(o.requests, o.latency, o.inFlight)
	return o
}

// Unary is the outermost interceptor of unary calls.
func (o *Observer) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	known := &Info{ID: uuid.NewString()}
	ctx, done := o.begin(ctx, known, info.FullMethod)
	resp, err := call(func() (any, error) { return next(ctx, req) })
	header := metadata.MD{Header: {known.ID}}
	if index := known.index.Load(); index > 0 {
		header[IndexHeader] = []string{strconv.FormatUint(index, 10)}
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		header[fault.Header] = []string{string(f.Code)}
	}
	// A failure to set the header (the stream is gone) shows when the answer is sent.
	_ = grpc.SetHeader(ctx, header)
	if err = done(err); err != nil {
		return nil, err
	}
	return resp, nil
}

// Stream is the outermost interceptor of streams (reflection and health).
func (o *Observer) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, done := o.begin(stream.Context(), &Info{ID: uuid.NewString()}, info.FullMethod)
	_, err := call(func() (any, error) { return nil, next(srv, WithContext(ctx, stream)) })
	return done(err)
}

// Refused counts a call that was refused before it came to the interceptors, and gives what the client may see of the error.
func (o *Observer) Refused(ctx context.Context, method string, err error) error {
	_, done := o.begin(ctx, &Info{ID: uuid.NewString()}, method)
	return done(err)
}

// begin starts a call; done ends it and turns its error into what the client may see.
func (o *Observer) begin(ctx context.Context, info *Info, method string) (_ context.Context, done func(error) error) {
	start, rpc := o.now(), o.rpc(method)
	rpc.inFlight.Inc()
	return WithInfo(ctx, info), func(err error) error {
		rpc.inFlight.Dec()
		elapsed := o.now().Sub(start)
		err = o.visible(info, method, err)
		code := status.Code(err)
		if code == codes.OK {
			rpc.fine.Inc()
		} else {
			o.requests.WithLabelValues(rpc.name, code.String()).Inc()
		}
		rpc.latency.Observe((elapsed - time.Duration(info.waited.Load())).Seconds())
		if o.log.IsDebug() {
			o.log.Debug("call", "rpc", rpc.name, "code", code, "request", info.ID, "took", elapsed)
		}
		return err
	}
}

// visible is the error that the client gets. Causes stay in the log.
func (o *Observer) visible(info *Info, method string, err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Code != fault.Internal:
		if f.Cause != nil {
			o.log.Debug("refused", "rpc", method, "request", info.ID, "code", f.Code, "error", err)
		}
		return f.GRPCStatus().Err()
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller went away")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the deadline passed before the answer was there")
	}
	if st, ok := status.FromError(err); ok && f == nil {
		return st.Err()
	}
	o.log.Error("internal error", "rpc", method, "request", info.ID, "error", err)
	return status.Errorf(codes.Internal, "internal error: the server's log has the cause under request %s", info.ID)
}

// call runs f and turns a panic into an error, so that one bad request does not end the server.
func call(f func() (any, error)) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fault.Internal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "handling the call")
		}
	}()
	return f()
}

// WithContext is a stream with another context.
func WithContext(ctx context.Context, stream grpc.ServerStream) grpc.ServerStream {
	return &contextStream{ServerStream: stream, ctx: ctx}
}

type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream hands out its context; there is no other way to change it.
}

func (s *contextStream) Context() context.Context { return s.ctx }
