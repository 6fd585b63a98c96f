package plan

import (
	"slices"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Trusted are the agents of a datacenter that others may seal to, in order of their names. The server only proposes
// them: every agent verifies each up to the fleet key that it has pinned.
func Trusted(r resource.Reader, datacenter string) []*isthmusv1.TrustedAgent {
	if datacenter == "" {
		return nil
	}
	var out []*isthmusv1.TrustedAgent
	for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
		if a.GetDeleteTime() != nil || a.GetSpec().GetKind() != resource.AgentKindAgent || !resource.Trusted(a) {
			continue
		}
		out = append(out, &isthmusv1.TrustedAgent{
			Attestation: a.GetSpec().GetAttestation(), Approval: a.GetSpec().GetApproval(),
		})
	}
	return out
}

// Recipients are the dialer's agents that a peering's token is sealed to: those of a fleet that the acceptor has agents of,
// since these seal to nobody else. An agent of another fleet, which anybody can mint a join token for, keeps nobody waiting.
func Recipients(r resource.Reader, p *isthmusv1.Peering) []*isthmusv1.TrustedAgent {
	agents := Trusted(r, p.GetSpec().GetDialer())
	if p.GetSpec().GetAcceptor() == "" {
		// Whoever has the token seals it.
		return agents
	}
	fleets := map[string]bool{}
	for _, a := range Trusted(r, p.GetSpec().GetAcceptor()) {
		fleets[fleetOf(a)] = true
	}
	return slices.DeleteFunc(agents, func(a *isthmusv1.TrustedAgent) bool { return !fleets[fleetOf(a)] })
}

// fleetOf is the fleet key that an agent's keys are proven by.
func fleetOf(a *isthmusv1.TrustedAgent) string {
	if a.GetApproval() != nil {
		return string(a.GetApproval().GetFleetKey())
	}
	return string(a.GetAttestation().GetGrant().GetFleetKey())
}

func acceptor(r resource.Reader, p *isthmusv1.Peering) *isthmusv1.PeeringAcceptor {
	spec, token := p.GetSpec(), p.GetStatus().GetToken()
	recipients := Recipients(r, p)
	return &isthmusv1.PeeringAcceptor{
		Uid: p.GetUid(), Peering: p.GetName(), PeerName: spec.GetAcceptorPeerName(),
		Dialer: spec.GetDialer(), ExternalDialer: spec.GetExternalDialer(),
		Generation:              token.GetGeneration(),
		TokenStored:             peering.Stored(token, ageRecipients(recipients)),
		Recipients:              recipients,
		ServerExternalAddresses: spec.GetServerExternalAddresses(),
		Delete:                  p.GetDeleteTime() != nil,
	}
}

func dialer(r resource.Reader, p *isthmusv1.Peering) *isthmusv1.PeeringDialer {
	spec, token := p.GetSpec(), p.GetStatus().GetToken()
	out := &isthmusv1.PeeringDialer{
		Uid: p.GetUid(), Peering: p.GetName(), PeerName: spec.GetDialerPeerName(),
		Acceptor: spec.GetAcceptor(), ExternalAcceptor: spec.GetExternalAcceptor(),
		Generation:     token.GetGeneration(),
		Senders:        Trusted(r, spec.GetAcceptor()),
		AcceptorPeerId: p.GetStatus().GetAcceptor().GetPeerId(),
		Delete:         p.GetDeleteTime() != nil,
	}
	if !out.GetDelete() {
		out.SecretDigest = peering.Waiting(token)
	}
	return out
}

func ageRecipients(agents []*isthmusv1.TrustedAgent) []string {
	out := make([]string, 0, len(agents))
	for _, a := range agents {
		out = append(out, a.GetAttestation().GetAgeRecipient())
	}
	return out
}

// peers are the datacenters that have a peering with this one, sorted.
func peers(r resource.Reader, datacenter string) []string {
	var out []string
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if other := p.GetSpec().GetDialer(); other != "" && other != datacenter {
			out = append(out, other)
		}
		if other := p.GetSpec().GetAcceptor(); other != "" && other != datacenter {
			out = append(out, other)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
