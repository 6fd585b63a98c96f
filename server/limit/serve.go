package limit

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/auth"
)

// CallKey is the gRPC metadata in which REST names the call that it has let in, within the process.
const CallKey = "isthmus-call"

type callKey struct{}

// Tap is Arrive for a call from the network whose headers are there, after auth's Tap. The context that it gives is the call's.
// Strangers have places of their own there.
func (l *Limiter) Tap(ctx context.Context, method string) (context.Context, error) {
	caller := auth.CallerOf(ctx)
	g := guestOf(ctx)
	if caller.Role == auth.Anonymous {
		if g != nil {
			g.calling(ctx)
		}
		return ctx, nil
	}
	if g != nil {
		g.known()
	}
	c, err := l.Arrive(caller, l.writes[method])
	if err != nil {
		return nil, err
	}
	c.unhook = context.AfterFunc(ctx, c.end)
	return context.WithValue(ctx, callKey{}, c), nil
}

// Unary lets a call from the network work when Tap has let it arrive. The agents' long poll does nothing but wait, and how many of
// them plan at a time is agentapi's to say.
func (l *Limiter) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c, ok := ctx.Value(callKey{}).(*Call)
	if !ok {
		return next(ctx, req)
	}
	defer c.End()
	begin := c.Begin
	if info.FullMethod == isthmusv1.SyncService_Pull_FullMethodName {
		begin = func(context.Context) error { return c.poll() }
	}
	if err := begin(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// Stream is Unary for streams. That of an agent is a long poll with many answers; others (health, reflection) count as arriving until they end.
func (l *Limiter) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c, ok := stream.Context().Value(callKey{}).(*Call)
	if !ok {
		return next(srv, stream)
	}
	defer c.End()
	if info.FullMethod == isthmusv1.SyncService_Follow_FullMethodName {
		if err := c.poll(); err != nil {
			return err
		}
	}
	return next(srv, stream)
}

// Inside is Unary for calls that come from REST in this process, which has let them begin, and ends them.
func (l *Limiter) Inside(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if names := md.Get(CallKey); len(names) > 0 {
		l.mu.Lock()
		c := l.calls[names[0]]
		l.mu.Unlock()
		if c != nil {
			ctx = context.WithValue(ctx, callKey{}, c)
		}
	}
	return next(ctx, req)
}

// Wait is for a call that blocks on purpose from here on: it gives its place to another one, and counts among those that wait, until
// done is called, which may block until there is a place again. Busy when there is no room to wait.
func Wait(ctx context.Context) (done func(), err error) {
	if c, ok := ctx.Value(callKey{}).(*Call); ok {
		return c.wait(ctx)
	}
	return func() {}, nil
}
