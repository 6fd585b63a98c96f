package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
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
	// wanAlive is the status of a server that answers in the WAN gossip.
	wanAlive = "alive"
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
// is alive would come back.
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
	var alive []string
	for _, w := range members {
		switch {
		case w.Datacenter != m.GetConsulDatacenter():
			continue
		case w.Status == wanAlive && !p.gone(ctx, m):
			alive = append(alive, w.Node)
			continue
		}
		if err := p.consul.ForceLeaveWAN(ctx, w.Node); err != nil {
			return err
		}
		p.log.Info("forgot a server in the WAN gossip", "datacenter", m.GetDatacenter(), "server", w.Node, "was", w.Status)
	}
	if len(alive) > 0 {
		return because(fault.Unavailable, reasonAlive, "tokens are revoked; but %s of %s is still alive in the WAN gossip: restart it without the federation's configuration",
			strings.Join(alive, ", "), m.GetDatacenter())
	}
	return nil
}

const (
	// aliveTimeout is how long a server of another datacenter may take to answer.
	aliveTimeout = 5 * time.Second
	// goneAfter is how long servers have to be silent to be taken for gone.
	goneAfter = 10 * time.Second
)

// gone tells that a datacenter's servers, which the WAN gossip still calls alive, have not answered for a while: gossip takes minutes to
// notice that the only two members of a pool are apart. One that is there after all says so, and is back in the pool.
func (p *primaryPass) gone(ctx context.Context, m *isthmusv1.BundleMember) bool {
	desk, key := &p.primary, p.key(m)
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	if _, err := p.consul.RemoteServices(ctx, m.GetConsulDatacenter()); err == nil {
		delete(desk.silent, key)
		return false
	}
	if _, known := desk.silent[key]; !known {
		if desk.silent == nil {
			desk.silent = map[string]time.Time{}
		}
		desk.silent[key] = p.now()
	}
	return p.now().Sub(desk.silent[key]) >= goneAfter
}

// wanMembers is the WAN gossip as it was at the beginning of the pass.
func (p *primaryPass) wanMembers(ctx context.Context) (members []consul.WANMember, err error) {
	if !p.asked {
		p.wan, err = p.consul.WANMembers(ctx)
		p.asked = err == nil
	}
	return p.wan, err
}
