// Package store says what isthmus keeps and what it promises about it. Implementations are store/sqlite and
// store/postgres, which share store/sqlstore; store/storetest is the suite that both pass; store/snapshot is the
// in-memory view that all reads come from.
//
// Owns: the contract. Does not own: what a resource means (resource), who may write it (server).
// Start reading at Store.
//
//	            requires, fence, claims, references      changes since (epoch, index)
//	Write ──▶ checked under the revision row's lock ──▶ Changes ──▶ snapshot ──▶ everything else
package store

import (
	"context"
	"errors"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Key names one resource.
type Key struct {
	// Kind is the kind's name: Datacenter.
	Kind string
	Name string
}

// Part tells which half of a resource a write or a change is about. Operators write specs, controllers write statuses;
// a write of one never touches the other.
type Part string

// The parts.
const (
	// PartSpec is labels, spec, generation and delete time. Creating a resource is PartAll.
	PartSpec   Part = "spec"
	PartStatus Part = "status"
	PartAll    Part = "all"
)

// Operation tells what a change did.
type Operation string

// The operations.
const (
	OperationPut    Operation = "put"
	OperationDelete Operation = "delete"
)

// Put stores one resource. Its claims, references and affected datacenters come from the resource's Kind.
type Put struct {
	// Object has all its metadata but the index, which the store gives.
	Object resource.Object
	// Given: the object is the store's from now on. Nobody changes it any more, and whoever reads it does so after the write has come to an end. Else
	// it is copied.
	Given bool
	// Part to store. PartAll creates the resource or replaces it, whatever it was; require its absence to only create.
	// The other parts are of a resource that exists (NotFound) and still has the object's uid (Conflict).
	Part Part
}

// Require is a precondition: what the writer read when it decided. Checked under the lock.
type Require struct {
	Key Key
	// Index that the resource must still have; 0 with Absent false: it must exist.
	Index uint64
	// Absent: it must not exist.
	Absent bool
}

// Claim is a uniqueness beyond names, held by one resource: a peering's pair of datacenters.
type Claim = resource.Claim

// Secret is ciphertext under its digest. The store never sees what is inside.
type Secret struct {
	Digest string
	// Kind tells what it is, for people: peering-token, federation-bundle, server-ca.
	Kind string
	Body []byte
	// ExpireTime: compaction deletes it after. Zero: never.
	ExpireTime time.Time
}

// Write is one transaction: all of it or nothing.
type Write struct {
	Puts     []Put
	Deletes  []Key
	Requires []Require
	// Events are numbered, chained and stored with the write; Spec is filled by the caller.
	Events []*isthmusv1.Event
	// Secrets are stored under their digests (an existing one stays); DeleteSecrets go.
	Secrets       []Secret
	DeleteSecrets []string
	// Fence, when set: nobody else has taken the lease since it was given with this fencing number.
	Fence *Lease
}

// ReasonFenced is the reason of the Conflict of a write whose Fence no longer holds: trying again is of no use.
const ReasonFenced = "Fenced"

// Fenced tells whether a write was refused because its Fence no longer holds.
func Fenced(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && len(f.Violations) == 1 && f.Violations[0].Reason == ReasonFenced
}

// Revision is a place in the history of one database.
type Revision struct {
	// Epoch is random, made with the database and renewed after a restore: indexes of two epochs cannot be compared.
	Epoch string
	// Index grows by one with every write that changes resources or appends events.
	Index uint64
}

// KindEvent is the kind of the change that a write with events leaves in the feed, so that readers of the audit log are
// woken by it. Its name is that of the write's last event, and it has no object.
const KindEvent = "Event"

// Change is one resource's part changed (or the resource deleted) at an index.
type Change struct {
	Index     uint64
	Key       Key
	UID       string
	Operation Operation
	Part      Part
	// Datacenters whose plan it may change. Empty: none.
	Datacenters []string
	// Object is the resource as it was when the feed was read; nil when it was deleted by then.
	Object resource.Object
	// Encoded is the Object's protobuf, of all of its forms the deterministic one; nil where nobody has made it.
	Encoded []byte
}

// Feed is what happened since an index.
type Feed struct {
	// Revision is how far the feed goes.
	Revision Revision
	Changes  []Change
	// More changes follow Revision. Objects are as of the read, so they may be newer than Revision by then: a reader that
	// shows consistent states reads on to the end before it shows any of it.
	More bool
	// Reload: the epoch is another or the index was compacted away; load everything again.
	Reload bool
}

// Commit is what one transaction of this process did: a group of writes.
type Commit struct {
	// Before is what its lock showed: the revision that the changes follow. After is Before moved by the changes.
	Before, After Revision
	// Changes are what Changes(Before) would have given at After, objects included. They are shared: nobody changes them.
	Changes []Change
}

// Announcer tells of this process's own commits, so that nobody has to read them back.
type Announcer interface {
	// Announce has told called for each commit that moves the index: after it is durable, before any of its writers is
	// acknowledged, one at a time and in their order. Commits of other processes are not told of, nor are those of which it
	// is not known whether they happened: the next Before shows the gap, and the feed has what is in it. There is one
	// listener, set before the first write. It must be quick, for the next group waits for it, and must not write. Wake then
	// no longer signals commits that are told of.
	Announce(told func(Commit))
}

// Page is a part of a list at one index.
type Page struct {
	Objects  []resource.Object
	Revision Revision
	// Next is the name to go on after; empty at the end.
	Next string
}

// Store keeps resources.
//
// Errors are *fault.Error: NotFound, AlreadyExists (an absent-require or a claim is violated), Conflict (a require or
// fence is violated), Referenced (a delete of what others refer to; violations list them), Invalid (a put refers to what
// does not exist), Refused (the resource was written by a newer isthmus and has fields that this one does not know: it
// can be read, without them, but not written), Unavailable, Canceled, Timeout, Internal. Objects that are returned belong
// to the caller.
// All methods may be called concurrently. After Close they fail with Unavailable.
type Store interface {
	// Get reads one resource: NotFound when there is none.
	Get(ctx context.Context, key Key) (resource.Object, Revision, error)
	// List reads up to limit resources of a kind with names after a name, in order of their names.
	List(ctx context.Context, kind, after string, limit int) (Page, error)
	// Load visits every resource at one index, in no particular order.
	Load(ctx context.Context, visit func(resource.Object) error) (Revision, error)
	// Write commits all of w or nothing, and is durable when it returns. The revision is the one at which w became
	// visible; whoever reads that index or a later one sees all of w and everything before it. Concurrent writes are
	// committed together, in one order that all readers see; one that fails does not disturb the others. When ctx ends
	// before the commit was tried, nothing of w is stored; later, the error is Unavailable and w may be stored. Within a
	// write, deletes come before puts.
	Write(ctx context.Context, w Write) (Revision, error)
	// Revision is where the store stands now.
	Revision(ctx context.Context) (Revision, error)
	// Changes are those after since, in order, at most limit of them but always whole indexes. A reader that has seen
	// index N has seen everything at or below N.
	Changes(ctx context.Context, since Revision, limit int) (Feed, error)
	// Wake signals that there may be changes; a hint, which may be missing or spurious. As long as a store cannot hear of other processes'
	// commits, there is one each second.
	Wake() <-chan struct{}
}

// EventQuery chooses events.
type EventQuery struct {
	// After is the number of the last event seen; with Descending, events below it. 0: from the first, or from the newest.
	// At most MaxEventNumber.
	After      uint64
	Descending bool
	// Kind and Target choose those of what the event is about; empty, of any.
	Kind   string
	Target string
	// ExceptKind leaves out those about one kind; empty: none.
	ExceptKind string
	// Actor and Action choose those of who did it, and of what was done; empty, of any.
	Actor  string
	Action string
	// Limit is how many at most, 0 or more.
	Limit int
}

// Journal reads the audit log, which Write appends to.
type Journal interface {
	// Events are those that q chooses: Invalid when After or Limit is not in its range.
	Events(ctx context.Context, q EventQuery) ([]*isthmusv1.Event, error)
}

// Vault reads secrets, which Write stores. NotFound for a digest that is not there.
type Vault interface {
	Secret(ctx context.Context, digest string) (Secret, error)
}

// Observation is the last report of one part by one reporter.
type Observation struct {
	Datacenter string
	// Part is inventory, services, peerings, exports, federation, policy, entries, rights, or agent/NAME, delivery/NAME, gateway/NAME, clock/NAME,
	// presence/NAME; replica/NAME, without a datacenter, is a server's own.
	Part string
	// Agent that reported.
	Agent  string
	Digest string
	// Body is the part as canonical JSON.
	Body        []byte
	ReceiveTime time.Time
	// HeardTime is when the reporter was last heard of, changed report or not.
	HeardTime time.Time
}

// Observatory keeps what agents report: one row for each datacenter and part, no index, no change feed.
type Observatory interface {
	// Observe stores observations over those of the same datacenter and part. One with no Body only moves HeardTime.
	Observe(ctx context.Context, observations []Observation) error
	// Observations are those received or heard at or after since; the zero time gives all.
	Observations(ctx context.Context, since time.Time) ([]Observation, error)
	// ObservationsOf are those of one datacenter; of none, what servers say of themselves.
	ObservationsOf(ctx context.Context, datacenter string) ([]Observation, error)
	// Forget deletes a datacenter's observations, those of one part only if part is not empty.
	Forget(ctx context.Context, datacenter, part string) error
}

// Lease is a claim to be the only one, with a number that grows with every new holder.
type Lease struct {
	Name    string
	Holder  string
	Fencing uint64
	Expires time.Time
}

// Leaser gives leases. Time is the database's for PostgreSQL and the machine's for SQLite.
type Leaser interface {
	// Acquire takes or renews the lease. Conflict: somebody else holds it.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)
	// Held is the lease as its present holder has it. NotFound: nobody holds it.
	Held(ctx context.Context, name string) (Lease, error)
	// Release gives it back; giving back what is not held is no error.
	Release(ctx context.Context, lease Lease) error
}

// Keeper does what keeps a database in shape.
type Keeper interface {
	// Compact drops changes but the newest keep, expired secrets, and returns the index below which a reader reloads.
	Compact(ctx context.Context, keep int) (uint64, error)
	// Restored renews the epoch after the database was restored from a backup.
	Restored(ctx context.Context) (Revision, error)
	// Ping proves that the database answers.
	Ping(ctx context.Context) error
	Close() error
}
