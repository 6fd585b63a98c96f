package agentapi

import (
	"context"
	"fmt"
	"strconv"
	"time"

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

// askAgain is how long an agent may ask again for the answer to its enrolment.
const askAgain = 24 * time.Hour

// Enrol implements the RPC. Asking again with the same keys gives another certificate and is no second use: an answer can
// get lost.
func (s *Service) Enrol(ctx context.Context, r *isthmusv1.EnrolRequest) (*isthmusv1.EnrolResponse, error) {
	if err := checkEnrolment(r); err != nil {
		return nil, err
	}
	limitEnrolment(r)
	a := r.GetAttestation()
	who := identity.AgentName{Name: a.GetAgent(), Datacenter: a.GetGrant().GetDatacenter(), Kind: a.GetGrant().GetKind()}
	var certificate identity.Issued
	if err := s.learn(ctx, a.GetGrant().GetName()); err != nil {
		return nil, err
	}
	err := s.retry(ctx, func(v *snapshot.View) error {
		if old, ok := resource.Lookup[*isthmusv1.Agent](v, resource.KindAgent, a.GetAgent()); ok {
			return s.enrolAgain(ctx, old, r, &certificate)
		}
		token, _ := resource.Lookup[*isthmusv1.JoinToken](v, resource.KindJoinToken, a.GetGrant().GetName())
		if err := identity.CheckEnrolment(a, r.GetCsr(), token, s.Now()); err != nil {
			return s.refused(ctx, a, token, err)
		}
		if err := s.neverBefore(ctx, who.Name); err != nil {
			return err
		}
		issued, err := s.CA.Issue(r.GetCsr(), who, s.Now())
		if err != nil {
			return err
		}
		certificate = issued
		return s.enrolled(ctx, r, token, issued)
	})
	if err != nil {
		return nil, err
	}
	s.Observations.Heard(who.Datacenter, who.Name)
	s.Log.Info("enrolled an agent", "agent", who.Name, "datacenter", who.Datacenter, "kind", who.Kind, "host", r.GetHost())
	return &isthmusv1.EnrolResponse{Agent: who.Name, Certificate: certificate.PEM, Ca: string(s.CA.CertificatePEM())}, nil
}

// checkEnrolment refuses what is no enrolment, whoever sends it: after it, names are names, and what is signed is. It costs
// no more than the call itself.
func checkEnrolment(r *isthmusv1.EnrolRequest) error {
	a := r.GetAttestation()
	if !resource.ValidName(a.GetGrant().GetName()) {
		return denied(identity.ReasonBadAttestation, "attestation.grant.name", "the join token has no name that could be one")
	}
	if err := identity.VerifyAttestation(a); err != nil {
		return err
	}
	_, err := identity.CSRKey(r.GetCsr())
	return err
}

// learn lets the snapshot catch up when it does not know a join token: another replica may have made it a moment ago. How
// often is bounded, since anybody may ask; who shows a token that is known is not held up by who does not.
func (s *Service) learn(ctx context.Context, token string) error {
	if _, known := s.Snapshot.View().Get(resource.KindJoinToken, token); known {
		return nil
	}
	if !s.Strangers.AllowN(s.Now(), 1) {
		return fault.Limited(comeAgain, "too many agents enrol whose join tokens are not known here, which no flag changes")
	}
	return s.Snapshot.Catchup(ctx)
}

// refused tells the audit log of an agent that showed a token which is registered, and was refused all the same. That of
// strangers, and more than the limit, is in the server's log only.
func (s *Service) refused(ctx context.Context, a *isthmusv1.Attestation, token *isthmusv1.JoinToken, why error) error {
	s.Log.Info("refused to enrol an agent", "agent", a.GetAgent(), "datacenter", a.GetGrant().GetDatacenter(), "error", why)
	if token == nil || !s.Strangers.AllowN(s.Now(), 1) {
		return why
	}
	e := s.event(ctx, auth.CallerOf(ctx), resource.ActionRefuse, token, "agent "+strconv.Quote(a.GetAgent())+": "+why.Error())
	if err := s.write(ctx, store.Write{Events: []*isthmusv1.Event{e}}); err != nil {
		s.Log.Warn("cannot write to the audit log that an agent was refused", "error", err)
	}
	return why
}

// neverBefore refuses an agent that the audit log knows: it was deleted, and a join token with uses left is no way back in.
func (s *Service) neverBefore(ctx context.Context, agent string) error {
	events, err := s.Journal.Events(ctx, store.EventQuery{Kind: resource.KindAgent, Target: agent, Limit: 1})
	if err != nil {
		return err
	}
	if len(events) > 0 {
		return auth.AgentDeleted(agent)
	}
	return nil
}

// enrolled stores a new Agent and one more use of its token, together: two agents cannot both have the last use.
func (s *Service) enrolled(ctx context.Context, r *isthmusv1.EnrolRequest, token *isthmusv1.JoinToken, issued identity.Issued) error {
	a := r.GetAttestation()
	agent := &isthmusv1.Agent{
		Name: a.GetAgent(),
		Spec: &isthmusv1.AgentSpec{Datacenter: a.GetGrant().GetDatacenter(), Kind: a.GetGrant().GetKind(), Attestation: a},
		Status: &isthmusv1.AgentStatus{
			Trust: identity.TrustOf(a, nil), Fingerprint: identity.Fingerprint(a),
			Liveness: resource.LivenessOnline, LivenessSince: timestamppb.New(s.Now()),
			Version: r.GetVersion(), Features: r.GetFeatures(), Host: r.GetHost(),
			CertificateExpireTime: timestamppb.New(issued.Expires), CertificateSerial: issued.Serial,
		},
	}
	change.Fresh(agent, s.Now())
	if err := resource.Validate(agent); err != nil {
		return err
	}
	used := resource.Clone(token)
	if used.Status == nil {
		used.Status = &isthmusv1.JoinTokenStatus{}
	}
	used.Status.Uses++
	used.Status.UsedBy = lastUsers(used.GetStatus().GetUsedBy(), agent.GetName())
	if used.GetStatus().GetUses() >= used.GetSpec().GetGrant().GetMaxUses() {
		used.Status.State = resource.TokenUsed
	}
	caller := auth.Caller{Role: auth.Agent, Name: agent.GetName()}
	enrolled := change.By(ctx, caller).SpecEvent(resource.ActionEnrol, nil, agent, fmt.Sprintf("with join token %s; trust %s; keys %s; host %s",
		token.GetName(), agent.GetStatus().GetTrust(), agent.GetStatus().GetFingerprint(), agent.GetStatus().GetHost()), s.Now())
	return s.write(ctx, store.Write{
		Puts: []store.Put{{Object: agent, Part: store.PartAll}, {Object: used, Part: store.PartStatus}},
		Requires: []store.Require{
			{Key: store.Key{Kind: resource.KindAgent, Name: agent.GetName()}, Absent: true},
			{Key: store.Key{Kind: resource.KindJoinToken, Name: token.GetName()}, Index: token.GetIndex()},
		},
		Events: []*isthmusv1.Event{enrolled},
	})
}

// enrolAgain answers an agent that has enrolled already and did not hear the answer. That takes seconds, or a reboot: later
// the attestation, which was good for one enrolment, is no way to a certificate any more.
func (s *Service) enrolAgain(ctx context.Context, old *isthmusv1.Agent, r *isthmusv1.EnrolRequest, certificate *identity.Issued) error {
	if !identity.SameAgent(r.GetAttestation(), old) {
		return fault.New(fault.AlreadyExists, "there is an agent named %s with other keys", old.GetName())
	}
	now := s.Now()
	if end := old.GetStatus().GetCertificateExpireTime().AsTime(); now.After(end.Add(s.RenewalWindow)) {
		return denied(identity.ReasonCertificateTooOld, "certificate",
			"the last certificate of agent %s ended at %s, too long ago: enrol again with another join token, in an empty data directory",
			old.GetName(), end.Format(time.RFC3339))
	}
	if now.Sub(old.GetCreateTime().AsTime()) > askAgain {
		return denied(identity.ReasonTokenUsed, "attestation.grant",
			"agent %s enrolled with this join token at %s and can renew its certificate: enrol again with another join token, in an empty data directory",
			old.GetName(), old.GetCreateTime().AsTime().Format(time.RFC3339))
	}
	return s.reissue(ctx, old, r.GetCsr(), certificate, auth.Caller{Role: auth.Agent, Name: old.GetName()}, "asked again after enrolling")
}

// Renew implements the RPC. The connection proved the same key, with a certificate that may have ended.
func (s *Service) Renew(ctx context.Context, r *isthmusv1.RenewRequest) (*isthmusv1.RenewResponse, error) {
	caller := auth.CallerOf(ctx)
	if err := s.budgets.spend(caller.Name, 1, s.Now()); err != nil {
		return nil, err
	}
	var certificate identity.Issued
	err := s.retry(ctx, func(v *snapshot.View) error {
		old, err := enrolledAs(v, caller)
		if err != nil {
			return err
		}
		if err := s.tooEarly(caller, old, r.GetCsr()); err != nil {
			return err
		}
		return s.reissue(ctx, old, r.GetCsr(), &certificate, caller, "")
	})
	if err != nil {
		return nil, err
	}
	s.Observations.Heard(caller.Datacenter, caller.Name)
	return &isthmusv1.RenewResponse{Certificate: certificate.PEM, Ca: string(s.CA.CertificatePEM())}, nil
}

// tooEarly refuses to renew a certificate that is good for more than half of its life yet. Who asks with another key hears of
// that first.
func (s *Service) tooEarly(caller auth.Caller, old *isthmusv1.Agent, csr []byte) error {
	from := caller.CertificateExpires.Add(-identity.AgentCertificateLife / 2)
	if key, err := identity.CSRKey(csr); err != nil || !key.Equal(keyOf(old)) || !s.Now().Before(from) {
		return nil //nolint:nilerr // reissue says what is wrong with the key.
	}
	return fault.New(fault.Refused, "the certificate of agent %s is good until %s: it can be renewed from %s", old.GetName(),
		caller.CertificateExpires.Format(time.RFC3339), from.Format(time.RFC3339))
}

// reissue gives an enrolled agent another certificate for the key that it enrolled with.
func (s *Service) reissue(ctx context.Context, old *isthmusv1.Agent, csr []byte, certificate *identity.Issued, caller auth.Caller, why string) error {
	key, err := identity.CSRKey(csr)
	if err != nil {
		return err
	}
	if !key.Equal(keyOf(old)) {
		return denied(identity.ReasonCSRMismatch, "csr", "the certificate request is for another key than the one that the agent enrolled with")
	}
	issued, err := s.CA.Issue(csr, identity.AgentName{Name: old.GetName(), Datacenter: old.GetSpec().GetDatacenter(), Kind: old.GetSpec().GetKind()}, s.Now())
	if err != nil {
		return err
	}
	*certificate = issued
	next := resource.Clone(old)
	if next.Status == nil {
		next.Status = &isthmusv1.AgentStatus{}
	}
	next.Status.CertificateExpireTime, next.Status.CertificateSerial = timestamppb.New(issued.Expires), issued.Serial
	return s.write(ctx, store.Write{
		Puts:     []store.Put{{Object: next, Part: store.PartStatus}},
		Requires: []store.Require{{Key: store.Key{Kind: resource.KindAgent, Name: old.GetName()}, Index: old.GetIndex()}},
		Events:   []*isthmusv1.Event{s.event(ctx, caller, resource.ActionRenew, old, why)},
	})
}
