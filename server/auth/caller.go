package auth

import (
	"context"
	"time"
)

// Caller is who makes a call.
type Caller struct {
	Role Role
	// Name of the API token or of the agent; empty for Anonymous.
	Name string
	// Datacenter of an agent; it can touch nothing else.
	Datacenter string
	// UID of the API token or of the Agent, so that a deleted and newly enrolled one of the same name is another.
	UID string
	// Session is the id of the login in the dashboard that the call was made with; empty for who showed the API token itself.
	Session string
	// Standing is closed when an agent's Agent has become another than it was when the call was let in; nil for others.
	Standing <-chan struct{}
	// CertificateExpires is the end of an agent's certificate.
	CertificateExpires time.Time
}

// Actor is how the audit log names the caller.
func (c Caller) Actor() string {
	switch c.Role {
	case Admin, Operator, Viewer:
		return "api-token/" + c.Name
	case Agent, ExpiredAgent:
		return "agent/" + c.Name
	case Gateway:
		return "gateway/" + c.Name
	case Anonymous:
	}
	return string(Anonymous)
}

type callerKey struct{}

// admission is what a call's context says of its caller.
type admission struct {
	caller Caller
	// method is what Tap has let through; empty: it was not asked.
	method string
	// guard can be asked whether the caller's API token is still good: calls may wait for minutes. Nil for who holds none.
	guard *Guard
}

func (a *admission) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, callerKey{}, a)
}

// admissionOf is a context's; nil when nobody was let in.
func admissionOf(ctx context.Context) *admission {
	a, _ := ctx.Value(callerKey{}).(*admission)
	return a
}

// WithCaller gives a context that says who calls.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return (&admission{caller: c}).in(ctx)
}

// CallerOf is who calls: Anonymous when nobody said.
func CallerOf(ctx context.Context) Caller {
	if a := admissionOf(ctx); a != nil {
		return a.caller
	}
	return Caller{Role: Anonymous}
}
