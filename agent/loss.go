package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Kinds of lost things, as LostItem has them.
const (
	lostPolicy      = "policy"
	lostToken       = "token"
	lostRole        = "role"
	lostAuthMethod  = "auth-method"
	lostBindingRule = "binding-rule"
	lostEntry       = "config-entry"
	lostIntention   = "intention"
	lostExport      = "export"
	lostPeering     = "peering"
	lostMeshCA      = "mesh-ca"
	lostGossipKey   = "gossip-key"
)

// tokenMark begins the descriptions of tokens that isthmus made for federations.
const tokenMark = "isthmus federation "

// entryKinds are the kinds of config entries that a secondary takes from its primary. Some exist in later or other Consuls only.
func entryKinds() []string {
	return []string{
		"service-defaults", consul.KindProxyDefaults, "service-router", "service-splitter", "service-resolver", "ingress-gateway",
		"terminating-gateway", consul.KindMesh, "api-gateway", "inline-certificate", "file-system-certificate", "http-route", "tcp-route",
		"sameness-group", "jwt-provider", "control-plane-request-limit",
	}
}

// How often is looked what a join would destroy: while somebody wants one, and while nobody does but may ask for a plan.
const (
	lossSoon   = 5 * time.Second
	lossRarely = 30 * time.Second
)

// lossWatch is what was found last. The zero value: nothing yet.
type lossWatch struct {
	report *isthmusv1.JoinLoss
	err    error
	next   time.Time
	// wanted: it was for a join that somebody wants.
	wanted bool
}

// loss is what joining would destroy here; unset while that is not known. An error only while a join is wanted.
func (c *courier) loss(ctx context.Context, state *isthmusv1.DesiredState, self consul.Self) (*isthmusv1.JoinLoss, error) {
	var wish *isthmusv1.FederationSecondary
	for _, i := range state.GetItems() {
		if f := i.GetFederationSecondary(); f != nil && !f.GetDelete() {
			wish = f
		}
	}
	switch {
	case self.Secondary():
		c.watch = lossWatch{}
		return &isthmusv1.JoinLoss{}, nil // it is lost already
	case c.now().Before(c.watch.next) && (c.watch.wanted || wish == nil):
	default:
		c.watch.next, c.watch.wanted = c.now().Add(lossRarely), wish != nil
		if wish != nil {
			c.watch.next = c.now().Add(lossSoon)
		}
		items, err := c.losses(ctx, self)
		if c.watch.err = err; err != nil {
			c.watch.report = nil
			break
		}
		c.watch.report = &isthmusv1.JoinLoss{Items: items[:min(len(items), federation.MaxLosses)], Count: int32(len(items)), Digest: federation.LossDigest(items)}
		if c.record.Cleared.covers(items) {
			// What it destroyed itself on the way was accepted with the rest.
			c.watch.report.Count, c.watch.report.Digest = c.record.Cleared.Count, c.record.Cleared.Loss
		}
	}
	if wish == nil {
		return c.watch.report, nil
	}
	return c.watch.report, c.watch.err
}

// losses is what this datacenter loses when it becomes a secondary. What isthmus itself made, and what Consul puts into every
// datacenter, is not lost: it comes again.
func (r *reconciler) losses(ctx context.Context, self consul.Self) ([]*isthmusv1.LostItem, error) {
	var out []*isthmusv1.LostItem
	for _, find := range []func(context.Context, consul.Self) ([]*isthmusv1.LostItem, error){
		r.lostACLs, r.lostEntries, r.lostExports, r.lostPeerings, r.lostIdentity,
	} {
		found, err := find(ctx, self)
		if err != nil {
			return nil, fault.Wrap(fault.CodeOf(err), err, "finding out what a join would destroy: %s", messageOf(err))
		}
		out = append(out, found...)
	}
	return federation.SortLosses(out), nil
}

