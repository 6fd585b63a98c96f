package plan

import (
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Agent kinds, as in AgentSpec.kind.
const kindAgent = "agent"

// untrusted is the trust of an agent that nobody seals to.
const untrusted = "none"

// Trusted are the agents of a datacenter that others may seal to, in order of their names. The server only proposes
// them: every agent verifies each up to the fleet key that it has pinned.
func Trusted(r resource.Reader, datacenter string) []*isthmusv1.TrustedAgent {
	if datacenter == "" {
		return nil
	}
	var out []*isthmusv1.TrustedAgent
	for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
		trust := a.GetStatus().GetTrust()
		if a.GetDeleteTime() != nil || a.GetSpec().GetKind() != kindAgent || trust == "" || trust == untrusted {
			continue
		}
		out = append(out, &isthmusv1.TrustedAgent{
			Attestation: a.GetSpec().GetAttestation(), Approval: a.GetSpec().GetApproval(),
		})
	}
	return out
}

func acceptor(r resource.Reader, p *isthmusv1.Peering) *isthmusv1.PeeringAcceptor {
	spec, token := p.GetSpec(), p.GetStatus().GetToken()
	recipients := Trusted(r, spec.GetDialer())
	return &isthmusv1.PeeringAcceptor{
		Uid: p.GetUid(), Peering: p.GetName(), PeerName: spec.GetAcceptorPeerName(),
		Dialer: spec.GetDialer(), ExternalDialer: spec.GetExternalDialer(),
		Generation:              token.GetGeneration(),
		TokenStored:             tokenServes(token, recipients),
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
	if entry := newest(token); entry != nil && !out.GetDelete() {
		out.SecretDigest = entry.GetSecretDigest()
	}
	return out
}

// newest is the ledger's entry of the generation that agents obey; nil while no agent has claimed it.
func newest(token *isthmusv1.TokenStatus) *isthmusv1.TokenEntry {
	i := slices.IndexFunc(token.GetLedger(), func(e *isthmusv1.TokenEntry) bool {
		return e.GetGeneration() == token.GetGeneration()
	})
	if i < 0 || token.GetGeneration() == 0 {
		return nil
	}
	return token.GetLedger()[i]
}

// tokenServes tells whether nothing is left for the acceptor to make: the token of this generation was used, or is stored
// and every agent of the dialer can open it.
func tokenServes(token *isthmusv1.TokenStatus, recipients []*isthmusv1.TrustedAgent) bool {
	entry := newest(token)
	switch {
	case entry == nil || entry.GetMakeTime() == nil:
		return false
	case entry.GetUseTime() != nil:
		return true
	}
	return !slices.ContainsFunc(recipients, func(t *isthmusv1.TrustedAgent) bool {
		return !slices.Contains(entry.GetRecipients(), t.GetAttestation().GetAgeRecipient())
	})
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
