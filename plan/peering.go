package plan

import (
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Trusted is resource.TrustedAgents.
func Trusted(r resource.Reader, datacenter string) []*isthmusv1.TrustedAgent {
	return resource.TrustedAgents(r, datacenter)
}

// Recipients are the dialer's agents that a peering's token is sealed to.
func Recipients(r resource.Reader, p *isthmusv1.Peering) []*isthmusv1.TrustedAgent {
	if p.GetSpec().GetAcceptor() == "" {
		// Whoever has the token seals it.
		return resource.TrustedAgents(r, p.GetSpec().GetDialer())
	}
	return resource.Recipients(r, p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer())
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
		LeaderTransfer: peering.LeaderTransfer(p),
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
