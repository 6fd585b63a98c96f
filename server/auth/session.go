package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"google.golang.org/grpc"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// SessionKey is the gRPC metadata in which REST passes a session on to the services, within the process.
	SessionKey = "isthmus-session"
	// sessionMethods begin the names of SessionService's methods.
	sessionMethods = "/isthmus.v1.SessionService/"
	// SubjectAPIToken is the kind of a Subject that logged in with an API token.
	SubjectAPIToken = "api-token"
	// ReasonSessionEnded is the reason of the refusal of a session that was good once: log in again.
	ReasonSessionEnded = "SessionEnded"
)

// Subject is whom a session was made for. How somebody logged in is its kind; what they may do is asked anew at each call.
type Subject struct {
	Kind string
	// Name is the API token's; UID tells it from a later one of that name.
	Name, UID string
	// Proof is the hash of the API token's secret as the store has it: whoever has the server key, but not the store, can
	// make no session.
	Proof string
}

// SubjectOf is the subject of who logged in with an API token.
func SubjectOf(token *isthmusv1.APIToken) Subject {
	return Subject{
		Kind: SubjectAPIToken, Name: token.GetName(), UID: token.GetUid(),
		Proof: base64.StdEncoding.EncodeToString(token.GetStatus().GetSecretHash()),
	}
}

// Login is a session as far as it matters here.
type Login struct {
	// ID is the session's, the same however often it is renewed.
	ID      string
	Subject Subject
}

// Sessions opens sealed sessions.
type Sessions interface {
	// Login is whom a session was made for: Unauthenticated when it is none, or has ended.
	Login(sealed string) (Login, error)
	// Until gives a context that ends, with an Unauthenticated error as its cause, when the session of an id is logged out. stop has
	// to be called.
	Until(ctx context.Context, id string) (until context.Context, stop func())
}

// Inside is a Guard for calls that come from REST in this process: it believes sessions as well.
func (g *Guard) Inside(sessions Sessions) *Guard {
	inside := *g
	inside.sessions = sessions
	return &inside
}

func (g *Guard) bySession(ctx context.Context, sealed string) (Caller, error) {
	login, err := g.sessions.Login(sealed)
	if err != nil {
		return Caller{}, err
	}
	return g.ByLogin(ctx, login)
}

// ByLogin says who the subject of a session is now, as BySubject does, and with which session.
func (g *Guard) ByLogin(ctx context.Context, login Login) (Caller, error) {
	caller, err := g.BySubject(ctx, login.Subject)
	caller.Session = login.ID
	return caller, err
}

// untilLogout calls next with a context that ends when the caller's session is logged out: a read may wait for minutes. What changes
// something goes on, and so does the logout itself.
func (g *Guard) untilLogout(ctx context.Context, req any, method string, next grpc.UnaryHandler) (any, error) {
	caller := CallerOf(ctx)
	if caller.Session == "" || g.rules[method].Writes() || strings.HasPrefix(method, sessionMethods) {
		return next(ctx, req)
	}
	ctx, stop := g.sessions.Until(ctx, caller.Session)
	defer stop()
	resp, err := next(ctx, req)
	if ended, ok := errors.AsType[*fault.Error](context.Cause(ctx)); ok && err != nil {
		return nil, ended
	}
	return resp, err
}

// BySubject says who a session's subject is now: Unauthenticated (ReasonSessionEnded) when it is gone or has ended.
func (g *Guard) BySubject(ctx context.Context, subject Subject) (Caller, error) {
	if subject.Kind != SubjectAPIToken {
		return Caller{}, SessionEnded("it was made in a way that this server does not know")
	}
	proof, err := base64.StdEncoding.DecodeString(subject.Proof)
	if err != nil {
		return Caller{}, SessionEnded("it does not say of which API token it is")
	}
	token, ok := g.apiToken(ctx, subject.Name, func(t *isthmusv1.APIToken) bool {
		return t.GetUid() == subject.UID && identity.SameHash(proof, t.GetStatus().GetSecretHash())
	})
	if !ok {
		return Caller{}, SessionEnded("the API token " + subject.Name + " was revoked")
	}
	if end, over := g.over(token); over {
		return Caller{}, SessionEnded("the API token " + subject.Name + " expired at " + end)
	}
	return callerOf(token), nil
}

// SessionEnded refuses a session that is over.
func SessionEnded(why string) error {
	message := "the session has ended: " + why + "; log in again"
	return &fault.Error{Code: fault.Unauthenticated, Message: message, Violations: []fault.Violation{{
		Field: "session", Reason: ReasonSessionEnded, Message: message,
	}}}
}
