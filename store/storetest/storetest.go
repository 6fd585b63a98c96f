// Package storetest is what every store must do: one conformance suite, each case on a fresh database.
//
// Owns: the cases. Does not own: how a database is made (the packages that call Run). Start reading at Run.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// Backend is everything that a store implements.
type Backend interface {
	store.Store
	store.Announcer
	store.Journal
	store.Vault
	store.Observatory
	store.Leaser
	store.Keeper
}

// Database is one fresh database.
type Database struct {
	// Target is how a child process opens the same one: a directory or an address.
	Target string
	// Open opens the store; closing it is the caller's.
	Open func(ctx context.Context) (Backend, error)
	// Exec runs SQL beside the store, with its parameters as the database writes them.
	Exec func(t *testing.T, query string)
	// MigrateTo makes the schema of an older isthmus, before anybody opens the database.
	MigrateTo func(t *testing.T, version int64)
}

// Options are what the stores differ in.
type Options struct {
	// New makes a fresh database, which is removed when the test ends.
	New func(t *testing.T) Database
	// Replicas: several stores may be open on one database.
	Replicas bool
	// ChildTest is the name of the test that calls Child.
	ChildTest string
}

// Run runs all cases.
func Run(t *testing.T, o Options) {
	t.Helper()
	cases := map[string]func(*fixture){
		"ReadAndWrite": testReadAndWrite, "Parts": testParts, "Preconditions": testPreconditions, "UIDs": testUIDs,
		"Claims": testClaims, "References": testReferences, "Paging": testPaging, "OddText": testOddText, "Atomic": testAtomic,
		"ManyRows": testManyRows, "ManyRefused": testManyRefused, "UnknownFields": testUnknownFields, "UnknownKind": testUnknownKind, "Batch": testBatch, "Overlay": testOverlay, "Foresight": testForesight, "Poison": testPoison,
		"Feed": testFeed, "FeedLimit": testFeedLimit, "Tail": testTail, "Compaction": testCompaction, "CompactionRace": testCompactionRace, "Epoch": testEpoch, "Lost": testLost, "LostUnread": testLostUnread, "Revision": testRevision, "Wake": testWake,
		"RequireRace": testRequireRace, "ClaimRace": testClaimRace, "DeleteRace": testDeleteRace, "Cancellation": testCancellation, "Closed": testClosed,
		"Announce": testAnnounce, "AnnounceOdd": testAnnounceOdd,
		"Reopen": testReopen, "Kill": testKill, "Crash": testCrash, "TooOld": testTooOld, "Upgrade": testUpgrade,
		"Events": testEvents, "EventQueries": testEventQueries, "OldEvents": testOldEvents, "Secrets": testSecrets, "Observations": testObservations,
		"Leases": testLeases, "LeaseRace": testLeaseRace, "Fences": testFences, "Views": testViews,
	}
	if o.Replicas {
		cases["Replicas"] = testReplicas
		cases["ReplicaTail"] = testReplicaTail
		cases["LostOnce"] = testLostOnce
		cases["AnnounceReplicas"] = testAnnounceReplicas
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			t.Cleanup(cancel)
			db := o.New(t)
			run(&fixture{t: t, ctx: ctx, options: o, db: db, Backend: open(ctx, t, db)})
		})
	}
}

// fixture is one case's store, with steps that fail the test.
type fixture struct {
	Backend
	t       *testing.T
	ctx     context.Context
	options Options
	db      Database
}

func open(ctx context.Context, t *testing.T, db Database) Backend {
	t.Helper()
	b, err := db.Open(ctx)
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return b
}

// on is the same case over another store.
func (f *fixture) on(b Backend) *fixture {
	other := *f
	other.Backend = b
	return &other
}

func (f *fixture) write(w store.Write) store.Revision {
	f.t.Helper()
	r, err := f.Write(f.ctx, w)
	if err != nil {
		f.t.Fatalf("Write: %v", err)
	}
	return r
}

