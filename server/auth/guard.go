package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/request"
	"isthmus/store/snapshot"
)

// A credential that the snapshot does not know may be younger than the snapshot: another replica made it a moment ago.
// How often the store is asked about such ones is bounded, so that guessing costs the guesser more than the store.
const (
	lookAgainPerSecond = 20
	lookAgainBurst     = 50
	// lookAgainTime bounds one such question: Tap asks while nothing else is read from the caller's connection.
	lookAgainTime = 2 * time.Second
)

// Guard lets calls through or refuses them.
type Guard struct {
	snapshot *snapshot.Snapshot
	pool     *x509.CertPool
	window   time.Duration
	now      func() time.Time
	rules    map[string]Rule
	again    *rate.Limiter
	// strangers are the places that calls without credentials have, by method: a channel with one element for each taken one.
	strangers map[string]chan struct{}
	// sessions are those of browsers; nil where calls come from the network.
	sessions Sessions
}

// NewGuard makes a Guard. pool trusts the server's own CA, window is how long an expired certificate can be renewed.
func NewGuard(s *snapshot.Snapshot, pool *x509.CertPool, window time.Duration, now func() time.Time) *Guard {
	g := &Guard{
		snapshot: s, pool: pool, window: window, now: now,
		rules: map[string]Rule{}, again: rate.NewLimiter(lookAgainPerSecond, lookAgainBurst),
		strangers: map[string]chan struct{}{},
	}
	for _, r := range Rules() {
		g.rules[r.Method] = r
		if r.anonymous() {
			g.strangers[r.Method] = make(chan struct{}, maxStrangers)
		}
	}
	return g
}

// Unary lets unary calls through.
func (g *Guard) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := g.enter(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return g.untilLogout(ctx, req, info.FullMethod, next)
}

// Stream lets streams through.
func (g *Guard) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := g.enter(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(srv, request.WithContext(ctx, stream))
}

// enter lets a call in, whose context says who calls then. What Tap has admitted is not asked again.
func (g *Guard) enter(ctx context.Context, method string) (context.Context, error) {
	if admitted(ctx, method) {
		return ctx, nil
	}
	a, err := g.admit(ctx, method)
	if err != nil {
		return nil, err
	}
	return a.in(ctx), nil
}

// admit finds out who calls and whether they may.
func (g *Guard) admit(ctx context.Context, method string) (*admission, error) {
	rule, known := g.rules[method]
	if !known {
		return nil, fault.New(fault.Denied, "nobody may call %s", method)
	}
	if rule.anonymous() {
		// What everybody may call works with a credential that is no longer good, too.
		return &admission{caller: Caller{Role: Anonymous}}, nil
	}
	caller, err := g.identify(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.May(caller, method); err != nil {
		return nil, err
	}
	a := &admission{caller: caller}
	if caller.holdsToken() {
		a.guard = g
	}
	return a, nil
}

// May refuses a caller who may not call a method: Unauthenticated or Denied.
func (g *Guard) May(caller Caller, method string) error {
	rule := g.rules[method]
	if rule.Allows(caller.Role) {
		return nil
	}
	switch caller.Role { //nolint:exhaustive // the others have nothing special to be told.
	case Anonymous:
		return nobody()
	case ExpiredAgent:
		return refuse(fault.Unauthenticated, identity.ReasonCertificateExpired, "the certificate of %s ended at %s: renew it",
			caller.Name, caller.CertificateExpires.Format(time.RFC3339))
	}
	return fault.New(fault.Denied, "role %s may not call %s; it takes %s", caller.Role, strings.TrimPrefix(method, "/isthmus.v1."), rule.needed())
}

func (r Rule) needed() string {
	words := make([]string, 0, len(r.Roles))
	for _, role := range r.Roles {
		words = append(words, string(role))
	}
	return strings.Join(words, " or ")
}

func refuse(code fault.Code, reason, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return &fault.Error{Code: code, Message: message, Violations: []fault.Violation{{Field: "certificate", Reason: reason, Message: message}}}
}

// identify says who calls. An API token goes before a session, that before a certificate.
func (g *Guard) identify(ctx context.Context) (Caller, error) {
	if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) > 0 {
		return g.Bearer(ctx, values[0])
	}
	if values := metadata.ValueFromIncomingContext(ctx, SessionKey); len(values) > 0 && g.sessions != nil {
		return g.bySession(ctx, values[0])
	}
	if p, ok := peer.FromContext(ctx); ok {
		if shown, ok := p.AuthInfo.(*Peer); ok && shown.any() {
			return g.byCertificate(ctx, shown)
		}
	}
	return Caller{Role: Anonymous}, nil
}

