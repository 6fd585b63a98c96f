package agent

import (
	"encoding/json"
	"maps"
	"time"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// maxOpened is of how many federations is remembered which bundle was opened last.
	maxOpened = 32
	// openedStays is how long that has to be: by then no bundle can be opened that was made before.
	openedStays = bundleLife + 24*time.Hour
)

// deliveryRecord is what a courier knows across restarts.
type deliveryRecord struct {
	// UID is the federation's that the rest is about, but for Bundles and what is of this host itself.
	UID string `json:"uid,omitempty"`
	// Bundles are the newest that were opened, by federation: none before it is taken.
	Bundles map[string]openedBundle `json:"bundles,omitempty"`
	// Written and Applied are generations: what is in the files, and what Consul runs with.
	Written int32 `json:"written,omitempty"`
	Applied int32 `json:"applied,omitempty"`
	// Put: something was ever delivered for it that Consul reads.
	Put bool `json:"put,omitempty"`
	// Cleared is what was accepted, written down before the first of it was destroyed.
	Cleared *clearance `json:"cleared,omitempty"`
	// Begun: this host was cleared to join, which destroys what its datacenter had. Once Consul was restarted for it there is nothing to
	// check or to save any more.
	Begun     bool      `json:"begun,omitempty"`
	BegunTime time.Time `json:"begunTime,omitzero"`
	// Out: this host's Consul runs without it again, since OutTime. Left: there is nothing more to do about that.
	Out     bool      `json:"out,omitempty"`
	OutTime time.Time `json:"outTime,omitzero"`
	Left    bool      `json:"left,omitempty"`
	// Seen: a Consul of this datacenter's own was seen here, which has something to lose.
	Seen bool `json:"seen,omitempty"`
	// TrustDomain is the mesh's of this datacenter while it is (or was) one of its own.
	TrustDomain string `json:"trustDomain,omitempty"`
	// OwnRoot is the mesh's root (SHA-256) that belongs to TrustDomain; MemberRoot is the federation's.
	OwnRoot    string `json:"ownRoot,omitempty"`
	MemberRoot string `json:"memberRoot,omitempty"`
	// OwnCA is the CA (PEM) of the servers' certificates that is not the federation's doing; MemberCA is the federation's.
	OwnCA    string `json:"ownCA,omitempty"`
	MemberCA string `json:"memberCA,omitempty"`
	// Servers is the largest number of servers that Consul had. It forgets those that are dead for long, and a quorum is of all.
	Servers int `json:"servers,omitempty"`
	// CSR is the request for this host's server certificate.
	CSR []byte `json:"csr,omitempty"`
	// Restart is the one that is under way.
	Restart *restart `json:"restart,omitempty"`
	// Required is the one that somebody else has to do.
	Required *required `json:"required,omitempty"`
}

// openedBundle is a bundle's generation, and when it was opened.
type openedBundle struct {
	Generation int32     `json:"generation"`
	Time       time.Time `json:"time"`
}

// clearance is what a join was found to destroy when that was what was accepted.
type clearance struct {
	// Accepted is the plan's digest.
	Accepted string `json:"accepted"`
	// Loss is the digest of all, and Count their number; Rest is without the exports, which are deleted before the join, Exports these alone.
	Loss    string `json:"loss"`
	Count   int32  `json:"count"`
	Rest    string `json:"rest,omitempty"`
	Exports string `json:"exports,omitempty"`
}

func clearanceOf(accepted string, items []*isthmusv1.LostItem) *clearance {
	out := &clearance{Accepted: accepted, Loss: federation.LossDigest(items), Count: int32(len(items))}
	out.Rest, out.Exports = apart(items)
	return out
}

// apart are the digests of what goes with the join, and of what goes before.
func apart(items []*isthmusv1.LostItem) (rest, exports string) {
	var before, with []*isthmusv1.LostItem
	for _, i := range items {
		if i.GetKind() == lostExport {
			before = append(before, i)
			continue
		}
		with = append(with, i)
	}
	return federation.LossDigest(with), federation.LossDigest(before)
}

// covers: what is lost now is what was cleared, but for exports that are gone.
func (c *clearance) covers(items []*isthmusv1.LostItem) bool {
	if c == nil {
		return false
	}
	rest, exports := apart(items)
	return rest == c.Rest && (exports == "" || exports == c.Exports)
}

// save changes the record, on disk first.
func (c *courier) save(edit func(*deliveryRecord)) error {
	next := c.record
	next.Bundles = maps.Clone(next.Bundles)
	edit(&next)
	before, err := json.Marshal(c.record)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding what was delivered")
	}
	after, err := json.Marshal(next)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding what was delivered")
	}
	if string(before) == string(after) {
		return nil
	}
	if err := writeJSON(c.path(fileDelivery), next); err != nil {
		return err
	}
	c.record = next
	return nil
}

// free proves that this host has nothing of another federation: the server's word alone does not make it forget that.
func (c *courier) free(uid string) error {
	if c.record.UID == uid || !c.record.Put && !c.record.Begun {
		return nil
	}
	return because(fault.Refused, reasonOtherFederation,
		"this host has what federation %s gave it, and has not left that one: take it out there first; when that federation is gone for good, take %s out of Consul's directory and %s out of the agent's, and restart both",
		c.record.UID, federation.FileDropIn, fileDelivery)
}

// begin begins the record of a federation, unless it is that one's already. What was learnt of this host itself stays.
func (c *courier) begin(uid string) error {
	if err := c.free(uid); err != nil {
		return err
	}
	return c.save(func(r *deliveryRecord) {
		if r.UID != uid {
			*r = deliveryRecord{
				UID: uid, Bundles: r.Bundles, Seen: r.Seen, TrustDomain: r.TrustDomain, OwnRoot: r.OwnRoot, OwnCA: r.OwnCA, CSR: r.CSR, Servers: r.Servers, Restart: r.Restart,
			}
		}
	})
}

// noteOpened keeps the generation of a bundle that was opened, so that no older one is taken for it.
func (c *courier) noteOpened(uid string, generation int32) error {
	now := c.now()
	next := maps.Clone(c.record.Bundles)
	if next == nil {
		next = map[string]openedBundle{}
	}
	maps.DeleteFunc(next, func(of string, b openedBundle) bool { return of != uid && now.After(b.Time.Add(openedStays)) })
	if next[uid].Generation >= generation {
		return nil
	}
	next[uid] = openedBundle{Generation: generation, Time: now}
	if len(next) > maxOpened {
		return because(fault.Refused, reasonSecret, "this host was given bundles of %d federations within a month: no other is taken", maxOpened)
	}
	return c.save(func(r *deliveryRecord) { r.Bundles = next })
}
