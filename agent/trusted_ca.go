package agent

import (
	"strings"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// provenCAs are the CAs (PEM) of other datacenters of a federation for which their own agents vouch, up to the fleet key. Consul believes
// whatever a CA that it trusts says of any datacenter, so a CA is never the server's to name: what is not proven is left out, and refused says
// so.
func (r *reconciler) provenCAs(uid, primary string, vouchers []*isthmusv1.TrustedCA) (proven []string, refused error) {
	var bad []string
	for _, v := range vouchers {
		text, err := r.provenCA(uid, primary, v)
		if err == nil {
			proven = append(proven, text)
			continue
		}
		bad = append(bad, v.GetDatacenter()+": "+messageOf(err))
	}
	if len(bad) > 0 {
		refused = because(fault.Denied, reasonUntrustedCA, "the server names a CA to trust that is not proven, and that is not trusted: %s", strings.Join(bad, "; "))
	}
	return proven, refused
}

func (r *reconciler) provenCA(uid, primary string, v *isthmusv1.TrustedCA) (string, error) {
	fleet, err := r.fleet([]*isthmusv1.TrustedAgent{v.GetAgent()})
	if err != nil {
		return "", err
	}
	role := resource.RoleSecondary
	if v.GetDatacenter() == primary {
		role = resource.RolePrimary
	}
	return identity.VerifyOwnCA(v, uid, role, fleet)
}

// others are the CAs that this host shall trust beside its own. What is refused stands in the log when it becomes so.
func (c *courier) others(uid, primary string, vouchers []*isthmusv1.TrustedCA) (proven []string, refused error) {
	proven, refused = c.provenCAs(uid, primary, vouchers)
	if text := messageOf(refused); text != c.refusedCAs {
		c.refusedCAs = text
		if refused != nil {
			c.log.Warn("a CA is not trusted", "federation", uid, "error", refused)
		}
	}
	return proven, refused
}

// vouch signs this host's CA for the others of a federation that its flags allow; nothing where there is no CA.
func (c *courier) vouch(uid, role, ca string) []byte {
	if uid == "" || ca == "" {
		return nil
	}
	signature, err := identity.SignOwnCA(c.self.signer(), uid, role, c.self.name(), c.self.datacenter(), ca)
	if err != nil {
		c.log.Warn("this host's own CA cannot be shown to others", "error", err)
		return nil
	}
	return signature
}
