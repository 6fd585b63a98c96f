package auth

import (
	"context"
	"time"

	"isthmus/fault"
)

const (
	// maxStrangers is how many calls of one method are answered at a time for whoever shows nothing: together they can make
	// the server hold no more than so many messages.
	maxStrangers = 32
	// strangerTime is the longest that such a call takes: for an enrolment much, for a watch of the health enough to be
	// worth starting again.
	strangerTime = time.Minute
	// strangerPause is after what time one who found no place is told to come again: an enrolment takes milliseconds.
	strangerPause = 2 * time.Second
)

// Tap decides when a call's headers are there and before any of its message is read, so that whoever may not call costs
// the server next to nothing. The context that it gives is the call's. What nobody serves is left to the server to refuse.
func (g *Guard) Tap(ctx context.Context, method string) (context.Context, error) {
	rule, known := g.rules[method]
	if !known {
		return ctx, nil
	}
	a, err := g.admit(ctx, method)
	if err != nil {
		return nil, err
	}
	a.method = method
	if rule.anonymous() {
		if ctx, err = g.bounded(ctx, method); err != nil {
			return nil, err
		}
	}
	return a.in(ctx), nil
}

// bounded gives a stranger's call one of the method's places, until it ends, and an end.
func (g *Guard) bounded(ctx context.Context, method string) (context.Context, error) {
	places := g.strangers[method]
	select {
	case places <- struct{}{}:
	default:
		return nil, fault.Limited(strangerPause, "too many unknown callers at a time: at most %d of this call, which no flag changes", maxStrangers)
	}
	ctx, cancel := context.WithTimeout(ctx, strangerTime)
	context.AfterFunc(ctx, func() {
		cancel()
		<-places
	})
	return ctx, nil
}

// admitted tells that Tap has let this call through.
func admitted(ctx context.Context, method string) bool {
	a := admissionOf(ctx)
	return a != nil && a.method == method
}