func (f *fixture) put(objects ...resource.Object) store.Revision {
	f.t.Helper()
	return f.write(store.Write{Puts: puts(objects...)})
}

func (f *fixture) refused(code fault.Code, w store.Write) {
	f.t.Helper()
	_ = f.refusal(code, w)
}

// refusal is refused, with the error to look at.
func (f *fixture) refusal(code fault.Code, w store.Write) *fault.Error {
	f.t.Helper()
	r, err := f.Write(f.ctx, w)
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != code {
		f.t.Fatalf("Write: %v (%s), want %s; revision %v", err, fault.CodeOf(err), code, r)
	}
	return e
}

func (f *fixture) get(kind, name string) resource.Object {
	f.t.Helper()
	o, _, err := f.Get(f.ctx, store.Key{Kind: kind, Name: name})
	if err != nil {
		f.t.Fatalf("Get %s %s: %v", kind, name, err)
	}
	return o
}

func (f *fixture) absent(name string) {
	f.t.Helper()
	if _, _, err := f.Get(f.ctx, datacenterKey(name)); fault.CodeOf(err) != fault.NotFound {
		f.t.Fatalf("Get %s: %v, want NotFound", name, err)
	}
}

func (f *fixture) changes(since store.Revision, limit int) store.Feed {
	f.t.Helper()
	feed, err := f.Changes(f.ctx, since, limit)
	if err != nil {
		f.t.Fatalf("Changes: %v", err)
	}
	return feed
}

// revision is where the store stands.
func (f *fixture) revision() store.Revision {
	f.t.Helper()
	r, err := f.Revision(f.ctx)
	if err != nil {
		f.t.Fatalf("Revision: %v", err)
	}
	return r
}

func puts(objects ...resource.Object) []store.Put {
	out := make([]store.Put, len(objects))
	for i, o := range objects {
		out[i] = store.Put{Object: o, Part: store.PartAll}
	}
	return out
}

func datacenterKey(name string) store.Key {
	return store.Key{Kind: resource.KindDatacenter, Name: name}
}

func peeringKey(name string) store.Key { return store.Key{Kind: resource.KindPeering, Name: name} }

// instant is a time that does not fit into microseconds.
func instant() *timestamppb.Timestamp {
	return &timestamppb.Timestamp{Seconds: 1_800_000_000, Nanos: 123_456_789}
}

func metadata(o resource.Object, uid string) {
	resource.SetMetadata(o, resource.Metadata{UID: uid, Generation: 1, CreateTime: instant(), UpdateTime: instant()})
}

// datacenter makes one whose uid is its name.
func datacenter(name string) *isthmusv1.Datacenter {
	dc := &isthmusv1.Datacenter{
		Name: name, Labels: map[string]string{"env": "test"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulDatacenter: name},
	}
	metadata(dc, name)
	return dc
}

// peering makes one between two datacenters.
func peering(acceptor, dialer string) *isthmusv1.Peering {
	p := &isthmusv1.Peering{
		Name: acceptor + "-" + dialer,
		Spec: &isthmusv1.PeeringSpec{Acceptor: acceptor, Dialer: dialer, AcceptorPeerName: dialer, DialerPeerName: acceptor},
	}
	metadata(p, p.GetName())
	return p
}

func event(action, kind, target string) *isthmusv1.Event {
	return &isthmusv1.Event{Spec: &isthmusv1.EventSpec{Actor: "api-token/test", Action: action, Kind: kind, Target: target}}
}

// concurrently runs n functions at once and waits for all.
func concurrently(n int, run func(i int)) {
	done := make(chan struct{})
	for i := range n {
		go func() {
			defer func() { done <- struct{}{} }()
			run(i)
		}()
	}
	for range n {
		<-done
	}
}

func number(prefix string, i int) string { return fmt.Sprintf("%s%04d", prefix, i) }
