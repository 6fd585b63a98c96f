package request

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
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

// Header carries the request id to the client.
const Header = "x-request-id"

// Observer sees every call go in and come out.
type Observer struct {
	log      hclog.Logger
	now      func() time.Time
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
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
	ctx, done := o.begin(ctx, info.FullMethod)
	// A failure to set the header (the stream is gone) shows when the answer is sent.
	_ = grpc.SetHeader(ctx, metadata.Pairs(Header, ID(ctx)))
	resp, err := call(func() (any, error) { return next(ctx, req) })
	if f, ok := errors.AsType[*fault.Error](err); ok {
		_ = grpc.SetHeader(ctx, metadata.Pairs(fault.Header, string(f.Code)))
	}
	if err = done(err); err != nil {
		return nil, err
	}
	return resp, nil
}

// Stream is the outermost interceptor of streams (reflection and health).
func (o *Observer) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, done := o.begin(stream.Context(), info.FullMethod)
	_, err := call(func() (any, error) { return nil, next(srv, WithContext(ctx, stream)) })
	return done(err)
}

// Refused counts a call that was refused before it came to the interceptors, and gives what the client may see of the error.
func (o *Observer) Refused(ctx context.Context, method string, err error) error {
	_, done := o.begin(ctx, method)
	return done(err)
}

// begin starts a call; done ends it and turns its error into what the client may see.
func (o *Observer) begin(ctx context.Context, method string) (_ context.Context, done func(error) error) {
	info := &Info{ID: uuid.NewString()}
	start := o.now()
	rpc := strings.TrimPrefix(method, "/")
	o.inFlight.WithLabelValues(rpc).Inc()
	return WithInfo(ctx, info), func(err error) error {
		o.inFlight.WithLabelValues(rpc).Dec()
		elapsed := o.now().Sub(start)
		err = o.visible(info, method, err)
		code := status.Code(err)
		o.requests.WithLabelValues(rpc, code.String()).Inc()
		o.latency.WithLabelValues(rpc).Observe((elapsed - time.Duration(info.waited.Load())).Seconds())
		o.log.Debug("call", "rpc", rpc, "code", code, "request", info.ID, "took", elapsed)
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
