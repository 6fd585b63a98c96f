package agentapi

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/change"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// reasonNotItsPart: a gateway spoke of its datacenter, or an agent as a gateway.
const reasonNotItsPart = "NotItsPart"

// Service is the agents' API.
type Service struct {
	isthmusv1.UnimplementedSyncServiceServer
	Store        store.Store
	Journal      store.Journal
	Vault        store.Vault
	Leaser       store.Leaser
	Snapshot     *snapshot.Snapshot
	Observations *observation.Table
	Planner      *Planner
	CA           *identity.CA
	// RenewalWindow is how long after the end of its certificate an agent may renew it.
	RenewalWindow time.Duration
	// Strangers bounds what callers without a certificate can cost.
	Strangers *rate.Limiter
	// Stopping is closed when the server shuts down: open Pulls end then, and the agents go elsewhere.
	Stopping <-chan struct{}
	Now      func() time.Time
	Log      hclog.Logger

	// budgets bound what each agent can cost.
	budgets budgets
	// hints save looking through all peerings of a datacenter.
	hints hints
}

// event is an entry of the audit log about what an agent did.
func (s *Service) event(ctx context.Context, caller auth.Caller, action string, o resource.Object, message string) *isthmusv1.Event {
	return change.By(ctx, caller).Event(action, o, message, s.Now())
}

// retry runs a write that decides on the newest view, again when what it had read has changed.
func (s *Service) retry(ctx context.Context, attempt func(v *snapshot.View) error) error {
	return change.Retry(ctx, s.Snapshot, change.Raced, attempt)
}

// write stores what an agent caused, and sees to it that the snapshot has it, so that its next call finds it.
func (s *Service) write(ctx context.Context, w store.Write) error {
	written, err := s.Store.Write(ctx, w)
	if err != nil {
		return err
	}
	_, err = s.Snapshot.Reach(ctx, written)
	return err
}

// peeringOf finds the peering of a uid among those of the caller's datacenter. Of others it says what it says of none.
func (s *Service) peeringOf(v *snapshot.View, caller auth.Caller, uid string) (*isthmusv1.Peering, error) {
	right := func(p *isthmusv1.Peering) bool { return p.GetUid() == uid }
	if p, ok := s.hints.find(v, caller, uid, right, (*isthmusv1.Peering).GetUid); ok {
		return p, nil
	}
	return nil, fault.New(fault.NotFound, "datacenter %s has no peering with uid %q", caller.Datacenter, plainText(uid, maxText))
}

// Report implements the RPC. An agent that nobody has approved may say how it is, and nothing of its datacenter; a gateway speaks of
// itself alone.
func (s *Service) Report(ctx context.Context, r *isthmusv1.ReportRequest) (*isthmusv1.ReportResponse, error) {
	caller := auth.CallerOf(ctx)
	if err := s.budgets.report(caller.Name, s.Now()); err != nil {
		return nil, err
	}
	if err := limitReport(r); err != nil {
		return nil, err
	}
	if err := speakOf(caller, r); err != nil {
		return nil, err
	}
	a, err := enrolledAs(s.Snapshot.View(), caller)
	if err != nil {
		return nil, err
	}
	var distrust error
	if alone := (&isthmusv1.ReportRequest{Agent: r.GetAgent(), Clock: r.GetClock()}); !proto.Equal(r, alone) {
		if distrust = approved(a); distrust != nil {
			r = alone
		}
	}
	if err := s.Observations.Report(ctx, caller.Datacenter, caller.Name, r); err != nil {
		return nil, err
	}
	if of := r.GetAgent(); of != nil {
		s.Log.Info("an agent tells what it applied", "agent", caller.Name, "datacenter", caller.Datacenter, "index", of.GetAppliedIndex(),
			"digest", of.GetAppliedDigest(), "leader", of.GetLeader(), "error", of.GetError())
	}
	if distrust != nil {
		return nil, distrust
	}
	return &isthmusv1.ReportResponse{}, nil
}

// speakOf refuses what is not the caller's to tell, and writes its own name over what it says of itself.
func speakOf(caller auth.Caller, r *isthmusv1.ReportRequest) error {
	if host := r.GetDelivery().GetHost(); host != nil {
		host.Agent = caller.Name
	}
	if caller.Role != auth.Gateway {
		if r.GetGateway() != nil {
			return denied(reasonNotItsPart, "gateway", "%s is no gateway: it enrolled with a join token for an agent", caller.Name)
		}
		return nil
	}
	if own := (&isthmusv1.ReportRequest{Agent: r.GetAgent(), Gateway: r.GetGateway(), Clock: r.GetClock()}); !proto.Equal(r, own) {
		return denied(reasonNotItsPart, "agent", "%s is a gateway: it reports of itself, and nothing of its datacenter", caller.Name)
	}
	if r.GetAgent() != nil {
		r.Agent.Leader = false
	}
	return nil
}

// enrolledAs is the caller's Agent, which may have been deleted since the call was let in.
func enrolledAs(v *snapshot.View, caller auth.Caller) (*isthmusv1.Agent, error) {
	a, ok := resource.Lookup[*isthmusv1.Agent](v, resource.KindAgent, caller.Name)
	if !ok || a.GetUid() != caller.UID {
		return nil, auth.AgentDeleted(caller.Name)
	}
	return a, nil
}

// believed refuses a caller whose word others would rely on, unless it is approved.
func believed(v *snapshot.View, caller auth.Caller) error {
	a, err := enrolledAs(v, caller)
	if err != nil {
		return err
	}
	return approved(a)
}

// approved refuses an agent that enrolled with a join token which the fleet key has not signed: as long as nobody has
// compared its keys, it may be anybody's.
func approved(a *isthmusv1.Agent) error {
	if resource.Trusted(a) {
		return nil
	}
	return denied(identity.ReasonNotApproved, "agent", "agent %s enrolled without the fleet key and is not approved yet: isthmus agent approve %s",
		a.GetName(), a.GetName())
}

// denied is a refusal with a reason that agents act on.
func denied(reason, field, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return &fault.Error{
		Code: fault.Denied, Message: message, Violations: []fault.Violation{{Field: field, Reason: reason, Message: message}},
	}
}

// lastUsers are the agents that a join token's status remembers.
func lastUsers(names []string, name string) []string {
	const most = 8
	out := append(slices.Clone(names), name)
	return out[max(0, len(out)-most):]
}

func keyOf(a *isthmusv1.Agent) ed25519.PublicKey {
	return a.GetSpec().GetAttestation().GetIdentityKey()
}
