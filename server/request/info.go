package request

import (
	"context"
	"sync/atomic"
	"time"
)

// Info is what is known about the call that a context belongs to.
type Info struct {
	// ID names the call in logs, events and internal errors.
	ID string
	// index is that at which the answer is true; 0: it has none.
	index atomic.Uint64
	// waited is how long the call blocked on purpose, in nanoseconds.
	waited atomic.Int64
}

type infoKey struct{}

// WithInfo gives a context for a call.
func WithInfo(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}

// ID is the call's id; empty outside of a call.
func ID(ctx context.Context) string {
	if info, ok := ctx.Value(infoKey{}).(*Info); ok {
		return info.ID
	}
	return ""
}

// At says at which index the call's answer is true; its header tells the client.
func At(ctx context.Context, index uint64) {
	if info, ok := ctx.Value(infoKey{}).(*Info); ok {
		info.index.Store(index)
	}
}

// Waited adds to the time that the call blocked on purpose (a blocking query), which is not counted as latency.
func Waited(ctx context.Context, d time.Duration) {
	if info, ok := ctx.Value(infoKey{}).(*Info); ok {
		info.waited.Add(int64(d))
	}
}