// Bearer says who shows an Authorization header. None at all is refused as well: what asks here is for somebody.
func (g *Guard) Bearer(ctx context.Context, authorization string) (Caller, error) {
	if authorization == "" {
		return Caller{}, nobody()
	}
	scheme, secret, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Caller{}, fault.New(fault.Unauthenticated, "the Authorization header is not of the form Bearer TOKEN")
	}
	return g.byToken(ctx, strings.TrimSpace(secret))
}

func nobody() error {
	return fault.New(fault.Unauthenticated, "say who you are: Authorization: Bearer, with an API token (isthmus api-token create)")
}

func (g *Guard) byToken(ctx context.Context, secret string) (Caller, error) {
	token, err := g.APIToken(ctx, secret)
	if err != nil {
		return Caller{}, err
	}
	return callerOf(token), nil
}

func callerOf(token *isthmusv1.APIToken) Caller {
	return Caller{Role: Role(token.GetSpec().GetRole()), Name: token.GetName(), UID: token.GetUid()}
}

// APIToken is the one whose secret this is; Unauthenticated when there is none, or it has ended.
func (g *Guard) APIToken(ctx context.Context, secret string) (*isthmusv1.APIToken, error) {
	name, hash, err := identity.ParseAPISecret(secret)
	if err != nil {
		return nil, err
	}
	token, ok := g.apiToken(ctx, name, func(t *isthmusv1.APIToken) bool {
		return identity.SameHash(hash, t.GetStatus().GetSecretHash())
	})
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "the API token is not known: it was revoked, or is another server's")
	}
	if end, over := g.over(token); over {
		return nil, fault.New(fault.Unauthenticated, "the API token %s expired at %s", name, end)
	}
	return token, nil
}

// apiToken is the one of a name, if it is the one that is meant.
func (g *Guard) apiToken(ctx context.Context, name string, meant func(*isthmusv1.APIToken) bool) (*isthmusv1.APIToken, bool) {
	find := func() (*isthmusv1.APIToken, bool) {
		token, ok := resource.Lookup[*isthmusv1.APIToken](g.snapshot.View(), resource.KindAPIToken, name)
		// It is compared in any case, so that the time does not tell which names there are.
		return token, meant(token) && ok
	}
	token, ok := find()
	if !ok && g.lookAgain(ctx) {
		token, ok = find()
	}
	return token, ok
}

// over tells when a token ended, if it has.
func (g *Guard) over(token *isthmusv1.APIToken) (string, bool) {
	end := token.GetSpec().GetExpireTime()
	return end.AsTime().Format(time.RFC3339), end != nil && !g.now().Before(end.AsTime())
}

func (g *Guard) byCertificate(ctx context.Context, shown *Peer) (Caller, error) {
	if shown.refused != nil {
		return Caller{}, shown.refused
	}
	who := shown.client
	expired, err := who.At(g.now(), g.window)
	if err != nil {
		return Caller{}, err
	}
	find := func() (*standing, bool) { return g.agent(who) }
	agent, ok := shown.standing(find)
	if !ok && g.lookAgain(ctx) {
		agent, ok = shown.standing(find)
	}
	if !ok {
		return Caller{}, AgentDeleted(who.Name)
	}
	caller := Caller{
		Role: Agent, Name: who.Name, Datacenter: who.Datacenter, UID: agent.uid, Standing: agent.changed, CertificateExpires: who.NotAfter,
	}
	switch {
	case expired:
		caller.Role = ExpiredAgent
	case who.Kind == identity.KindGateway:
		caller.Role = Gateway
	}
	return caller, nil
}

// agent is the Agent that a certificate stands for: of that name, and with that key.
func (g *Guard) agent(who *identity.Client) (*standing, bool) {
	v := g.snapshot.View()
	changed := v.WatchName(resource.KindAgent, who.Name)
	a, ok := resource.Lookup[*isthmusv1.Agent](v, resource.KindAgent, who.Name)
	if !ok || a.GetDeleteTime() != nil || a.GetSpec().GetDatacenter() != who.Datacenter || a.GetSpec().GetKind() != who.Kind {
		return nil, false
	}
	return &standing{uid: a.GetUid(), changed: changed}, bytes.Equal(who.Key, a.GetSpec().GetAttestation().GetIdentityKey())
}

// lookAgain lets the snapshot catch up; false when that is not worth it.
func (g *Guard) lookAgain(ctx context.Context) bool {
	if !g.again.Allow() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookAgainTime)
	defer cancel()
	return g.snapshot.Catchup(ctx) == nil
}

// AgentDeleted refuses an agent that the fleet does not know (any more).
func AgentDeleted(name string) error {
	return refuse(fault.Denied, identity.ReasonAgentDeleted, "agent %s was deleted: enrol again with another join token, in an empty data directory", name)
}
