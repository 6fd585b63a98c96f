package agent

import (
	"crypto/ed25519"
	"crypto/tls"
	"sync"

	"filippo.io/age"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// credentials are who the agent is: its keys, and the certificate that the server gave it last.
type credentials struct {
	id *identity.Identity
	// fleetID is the fleet key's id that this host was told; empty when it was not.
	fleetID string

	mu         sync.Mutex
	credential identity.Credential
	fleet      ed25519.PublicKey
}

func newCredentials(id *identity.Identity, fleetID string) (*credentials, error) {
	pinned := id.FleetKey()
	if len(pinned) > 0 && fleetID != "" && identity.KeyID(pinned) != fleetID {
		return nil, ended(ExitUntrusted, fault.Denied, nil, "the join token belongs to fleet %s, and this host was told to believe %s", identity.KeyID(pinned), fleetID)
	}
	return &credentials{id: id, fleetID: fleetID, fleet: pinned}, nil
}

func (c *credentials) name() string                     { return c.id.Agent() }
func (c *credentials) datacenter() string               { return c.id.Datacenter() }
func (c *credentials) signer() ed25519.PrivateKey       { return c.id.Signer() }
func (c *credentials) ageIdentity() *age.X25519Identity { return c.id.Opener() }

func (c *credentials) set(credential identity.Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credential = credential
}

func (c *credentials) get() identity.Credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.credential
}

// certificate is for TLS: an empty one before enrolment.
func (c *credentials) certificate() *tls.Certificate {
	certificate := c.get().Certificate
	return &certificate
}

// fleetKey is the key that other agents' keys are proven with: the one that the join token pinned, or the one whose id this
// host was told, found among what others show.
func (c *credentials) fleetKey(shown []*isthmusv1.TrustedAgent) (ed25519.PublicKey, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fleet) > 0 {
		return c.fleet, nil
	}
	if c.fleetID == "" {
		return nil, because(fault.Refused, reasonNoFleetKey,
			"agent %s enrolled with a join token that was minted without the fleet key, so that it can prove nobody: start it with --fleet-id ID (isthmus fleet show tells the id)", c.name())
	}
	for _, t := range shown {
		for _, key := range [][]byte{t.GetAttestation().GetGrant().GetFleetKey(), t.GetApproval().GetFleetKey()} {
			if len(key) == ed25519.PublicKeySize && identity.KeyID(key) == c.fleetID {
				c.fleet = key
				return key, nil
			}
		}
	}
	return nil, because(fault.Refused, reasonNoFleetKey, "nobody shows the fleet key %s that this host was told to believe", c.fleetID)
}
