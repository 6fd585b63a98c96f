package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Roles of the tokens that a secondary is given.
const (
	tokenReplication = "replication"
	tokenConsul      = "consul-agent"
	tokenIsthmus     = "isthmus-agent"
	tokenGateway     = "gateway"
)

const (
	// maxPolicyName is Consul's limit.
	maxPolicyName = 128
	// wanAlive and wanLeft are the statuses of a server that answers in the WAN gossip, and of one that said goodbye.
	wanAlive, wanLeft = "alive", "left"
)

// rulesReplication is what Consul's servers need to replicate ACLs, config entries, intentions and federation states, to have the mesh CA sign
// for them, and to write their own federation state into the primary. Consul checks acl and operator for writing: whoever has this token
// is an administrator of the primary.
const rulesReplication = `acl = "write"
operator = "write"
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "write" }
service_prefix "" { policy = "write" intentions = "read" }
`

// rulesConsulAgent is what a Consul server needs for itself: to register its node, and to find services for DNS.
const rulesConsulAgent = `node_prefix "" { policy = "write" }
service_prefix "" { policy = "read" }
`

// rulesReads is what it takes to read another datacenter's catalog.
const rulesReads = `node_prefix "" { policy = "read" }
service_prefix "" { policy = "read" }
`

// tokens makes, or finds again, a member's own tokens.
func (p *primaryPass) tokens(ctx context.Context, m *isthmusv1.BundleMember) (federation.Tokens, error) {
	grants, err := p.grants(m)
	if err != nil {
		return federation.Tokens{}, err
	}
	secrets, err := p.consul.EnsureTokens(ctx, grants)
	if err != nil {
		return federation.Tokens{}, err
	}
	return federation.Tokens{
		Replication: secrets[0].Reveal(), Agent: secrets[1].Reveal(), Isthmus: secrets[2].Reveal(), Gateway: secrets[3].Reveal(),
	}, nil
}

// grants are a member's tokens: replication, consul-agent, isthmus-agent, gateway. All but the first, and reading catalogs, count in that
// datacenter only.
func (p *primaryPass) grants(m *isthmusv1.BundleMember) ([]consul.ACLGrant, error) {
	secondary, err := Policy(PurposeSecondary)
	if err != nil {
		return nil, err
	}
	gateway, err := Policy(PurposeGateway)
	if err != nil {
		return nil, err
	}
	there := []string{m.GetConsulDatacenter()}
	policy := func(name, rules string, datacenters []string) consul.ACLPolicy {
		return consul.ACLPolicy{
			Name: p.policyName(m, name), Rules: rules, Datacenters: datacenters,
			Description: "isthmus made this for " + m.GetDatacenter() + ", a secondary of federation " + p.item.GetFederation() + ", and deletes it when that leaves.",
		}
	}
	return []consul.ACLGrant{
		{Description: p.tokenName(m, tokenReplication), Policies: []consul.ACLPolicy{policy(tokenReplication, rulesReplication, nil)}},
		{Description: p.tokenName(m, tokenConsul), Policies: []consul.ACLPolicy{policy(tokenConsul, rulesConsulAgent, there)}},
		{Description: p.tokenName(m, tokenIsthmus), Policies: []consul.ACLPolicy{
			policy(tokenIsthmus, secondary, there), policy(tokenIsthmus+"-reads", rulesReads, nil),
		}},
		{Description: p.tokenName(m, tokenGateway), Policies: []consul.ACLPolicy{policy(tokenGateway, gateway, there)}},
	}, nil
}

// tokenName is the description by which a token is found again.
func (p *primaryPass) tokenName(m *isthmusv1.BundleMember, role string) string {
	return tokenMark + p.item.GetUid() + ": " + role + " of " + m.GetDatacenter()
}

// policyName is isthmus-<federation>-<datacenter>-<role>, or a digest of that where Consul would find it too long.
func (p *primaryPass) policyName(m *isthmusv1.BundleMember, role string) string {
	name := "isthmus-" + p.item.GetFederation() + "-" + m.GetDatacenter() + "-" + role
	if len(name) > maxPolicyName {
		sum := sha256.Sum256([]byte(name))
		name = "isthmus-" + hex.EncodeToString(sum[:16]) + "-" + role
	}
	return name
}

// revoke takes back what a member was given, and clears the WAN gossip of its servers. It is done when none of them is left there: one that
// is alive would come back, with nobody to forget it.
func (p *primaryPass) revoke(ctx context.Context, m *isthmusv1.BundleMember) error {
	grants, err := p.grants(m)
	if err != nil {
		return err
	}
	deleted, err := p.consul.DeleteGrants(ctx, grants)
	if err != nil {
		return err
	}
	if deleted > 0 {
		p.log.Info("revoked the tokens of a secondary", "federation", p.item.GetFederation(), "datacenter", m.GetDatacenter(), "tokens", deleted)
	}
	members, err := p.wanMembers(ctx)
	if err != nil {
		return err
	}
	var there []string
	answers := sync.OnceValue(func() bool { return p.answers(ctx, m) })
	for _, w := range members {
		if w.Datacenter != m.GetConsulDatacenter() {
			continue
		}
		if !p.primary.silent.gone(w, answers, p.now()) {
			there = append(there, w.Node+" ("+w.Status+")")
			continue
		}
		if err := p.consul.ForceLeaveWAN(ctx, w.Node); err != nil {
			return err
		}
		delete(p.primary.silent, w.Node)
		p.log.Info("forgot a server in the WAN gossip", "datacenter", m.GetDatacenter(), "server", w.Node, "was", w.Status)
	}
	if len(there) > 0 {
		return because(fault.Unavailable, reasonAlive, "tokens are revoked; but %s of %s is still in the WAN gossip: restart it without the federation's configuration (what is silent for %s is forgotten)",
			strings.Join(there, ", "), m.GetDatacenter(), goneAfter)
	}
	return nil
}

const (
	// aliveTimeout is how long a server of another datacenter may take to answer.
	aliveTimeout = 5 * time.Second
	// goneAfter is how long servers have to be silent to be taken for gone.
	goneAfter = 10 * time.Second
)

// silence is since when servers have not been heard of, by their name in the WAN gossip. The zero value is ready.
type silence map[string]time.Time

// gone tells that a server does not come back to the WAN gossip by itself: it has left, or has been silent for goneAfter. One that failed
// may be there all the same: under load, or over a network that stumbles, gossip takes a server for failed that is back within
// seconds. One that is alive may not be there any more: gossip takes minutes to notice that the only two members of a pool are apart, so
// that its datacenter is asked whether it answers.
func (s *silence) gone(w consul.WANMember, answers func() bool, now time.Time) bool {
	switch {
	case w.Status == wanLeft:
		return true
	case w.Status == wanAlive && answers():
		delete(*s, w.Node)
		return false
	}
	if *s == nil {
		*s = silence{}
	}
	if _, known := (*s)[w.Node]; !known {
		(*s)[w.Node] = now
	}
	return now.Sub((*s)[w.Node]) >= goneAfter
}

// answers tells that a server of a member's datacenter answers a call. One that does so is back in the pool, whatever was forgotten.
func (p *primaryPass) answers(ctx context.Context, m *isthmusv1.BundleMember) bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	_, err := p.consul.RemoteServices(ctx, m.GetConsulDatacenter())
	return err == nil
}

// wanMembers is the WAN gossip as it was at the beginning of the pass.
func (p *primaryPass) wanMembers(ctx context.Context) (members []consul.WANMember, err error) {
	if !p.asked {
		p.wan, err = p.consul.WANMembers(ctx)
		p.asked = err == nil
	}
	return p.wan, err
}
