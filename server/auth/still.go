package auth

import (
	"context"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

type stillKey struct{}

// watched gives a context that can be asked whether its caller's API token is still good: calls may wait for minutes.
func (g *Guard) watched(ctx context.Context, c Caller) context.Context {
	if !c.holdsToken() {
		return ctx
	}
	return context.WithValue(ctx, stillKey{}, func() error { return g.still(c) })
}

// holdsToken tells whether the caller showed an API token, or a session that one began.
func (c Caller) holdsToken() bool {
	return c.Role == Admin || c.Role == Operator || c.Role == Viewer
}

func (g *Guard) still(c Caller) error {
	token, ok := resource.Lookup[*isthmusv1.APIToken](g.snapshot.View(), resource.KindAPIToken, c.Name)
	if !ok || token.GetUid() != c.UID {
		return fault.New(fault.Unauthenticated, "the API token %s was revoked while the call waited", c.Name)
	}
	if end, over := g.over(token); over {
		return fault.New(fault.Unauthenticated, "the API token %s expired at %s, while the call waited", c.Name, end)
	}
	return nil
}

// Still refuses a call that has waited, and whose caller may no longer make it: Unauthenticated. To be asked after what it would be told was read.
func Still(ctx context.Context) error {
	if still, ok := ctx.Value(stillKey{}).(func() error); ok {
		return still()
	}
	return nil
}

// Revocation gives a channel that is closed when there is reason to ask Still; nil for a caller who has nothing that is revoked.
func Revocation(ctx context.Context, v *snapshot.View) <-chan struct{} {
	if c := CallerOf(ctx); c.holdsToken() {
		return v.WatchName(resource.KindAPIToken, c.Name)
	}
	return nil
}
