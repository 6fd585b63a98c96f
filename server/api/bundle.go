package api

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/federation"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/server/auth"
	"isthmus/server/change"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// How long RequestBundle waits for the primary's agent: what it does when it is there takes it a second, with ACL tokens to make.
const (
	defaultBundleWait = 30 * time.Second
	maxBundleWait     = 10 * time.Minute
)

// RequestBundle implements the RPC: it writes down that the bundle is wanted, which the primary's agent sees in its plan, and waits.
func (s *FederationService) RequestBundle(ctx context.Context, r *isthmusv1.RequestBundleRequest) (*isthmusv1.RequestBundleResponse, error) {
	wait, err := checkBundleRequest(r)
	if err != nil {
		return nil, err
	}
	asked := &isthmusv1.BundleRequest{
		Datacenter: r.GetDatacenter(), Recipient: r.GetRecipient(), FleetKey: r.GetFleetKey(), Signature: r.GetSignature(),
		CreateTime: r.GetCreateTime(), RequestedBy: auth.CallerOf(ctx).Actor(),
	}
	if asked.GetCreateTime() == nil {
		asked.CreateTime = timestamppb.New(s.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := s.memberKnown(ctx, r.GetName(), asked.GetDatacenter()); err != nil {
		return nil, err
	}
	f, err := one[*isthmusv1.Federation](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		e, err := bundleRequested(v, r.GetName(), asked)
		if err != nil {
			return nil, err
		}
		b := &batch{edits: []*edit{e}}
		b.spent = federation.SpentBundles(e.before.(*isthmusv1.Federation).GetStatus(), e.after.(*isthmusv1.Federation).GetStatus()) //nolint:forcetypeassert // bundleRequested makes it.
		return b, nil
	}))
	if err != nil {
		return nil, err
	}
	made, err := s.bundleMade(ctx, f, asked, wait)
	if err != nil {
		return nil, err
	}
	return s.handOut(context.WithoutCancel(ctx), f, made)
}

// checkBundleRequest refuses what no agent would take, before it is written down.
func checkBundleRequest(r *isthmusv1.RequestBundleRequest) (time.Duration, error) {
	wait := defaultBundleWait
	if text := r.GetWait(); text != "" {
		asked, err := time.ParseDuration(text)
		if err != nil || asked <= 0 {
			return 0, fault.Violated(fault.Violation{Field: "wait", Reason: "Invalid", Message: "is not a time to wait; expected for example 30s, at most 10m"})
		}
		wait = min(asked, maxBundleWait)
	}
	if _, err := age.ParseX25519Recipient(r.GetRecipient()); err != nil {
		return 0, fault.Violated(fault.Violation{Field: "recipient", Reason: "Invalid", Message: "is no age recipient: age1…, as age-keygen prints it"})
	}
	if n := len(r.GetFleetKey()); n != 0 && n != ed25519.PublicKeySize {
		return 0, fault.Violated(fault.Violation{Field: "fleetKey", Reason: "Invalid", Message: fmt.Sprintf("is %d bytes; expected %d", n, ed25519.PublicKeySize)})
	}
	if n := len(r.GetSignature()); n != 0 && n != ed25519.SignatureSize {
		return 0, fault.Violated(fault.Violation{Field: "signature", Reason: "Invalid", Message: fmt.Sprintf("is %d bytes; expected %d", n, ed25519.SignatureSize)})
	}
	if t := r.GetCreateTime(); t != nil && t.CheckValid() != nil {
		return 0, fault.Violated(fault.Violation{Field: "createTime", Reason: "Invalid", Message: "is no time"})
	}
	if (len(r.GetSignature()) > 0 || len(r.GetFleetKey()) > 0) && r.GetCreateTime() == nil {
		return 0, fault.Violated(fault.Violation{Field: "createTime", Reason: "Required", Message: "is missing: the fleet key's signature is over it, too"})
	}
	return wait, nil
}

// memberKnown waits until the controller has looked at a secondary that was named a moment ago. What is no secondary is not waited for.
func (s *FederationService) memberKnown(ctx context.Context, name, datacenter string) error {
	if err := s.Snapshot.Catchup(ctx); err != nil {
		return err
	}
	for {
		v := s.Snapshot.View()
		changed := v.WatchName(resource.KindFederation, name)
		f, ok := resource.Lookup[*isthmusv1.Federation](v, resource.KindFederation, name)
		if !ok || resource.MemberOf(f, datacenter) != nil || !slices.Contains(resource.SecondariesOf(v, f), datacenter) {
			return nil
		}
		select {
		case <-changed:
		case <-s.Stopping:
			return stopping()
		case <-ctx.Done():
			return fault.Wrap(fault.Timeout, ctx.Err(), "nobody has looked at Federation %q since it has %s: is a server's controller running?", name, datacenter)
		}
	}
}

