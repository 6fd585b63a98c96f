package federation

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxRequests is how many bundles by hand a Federation remembers.
const maxRequests = 16

// StoredBundle is a bundle that an agent of the primary sealed.
type StoredBundle struct {
	// Datacenter that it is for. Recipient is set when it was asked for by hand.
	Datacenter, Recipient string
	Generation            int32
	// Previous is the generation that its maker knew of.
	Previous                  int32
	SecretDigest, InputDigest string
	// Recipients are the age recipients that it is sealed to.
	Recipients []string
	// Agent made it.
	Agent string
	// Certificates are the agents whose certificates are in it; CertificateExpireTime is the first end among these.
	Certificates          []string
	CertificateExpireTime *timestamppb.Timestamp
}

// Stored is the status of a Federation once a bundle is stored. It is a Conflict when another one was stored since, and Refused when
// nobody wants one for that datacenter.
func Stored(f *isthmusv1.Federation, s StoredBundle, now time.Time) (*isthmusv1.FederationStatus, error) {
	after := resource.Clone(f)
	next, m := after.GetStatus(), resource.MemberOf(after, s.Datacenter)
	switch {
	case m == nil || m.GetRole() != resource.RoleSecondary || m.GetPhase() == resource.PhaseLeaving:
		return nil, fault.New(fault.Refused, "%s is no secondary of Federation %s", s.Datacenter, f.GetName())
	case m.GetBundle().GetGeneration() != s.Previous:
		return nil, fault.New(fault.Conflict, "generation %d of the bundle of %s is stored, not %d", m.GetBundle().GetGeneration(), s.Datacenter, s.Previous)
	}
	if s.Recipient != "" {
		return next, storeByHand(next, s)
	}
	switch {
	case !wantsBundle(m):
		return nil, fault.New(fault.Refused, "%s is %s (%s): no bundle of it is wanted now", s.Datacenter, m.GetPhase(), m.GetReason())
	case s.Generation != s.Previous+1:
		return nil, fault.New(fault.Conflict, "generation %d cannot follow generation %d", s.Generation, s.Previous)
	}
	m.Bundle = &isthmusv1.BundleEntry{
		Generation: s.Generation, SecretDigest: s.SecretDigest, InputDigest: s.InputDigest, Recipients: slices.Clone(s.Recipients),
		MadeBy: s.Agent, MakeTime: timestamppb.New(now), Certificates: slices.Clone(s.Certificates), CertificateExpireTime: s.CertificateExpireTime,
	}
	return next, nil
}

func storeByHand(next *isthmusv1.FederationStatus, s StoredBundle) error {
	for _, request := range next.GetBundleRequests() {
		if request.GetDatacenter() == s.Datacenter && request.GetRecipient() == s.Recipient {
			request.SecretDigest, request.Generation, request.Error = s.SecretDigest, s.Generation, ""
			return nil
		}
	}
	return fault.New(fault.Refused, "nobody asks for a bundle of %s for that recipient", s.Datacenter)
}

// wantsBundle: its bundle is made, and made anew when a part of it changes.
func wantsBundle(m *isthmusv1.FederationMember) bool {
	switch m.GetPhase() {
	case resource.PhaseBundling, resource.PhaseDelivering, resource.PhaseJoining, resource.PhaseJoined:
		return m.GetRole() == resource.RoleSecondary && !m.GetRevoked()
	}
	return false
}

// Requested is the status of a Federation once a bundle is asked for by hand. An earlier request of the same recipient is replaced.
func Requested(f *isthmusv1.Federation, request *isthmusv1.BundleRequest) (*isthmusv1.FederationStatus, error) {
	m := resource.MemberOf(f, request.GetDatacenter())
	if m.GetRole() != resource.RoleSecondary || m.GetPhase() == resource.PhaseLeaving || f.GetDeleteTime() != nil {
		return nil, fault.New(fault.Refused, "%s is no secondary of Federation %s", request.GetDatacenter(), f.GetName())
	}
	next := resource.Clone(f).GetStatus()
	others := slices.DeleteFunc(next.GetBundleRequests(), func(q *isthmusv1.BundleRequest) bool {
		return q.GetDatacenter() == request.GetDatacenter() && q.GetRecipient() == request.GetRecipient()
	})
	next.BundleRequests = append([]*isthmusv1.BundleRequest{proto.CloneOf(request)}, others...)
	next.BundleRequests = next.GetBundleRequests()[:min(len(next.GetBundleRequests()), maxRequests)]
	return next, nil
}

// Digests are of the sealed bundles that the agents of a datacenter may fetch: none before everything stands ready for the join.
func Digests(f *isthmusv1.Federation, datacenter string) []string {
	if m := resource.MemberOf(f, datacenter); delivers(m) && m.GetBundle().GetSecretDigest() != "" {
		return []string{m.GetBundle().GetSecretDigest()}
	}
	return nil
}

// Stores are the digests of all sealed bundles for a datacenter, those by hand among them.
func Stores(f *isthmusv1.Federation, datacenter string) []string {
	var out []string
	for digest, of := range stored(f.GetStatus()) {
		if of == datacenter {
			out = append(out, digest)
		}
	}
	slices.Sort(out)
	return out
}

// SpentBundles are the digests of the sealed bundles that one status names and the next no longer does.
func SpentBundles(before, after *isthmusv1.FederationStatus) []string {
	var out []string
	kept := stored(after)
	for digest := range stored(before) {
		if _, ok := kept[digest]; !ok {
			out = append(out, digest)
		}
	}
	slices.Sort(out)
	return out
}

// stored tells of each sealed bundle that a status names whom it is for.
func stored(s *isthmusv1.FederationStatus) map[string]string {
	out := map[string]string{}
	for _, m := range s.GetMembers() {
		if digest := m.GetBundle().GetSecretDigest(); digest != "" {
			out[digest] = m.GetDatacenter()
		}
	}
	for _, request := range s.GetBundleRequests() {
		if digest := request.GetSecretDigest(); digest != "" {
			out[digest] = request.GetDatacenter()
		}
	}
	return out
}

// delivers: the hosts of a secondary are given its bundle.
func delivers(m *isthmusv1.FederationMember) bool {
	switch m.GetPhase() {
	case resource.PhaseDelivering, resource.PhaseJoining, resource.PhaseJoined:
		return m.GetRole() == resource.RoleSecondary
	}
	return false
}
