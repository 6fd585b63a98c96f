package agentapi

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/observation"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// maxAttempts is how often a write is tried anew when somebody else changed what it had read.
const maxAttempts = 10

// Service is the agents' API.
type Service struct {
	isthmusv1.UnimplementedSyncServiceServer
	Store        store.Store
	Journal      store.Journal
	Vault        store.Vault
	Snapshot     *snapshot.Snapshot
	Observations *observation.Table
	Planner      *Planner
	CA           *identity.CA
	// Strangers bounds what callers without a certificate can cost the store.
	Strangers *rate.Limiter
	// Stopping is closed when the server shuts down: open Pulls end then, and the agents go elsewhere.
	Stopping <-chan struct{}
	Now      func() time.Time
	Log      hclog.Logger
}

// event is an entry of the audit log about what an agent did.
func (s *Service) event(ctx context.Context, caller auth.Caller, action string, o resource.Object, message string) *isthmusv1.Event {
	return &isthmusv1.Event{
		CreateTime: timestamppb.New(s.Now()),
		Spec: &isthmusv1.EventSpec{
			Actor: caller.Actor(), Role: string(caller.Role), Action: action,
			Kind: resource.KindOf(o).Name, Target: o.GetName(), TargetUid: o.GetUid(), Message: message, RequestId: request.ID(ctx),
		},
	}
}

// retry runs a write that decides on the newest view, again when what it had read has changed.
func (s *Service) retry(ctx context.Context, attempt func(v *snapshot.View) error) error {
	var err error
	for range maxAttempts {
		if err = attempt(s.Snapshot.View()); fault.CodeOf(err) != fault.Conflict {
			return err
		}
		if decided, ok := errors.AsType[*decision](err); ok {
			return decided.error
		}
		if err := s.Snapshot.Catchup(ctx); err != nil {
			return err
		}
	}
	return err
}

// decision is a Conflict that comes from the rules, not from a race: trying again gives the same.
type decision struct{ error }

func (d *decision) Unwrap() error { return d.error }

// write stores what an agent caused, and lets the snapshot catch up, so that its next call finds it.
func (s *Service) write(ctx context.Context, w store.Write) error {
	if _, err := s.Store.Write(ctx, w); err != nil {
		return err
	}
	return s.Snapshot.Catchup(ctx)
}

// peeringOf finds the peering of a uid among those of the caller's datacenter. Of others it says what it says of none.
func peeringOf(v *snapshot.View, caller auth.Caller, uid string) (*isthmusv1.Peering, error) {
	for p := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, caller.Datacenter) {
		if p.GetUid() == uid {
			return p, nil
		}
	}
	return nil, fault.New(fault.NotFound, "datacenter %s has no peering with uid %q", caller.Datacenter, uid)
}

// Report implements the RPC.
func (s *Service) Report(ctx context.Context, r *isthmusv1.ReportRequest) (*isthmusv1.ReportResponse, error) {
	caller := auth.CallerOf(ctx)
	if len(r.GetPeerings().GetPeerings()) > maxReported || len(r.GetServices().GetServices()) > maxReported {
		return nil, fault.New(fault.TooLarge, "a part of the report has more than %d entries", maxReported)
	}
	tidy(r)
	if err := s.Observations.Report(ctx, caller.Datacenter, caller.Name, r); err != nil {
		return nil, err
	}
	if a := r.GetAgent(); a != nil {
		s.Log.Info("an agent tells what it applied", "agent", caller.Name, "datacenter", caller.Datacenter, "index", a.GetAppliedIndex(),
			"digest", a.GetAppliedDigest(), "leader", a.GetLeader(), "error", a.GetError())
	}
	return &isthmusv1.ReportResponse{}, nil
}

// maxReported is far above what one Consul datacenter has of anything.
const maxReported = 100_000

// enrolledAs is the caller's Agent, which may have been deleted since the call was let in.
func enrolledAs(v *snapshot.View, caller auth.Caller) (*isthmusv1.Agent, error) {
	a, ok := resource.Lookup[*isthmusv1.Agent](v, resource.KindAgent, caller.Name)
	if !ok || a.GetUid() != caller.UID {
		return nil, auth.AgentDeleted(caller.Name)
	}
	return a, nil
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