func stopping() error { return fault.New(fault.Unavailable, "the server stops; ask again") }

// bundleRequested is the edit that writes a request into a Federation's status.
func bundleRequested(v *snapshot.View, name string, asked *isthmusv1.BundleRequest) (*edit, error) {
	before, err := existing(v, resource.KindFederation, name, 0)
	if err != nil {
		return nil, err
	}
	f := before.(*isthmusv1.Federation) //nolint:forcetypeassert // the kind's type is fixed by the registry.
	switch {
	case f.GetDeleteTime() != nil:
		return nil, fault.New(fault.Refused, "Federation %q is being deleted", name)
	case !slices.Contains(resource.SecondariesOf(v, f), asked.GetDatacenter()):
		return nil, fault.Violated(fault.Violation{
			Field: "datacenter", Reason: "NotFound",
			Message: fmt.Sprintf("%q is no secondary of Federation %q; add it to its secondaries first", asked.GetDatacenter(), name),
		})
	}
	if slices.ContainsFunc(f.GetStatus().GetBundleRequests(), func(q *isthmusv1.BundleRequest) bool { return sameRequest(q, asked) }) {
		// Who asks once more for the same goes on waiting for it.
		return revised(before, resource.Clone(before)), nil
	}
	after := resource.Clone(f)
	if after.Status, err = federation.Requested(f, proto.CloneOf(asked)); err != nil {
		return nil, err
	}
	return &edit{
		kind: resource.KindOf(before), before: before, after: after, action: resource.ActionBundle, status: true,
		message: fmt.Sprintf("a bundle of %s is wanted for %s", asked.GetDatacenter(), asked.GetRecipient()),
	}, nil
}

// bundleMade waits until the primary's agent has made what was asked for, or says why it does not.
func (s *FederationService) bundleMade(ctx context.Context, f *isthmusv1.Federation, asked *isthmusv1.BundleRequest, wait time.Duration) (*isthmusv1.BundleRequest, error) {
	start := s.Now()
	defer func() { request.Waited(ctx, s.Now().Sub(start)) }()
	for {
		v := s.Snapshot.View()
		changed := v.WatchName(resource.KindFederation, f.GetName())
		now, ok := resource.Lookup[*isthmusv1.Federation](v, resource.KindFederation, f.GetName())
		if !ok || now.GetUid() != f.GetUid() {
			return nil, fault.New(fault.Refused, "Federation %q was deleted meanwhile", f.GetName())
		}
		at := slices.IndexFunc(now.GetStatus().GetBundleRequests(), func(q *isthmusv1.BundleRequest) bool { return sameRequest(q, asked) })
		switch {
		case at < 0:
			return nil, fault.New(fault.Conflict, "the request was pushed out by later ones: ask again")
		case now.GetStatus().GetBundleRequests()[at].GetError() != "":
			return nil, fault.New(fault.Refused, "the agent of %s refuses: %s", now.GetSpec().GetPrimary(), now.GetStatus().GetBundleRequests()[at].GetError())
		case now.GetStatus().GetBundleRequests()[at].GetSecretDigest() != "":
			return now.GetStatus().GetBundleRequests()[at], nil
		}
		select {
		case <-changed:
		case <-s.Stopping:
			return nil, stopping()
		case <-ctx.Done():
			if context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // it is this very value.
				return nil, fault.New(fault.Timeout, "no agent of the primary %s has made the bundle within %s: see isthmus agent list, then ask again",
					now.GetSpec().GetPrimary(), wait)
			}
			return nil, ctx.Err()
		}
	}
}

func sameRequest(a, b *isthmusv1.BundleRequest) bool {
	return a.GetDatacenter() == b.GetDatacenter() && a.GetRecipient() == b.GetRecipient() && a.GetCreateTime().AsTime().Equal(b.GetCreateTime().AsTime())
}

// handOut gives a bundle to who asked for it. That it was is in the audit log before.
func (s *FederationService) handOut(ctx context.Context, f *isthmusv1.Federation, made *isthmusv1.BundleRequest) (*isthmusv1.RequestBundleResponse, error) {
	secret, err := s.Vault.Secret(ctx, made.GetSecretDigest())
	if err != nil {
		return nil, err
	}
	payload, err := seal.Decode(secret.Body)
	if err != nil {
		return nil, err
	}
	e := change.By(ctx, auth.CallerOf(ctx)).Event(resource.ActionReadSecret, f, fmt.Sprintf("%s of %s, generation %d, of %s, for %s",
		payload.GetKind(), made.GetDatacenter(), payload.GetGeneration(), payload.GetFrom(), made.GetRecipient()), s.Now())
	v, err := s.commit(ctx, store.Write{Events: []*isthmusv1.Event{e}})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.RequestBundleResponse{Payload: payload, Senders: plan.Trusted(v, f.GetSpec().GetPrimary())}, nil
}
