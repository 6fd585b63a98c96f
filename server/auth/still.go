package auth

import (
	"context"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

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
	if a := admissionOf(ctx); a != nil && a.guard != nil {
		return a.guard.still(a.caller)
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
