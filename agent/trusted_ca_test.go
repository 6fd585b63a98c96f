package agent_test

import (
	"testing"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// vouched is a CA as an agent vouches for it, in a datacenter with that role.
func vouched(t *testing.T, id *identity.Identity, uid, role, ca string) *isthmusv1.TrustedCA {
	t.Helper()
	datacenter := id.Attestation.GetGrant().GetDatacenter()
	signature, err := identity.SignOwnCA(id.Signer(), uid, role, id.Agent(), datacenter, ca)
	need(t, err)
	return &isthmusv1.TrustedCA{Datacenter: datacenter, Certificates: ca, Agent: trustedOf(id)[0], Signature: signature}
}