func lost(kind, name, format string, args ...any) *isthmusv1.LostItem {
	return &isthmusv1.LostItem{Kind: kind, Name: strings.ToValidUTF8(name, "\uFFFD"), Message: strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD")}
}

// lostAs is lost for what has a digest of what is in it.
func lostAs(digest, kind, name, format string, args ...any) *isthmusv1.LostItem {
	item := lost(kind, name, format, args...)
	item.Digest = digest
	return item
}

// entryDigest is of all that is in a config entry.
func entryDigest(e consul.Entry) string {
	text, err := json.Marshal(e.Body)
	if err != nil {
		return "" // it came as JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (r *reconciler) lostACLs(ctx context.Context, self consul.Self) ([]*isthmusv1.LostItem, error) {
	if self.ACL == nil || !*self.ACL {
		return nil, nil
	}
	all, err := r.consul.ACLInventory(ctx)
	if err != nil {
		return nil, err
	}
	return aclLosses(all), nil
}

// aclLosses are the same from one login to the next: a token of a login, as each pod makes one, belongs to its auth method, whether
// there is one now, or many.
func aclLosses(all consul.ACLInventory) []*isthmusv1.LostItem {
	var out []*isthmusv1.LostItem
	for _, p := range all.Policies {
		out = append(out, lostAs(p.Digest, lostPolicy, p.Name, "it is deleted: the primary's policies take the place of all"))
	}
	for _, role := range all.Roles {
		out = append(out, lostAs(role.Digest, lostRole, role.Name, "it is deleted: the primary's roles take the place of all"))
	}
	for _, t := range all.Tokens {
		switch {
		case strings.HasPrefix(t.Description, tokenMark), t.AuthMethod != "":
		case t.Local:
			out = append(out, lostAs(t.Digest, lostToken, t.Accessor, "%s: it is local and stays, and loses its policies and roles, which are deleted", described(t)))
		default:
			out = append(out, lostAs(t.Digest, lostToken, t.Accessor, "%s: it is deleted, and whoever uses it is refused", described(t)))
		}
	}
	for _, m := range all.AuthMethods {
		out = append(out, lostAs(m.Digest, lostAuthMethod, m.Name, "it stays, and who logs in gets roles and policies of the primary, or none; "+
			"tokens from logins by %s lose their policies and roles", m.Name))
	}
	for _, b := range all.BindingRules {
		out = append(out, lostAs(b.Digest, lostBindingRule, b.Name, "it stays, and binds to roles and policies of the primary, or to none"))
	}
	return out
}

func described(t consul.ACLToken) string {
	if t.Description == "" {
		return "a token without a description"
	}
	return fmt.Sprintf("%q", t.Description)
}

func (r *reconciler) lostEntries(ctx context.Context, _ consul.Self) ([]*isthmusv1.LostItem, error) {
	var out []*isthmusv1.LostItem
	list := func(kind string) ([]consul.Entry, error) {
		entries, _, err := r.consul.Entries(ctx, kind, consul.Query{Whole: true})
		if consul.ReasonOf(err) == consul.UnknownKind {
			return nil, nil
		}
		return entries, err
	}
	for _, kind := range entryKinds() {
		entries, err := list(kind)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if digest := foreignDigest(e); digest != "" {
				out = append(out, lostAs(digest, lostEntry, kind+"/"+e.Name, "the primary's takes its place, or none does"))
			}
		}
	}
	intentions, err := list(consul.KindIntentions)
	for _, e := range intentions {
		if digest := foreignDigest(e); digest != "" {
			out = append(out, lostAs(digest, lostIntention, e.Name, "all intentions for it are replaced by the primary's"))
		}
	}
	return out, err
}

// foreignDigest is of what an entry has without isthmus's part; empty: nothing.
func foreignDigest(e consul.Entry) string {
	e.Body = cloneJSON(e.Body).(map[string]any) //nolint:forcetypeassert // a map's clone is one
	var left mergeResult
	var err error
	switch meta := e.Meta(); {
	case meta[metaCreated] != "" && len(meta) == 1 && saysNothing(e.Body):
		return ""
	case slices.Contains(policyKinds(), e.Kind):
		var m merge
		m, err = mergeParts(e, wish{kind: e.Kind, namespace: e.Namespace, name: e.Name}, nil, true)
		left = m.mergeResult
	case e.Kind == consul.KindMesh:
		left, err = mergeMesh(e, nil, true)
	case e.Kind == consul.KindProxyDefaults:
		left, err = mergeProxyDefaults(e, "", true)
	default:
		return entryDigest(e)
	}
	switch {
	case err != nil:
		return entryDigest(e)
	case left.remove:
		return ""
	}
	return entryDigest(left.entry)
}

func (r *reconciler) lostExports(ctx context.Context, _ consul.Self) ([]*isthmusv1.LostItem, error) {
	entries, _, err := r.consul.Entries(ctx, consul.KindExportedServices, consul.Query{Whole: true})
	var out []*isthmusv1.LostItem
	for _, e := range entries {
		ours := readOwnership(e.Meta())
		services, _ := e.Body["Services"].([]any)
		_, have := withoutExports(services, func(export) bool { return false })
		for x := range have {
			if !ours[x] {
				out = append(out, lost(lostExport, x.Namespace+"/"+x.Service+" to "+x.Peer, "a secondary cannot export to peers: it is deleted before the join"))
			}
		}
	}
	return out, err
}

func (r *reconciler) lostPeerings(ctx context.Context, _ consul.Self) ([]*isthmusv1.LostItem, error) {
	list, _, err := r.consul.Peerings(ctx, consul.Query{Whole: true})
	if consul.ReasonOf(err) == consul.PeeringDisabled {
		return nil, nil
	}
	var out []*isthmusv1.LostItem
	for _, p := range list {
		if uidOf(p) == "" && !p.Deleting {
			out = append(out, lostAs(p.ID, lostPeering, p.Name, "it breaks: the mesh gets the primary's CA and trust domain, which the peer does not know"))
		}
	}
	return out, err
}

// lostIdentity is what others know this datacenter by.
func (r *reconciler) lostIdentity(ctx context.Context, self consul.Self) ([]*isthmusv1.LostItem, error) {
	var out []*isthmusv1.LostItem
	if self.Gossip != nil && *self.Gossip {
		out = append(out, lost(lostGossipKey, self.Datacenter, "the gossip key becomes the primary's: client agents get it by gossip, and new ones need it in their configuration"))
	}
	if self.Connect == nil || !*self.Connect {
		return out, nil
	}
	ca, err := r.consul.MeshCA(ctx)
	if err != nil || ca.TrustDomain == "" {
		return out, err
	}
	// Who left a federation has a root that it had not before: what was accepted for one join is not accepted for the next.
	root, err := r.consul.MeshRoot(ctx)
	digest := ""
	if err == nil && root != nil {
		digest = rootDigest(root)
	}
	return append(out, lostAs(digest, lostMeshCA, ca.TrustDomain, "the mesh CA and trust domain become the primary's: proxies get new certificates")), err
}
