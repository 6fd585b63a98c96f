package agentapi

import (
	"context"
	"fmt"
	"slices"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/server/auth"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// StoreBundle implements the RPC. Storing the same bundle twice is no error: an answer can get lost.
func (s *Service) StoreBundle(ctx context.Context, r *isthmusv1.StoreBundleRequest) (*isthmusv1.StoreBundleResponse, error) {
	caller := auth.CallerOf(ctx)
	if err := s.budgets.spend(caller.Name, 1, s.Now()); err != nil {
		return nil, err
	}
	payload := r.GetPayload()
	digest := seal.Digest(payload)
	body, err := seal.Encode(payload)
	if err != nil {
		return nil, err
	}
	secret := store.Secret{Digest: digest, Kind: payload.GetKind(), Body: body, ExpireTime: payload.GetExpireTime().AsTime()}
	err = s.retry(ctx, func(v *snapshot.View) error {
		f, item, err := primaryOf(v, caller, payload.GetUid())
		if err != nil {
			return err
		}
		if slices.Contains(federation.Stores(f, r.GetDatacenter()), digest) {
			return nil
		}
		if err := s.checkBundle(v, caller, item, r); err != nil {
			return err
		}
		return s.storeBundle(ctx, caller, f, r, secret)
	})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.StoreBundleResponse{Digest: digest}, nil
}

// storeBundle writes the bundle, and that it is there, over the status that was read.
func (s *Service) storeBundle(ctx context.Context, caller auth.Caller, f *isthmusv1.Federation, r *isthmusv1.StoreBundleRequest, secret store.Secret) error {
	payload := r.GetPayload()
	status, err := federation.Stored(f, federation.StoredBundle{
		Datacenter: r.GetDatacenter(), Recipient: r.GetRecipient(), Generation: payload.GetGeneration(), Previous: r.GetPreviousGeneration(),
		SecretDigest: secret.Digest, InputDigest: r.GetInputDigest(), Recipients: payload.GetRecipients(), Agent: caller.Name,
		Certificates: r.GetCertificates(), CertificateExpireTime: r.GetCertificateExpireTime(),
	}, s.Now())
	if err != nil {
		return err
	}
	next := resource.Clone(f)
	next.Status = status
	to := fmt.Sprintf("%d agents", len(payload.GetRecipients()))
	if r.GetRecipient() != "" {
		to = r.GetRecipient()
	}
	return s.write(ctx, store.Write{
		Puts:          []store.Put{{Object: next, Part: store.PartStatus}},
		Requires:      []store.Require{{Key: store.Key{Kind: resource.KindFederation, Name: f.GetName()}, Index: f.GetIndex()}},
		Secrets:       []store.Secret{secret},
		DeleteSecrets: federation.SpentBundles(f.GetStatus(), status),
		Events: []*isthmusv1.Event{s.event(ctx, caller, resource.ActionBundle, f,
			fmt.Sprintf("bundle of %s, generation %d, sealed to %s", r.GetDatacenter(), payload.GetGeneration(), to))},
	})
}

// primaryOf finds a federation whose bundles the caller makes, and what it is asked to do for it. Nobody believes one that is not
// approved.
func primaryOf(v *snapshot.View, caller auth.Caller, uid string) (*isthmusv1.Federation, *isthmusv1.FederationPrimary, error) {
	if err := believed(v, caller); err != nil {
		return nil, nil, err
	}
	f, err := federationOf(v, caller, uid)
	if err != nil {
		return nil, nil, err
	}
	if f.GetSpec().GetPrimary() != caller.Datacenter {
		return nil, nil, fault.New(fault.Denied, "datacenter %s does not make the bundles of Federation %s: its primary is %s", caller.Datacenter,
			f.GetName(), f.GetSpec().GetPrimary())
	}
	for _, item := range federation.Items(v, caller.Datacenter) {
		if p := item.GetFederationPrimary(); p.GetUid() == uid {
			return f, p, nil
		}
	}
	return nil, nil, fault.New(fault.Conflict, "nothing is wanted of the primary of Federation %s now", f.GetName())
}

// checkBundle refuses what is not what the primary's agents are asked for, as far as that can be seen from outside: who opens it checks
// all of it again, and more. What was right a moment ago is a Conflict, other things are Invalid.
func (s *Service) checkBundle(v *snapshot.View, caller auth.Caller, item *isthmusv1.FederationPrimary, r *isthmusv1.StoreBundleRequest) error {
	at := slices.IndexFunc(item.GetMembers(), func(m *isthmusv1.BundleMember) bool { return m.GetDatacenter() == r.GetDatacenter() })
	if at < 0 {
		return fault.New(fault.Conflict, "%q is no secondary of Federation %s", plainText(r.GetDatacenter(), maxText), item.GetFederation())
	}
	member := item.GetMembers()[at]
	if r.GetPreviousGeneration() != member.GetBundle().GetGeneration() {
		return fault.New(fault.Conflict, "generation %d of the bundle of %s is stored, not %d", member.GetBundle().GetGeneration(),
			member.GetDatacenter(), r.GetPreviousGeneration())
	}
	want := seal.Shape{
		Kind: seal.KindFederationBundle, UID: item.GetUid(), From: caller.Name, FromDatacenter: caller.Datacenter, ToDatacenter: member.GetDatacenter(),
	}
	var generation int32
	var err error
	if r.GetRecipient() != "" {
		generation, want.Recipients, err = wantedByHand(item, member, r)
	} else {
		generation, want.Recipients, err = wantedByAgents(item, member, r)
	}
	if err != nil {
		return err
	}
	if n := r.GetPayload().GetGeneration(); n != generation {
		return invalidField("payload.generation", "is %d; expected %d", n, generation)
	}
	if err := seal.CheckShape(r.GetPayload(), want, s.Now()); err != nil {
		return err
	}
	if missing := len(want.Recipients) - len(r.GetPayload().GetRecipients()); missing > 0 {
		return fault.New(fault.Conflict, "the bundle of %s is not sealed to %d of its agents", member.GetDatacenter(), missing)
	}
	maker, err := enrolledAs(v, caller)
	if err != nil {
		return err
	}
	return seal.VerifyMaker(r.GetPayload(), maker.GetSpec().GetAttestation())
}

// wantedByAgents is the generation and the recipients of the next bundle of a member.
func wantedByAgents(item *isthmusv1.FederationPrimary, m *isthmusv1.BundleMember, r *isthmusv1.StoreBundleRequest) (int32, []string, error) {
	if !m.GetReady() || m.GetRevoke() {
		return 0, nil, fault.New(fault.Conflict, "no bundle of %s is wanted now", m.GetDatacenter())
	}
	if text := r.GetInputDigest(); text == "" || len(text) > maxText || plainText(text, maxText) != text {
		return 0, nil, invalidField("inputDigest", "is no digest")
	}
	for i, agent := range r.GetCertificates() {
		asked := slices.ContainsFunc(m.GetRequests(), func(q *isthmusv1.CertificateRequest) bool { return q.GetAgent() == agent })
		if !item.GetKeyless() || !asked || slices.Contains(r.GetCertificates()[:i], agent) {
			return 0, nil, invalidField(fmt.Sprintf("certificates[%d]", i), "is no agent of %s that asks for a certificate", m.GetDatacenter())
		}
	}
	if end := r.GetCertificateExpireTime(); end != nil && (end.CheckValid() != nil || len(r.GetCertificates()) == 0) {
		return 0, nil, invalidField("certificateExpireTime", "is no time, or of no certificate")
	}
	recipients := make([]string, 0, len(m.GetRecipients()))
	for _, t := range m.GetRecipients() {
		recipients = append(recipients, t.GetAttestation().GetAgeRecipient())
	}
	return m.GetBundle().GetGeneration() + 1, recipients, nil
}

// wantedByHand is the generation and the recipient of a bundle that an operator asks for: as good as what is stored for the member's
// agents, or the first.
func wantedByHand(item *isthmusv1.FederationPrimary, m *isthmusv1.BundleMember, r *isthmusv1.StoreBundleRequest) (int32, []string, error) {
	if !slices.ContainsFunc(item.GetRequests(), func(q *isthmusv1.BundleRequest) bool {
		return q.GetDatacenter() == m.GetDatacenter() && q.GetRecipient() == r.GetRecipient()
	}) {
		return 0, nil, fault.New(fault.Conflict, "nobody asks for a bundle of %s for that recipient now", m.GetDatacenter())
	}
	return max(1, m.GetBundle().GetGeneration()), []string{r.GetRecipient()}, nil
}

// bundledFor finds the federation whose bundle for the caller's datacenter has that digest.
func bundledFor(v *snapshot.View, caller auth.Caller, digest string) (*isthmusv1.Federation, bool) {
	m, ok := resource.MembershipOf(v, caller.Datacenter)
	if !ok || digest == "" || !slices.Contains(federation.Digests(m.Federation, caller.Datacenter), digest) {
		return nil, false
	}
	return m.Federation, true
}

func invalidField(field, format string, args ...any) error {
	return fault.Violated(fault.Violation{Field: field, Reason: "Invalid", Message: fmt.Sprintf(format, args...)})
}
