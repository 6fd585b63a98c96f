package session

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/change"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// CookieKey is the gRPC metadata in which an answer tells REST what the session's cookie is from now on: empty for none.
const CookieKey = "isthmus-session-cookie"

// Service serves sessions. Only REST calls it: a session is of use to a browser alone.
type Service struct {
	isthmusv1.UnimplementedSessionServiceServer
	Keeper   *Keeper
	Guard    *auth.Guard
	Store    store.Store
	Journal  store.Journal
	Snapshot *snapshot.Snapshot
	Now      func() time.Time
	Log      hclog.Logger

	quota quota
	owed  owed
	// heard is the number of the last logout in the audit log that the Keeper was told of, looked where the snapshot was when it was
	// looked for. Both are Load's, then Run's.
	heard  uint64
	looked store.Revision
}

// CreateSession implements the RPC: whoever shows a good API token is logged in.
func (s *Service) CreateSession(ctx context.Context, r *isthmusv1.CreateSessionRequest) (*isthmusv1.Session, error) {
	if r.GetToken() == "" {
		return nil, fault.Violated(fault.Violation{Field: "token", Reason: "Required", Message: "is empty; expected an API token (isthmus api-token create)"})
	}
	token, err := s.Guard.APIToken(ctx, r.GetToken())
	if err != nil {
		return nil, s.refused(ctx, r.GetToken(), err)
	}
	subject := auth.SubjectOf(token)
	caller, err := s.Guard.BySubject(ctx, subject)
	if err != nil {
		return nil, err
	}
	if !s.quota.login(token.GetUid(), s.Now()) {
		return nil, fault.Limited(loginEvery, "the API token %s logs in too often: once in %s, which no flag changes", token.GetName(), loginEvery)
	}
	event := change.By(ctx, caller).Event(resource.ActionLogin, token, "", s.Now())
	if err := s.record(ctx, event); err != nil {
		return nil, err
	}
	var end time.Time
	if t := token.GetSpec().GetExpireTime(); t != nil {
		end = t.AsTime()
	}
	session := s.Keeper.Begin(subject, end)
	out, err := s.hand(ctx, session, caller)
	if err != nil {
		return nil, err
	}
	out.CsrfToken = session.CSRF
	return out, nil
}

// refused tells the audit log of a refused login, within bounds: anybody can cause one. What was shown is in no log.
func (s *Service) refused(ctx context.Context, secret string, why error) error {
	if fault.CodeOf(why) != fault.Unauthenticated {
		return why
	}
	token := &isthmusv1.APIToken{}
	if name, _, err := identity.ParseAPISecret(secret); err == nil {
		if known, ok := resource.Lookup[*isthmusv1.APIToken](s.Snapshot.View(), resource.KindAPIToken, name); ok {
			token = known
		}
	}
	event := change.By(ctx, auth.Caller{Role: auth.Anonymous}).Event(resource.ActionRefuse, token, "login: "+why.Error(), s.Now())
	if !s.quota.refusal(token.GetUid(), event, s.Now()) {
		s.Log.Debug("refused a login", "error", why)
		return why
	}
	s.Log.Info("refused a login", "error", why)
	if !s.recordRefused(ctx, event) {
		s.quota.missed(token.GetUid(), event, s.Now())
	}
	return why
}

// record writes to the audit log, and sees to it that the snapshot has it, so that whoever reads it here next finds it.
func (s *Service) record(ctx context.Context, event *isthmusv1.Event) error {
	written, err := s.Store.Write(ctx, store.Write{Events: []*isthmusv1.Event{event}})
	if err != nil {
		return err
	}
	return s.reach(ctx, written)
}

func (s *Service) reach(ctx context.Context, written store.Revision) error {
	_, err := s.Snapshot.Reach(ctx, written)
	return err
}

// recordRefused does it with what is refused in any case; false when it could not be written.
func (s *Service) recordRefused(ctx context.Context, events ...*isthmusv1.Event) bool {
	_, err := s.Store.Write(ctx, store.Write{Events: events})
	if err != nil {
		s.Log.Warn("cannot write to the audit log that logins were refused", "error", err)
		return false
	}
	if err := s.Snapshot.Catchup(ctx); err != nil {
		s.Log.Debug("cannot catch up with what was written to the audit log", "error", err)
	}
	return true
}

// GetSession implements the RPC.
func (s *Service) GetSession(ctx context.Context, _ *isthmusv1.GetSessionRequest) (*isthmusv1.Session, error) {
	session, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return show(session, auth.CallerOf(ctx)), nil
}

// RenewSession implements the RPC.
func (s *Service) RenewSession(ctx context.Context, _ *isthmusv1.RenewSessionRequest) (*isthmusv1.Session, error) {
	session, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return s.hand(ctx, s.Keeper.Renew(session), auth.CallerOf(ctx))
}

// DeleteSession implements the RPC. The session is refused here whatever becomes of the entry in the audit log, by which it is elsewhere: one that
// cannot be written is an error, and is tried again by Run.
func (s *Service) DeleteSession(ctx context.Context, _ *isthmusv1.DeleteSessionRequest) (*isthmusv1.DeleteSessionResponse, error) {
	session, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	if err := setCookie(ctx, ""); err != nil {
		return nil, err
	}
	mark, first := s.Keeper.End(session)
	if !first {
		return &isthmusv1.DeleteSessionResponse{}, nil
	}
	caller := auth.CallerOf(ctx)
	token := &isthmusv1.APIToken{Name: session.Subject.Name, Uid: session.Subject.UID}
	event := change.By(ctx, caller).Event(resource.ActionLogout, token, endedPrefix+mark, s.Now())
	written, err := s.Store.Write(ctx, store.Write{Events: []*isthmusv1.Event{event}})
	if err != nil {
		s.owed.add(event)
		return nil, err
	}
	if err := s.reach(ctx, written); err != nil {
		return nil, err
	}
	return &isthmusv1.DeleteSessionResponse{}, nil
}

// of is the session that a call was made with. The guard has opened it before, unless the caller showed an API token.
func (s *Service) of(ctx context.Context) (Session, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get(auth.SessionKey)
	if len(values) == 0 {
		return Session{}, fault.New(fault.NotFound, "there is no session: the request was made with an API token itself")
	}
	return s.Keeper.Open(values[0])
}

// hand gives a session to the browser.
func (s *Service) hand(ctx context.Context, session Session, caller auth.Caller) (*isthmusv1.Session, error) {
	sealed, err := s.Keeper.Seal(session)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making a session")
	}
	if err := setCookie(ctx, sealed); err != nil {
		return nil, err
	}
	return show(session, caller), nil
}

func setCookie(ctx context.Context, value string) error {
	if err := grpc.SetHeader(ctx, metadata.Pairs(CookieKey, value)); err != nil {
		return fault.Wrap(fault.Internal, err, "setting the session's cookie")
	}
	return nil
}

// show leaves the CSRF token out: who has the cookie alone does not get the other half for it.
func show(s Session, caller auth.Caller) *isthmusv1.Session {
	return &isthmusv1.Session{
		Actor: caller.Actor(), Role: string(caller.Role),
		ExpireTime: timestamppb.New(s.Idle), EndTime: timestamppb.New(s.End),
	}
}
