package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/sqlstore"
)

// crashWrites is how many writes a child of testCrash makes: some alone, most together.
const crashWrites = 6

// crasher counts the steps of a process, and kills it at one of them.
type crasher struct {
	at   int64
	step atomic.Int64
}

// reached is called between any two steps.
func (c *crasher) reached() {
	if c.step.Add(1) != c.at {
		return
	}
	if err := unix.Kill(os.Getpid(), unix.SIGKILL); err != nil {
		panic(err)
	}
	select {} // nothing more is done, however long it takes
}

// through is a database whose transactions are done statement by statement, with a step between any two.
func (c *crasher) through(db sqlstore.Database) sqlstore.Database { return &steppedDatabase{db, c} }

type steppedDatabase struct {
	sqlstore.Database
	crasher *crasher
}

func (d *steppedDatabase) Begin(ctx context.Context) (sqlstore.Tx, error) {
	d.crasher.reached()
	tx, err := d.Database.Begin(ctx)
	return &steppedTx{tx, d.crasher}, err
}

type steppedTx struct {
	sqlstore.Tx
	crasher *crasher
}

func (t *steppedTx) Run(ctx context.Context, statements ...sqlstore.Statement) error {
	for _, s := range statements {
		if err := t.Tx.Run(ctx, s); err != nil {
			return err
		}
		t.crasher.reached()
	}
	return nil
}

func (t *steppedTx) Commit(ctx context.Context, statements ...sqlstore.Statement) error {
	if err := t.Run(ctx, statements...); err != nil {
		return err
	}
	err := t.Tx.Commit(ctx)
	t.crasher.reached()
	return err
}

// crashWrite is write i of the child that dies at step k: resources that claim and refer, an event and a secret. Some
// take the place of what is there.
func crashWrite(k, i int) (name string, w store.Write) {
	name = fmt.Sprintf("k%d-%d", k, i)
	a, b := datacenter(name+"-a"), datacenter(name+"-b")
	p := peering(a.GetName(), b.GetName())
	p.Name, p.Uid = name, name
	w = store.Write{
		Requires: []store.Require{{Key: peeringKey(name), Absent: true}},
		Puts:     puts(a, b, p),
		Events:   []*isthmusv1.Event{event("create", resource.KindPeering, name)},
		Secrets:  []store.Secret{{Digest: name, Kind: "test", Body: []byte(name)}},
	}
	shared := datacenter("shared")
	shared.Labels = map[string]string{"last": name}
	w.Puts = append(w.Puts, puts(shared)...)
	return name, w
}

// crashChild makes its writes and says which are stored.
func crashChild(t *testing.T, b Backend, c *crasher) {
	t.Helper()
	b.Announce(func(store.Commit) { c.reached() })
	f := &fixture{Backend: b, t: t, ctx: context.Background()}
	for _, group := range [][]int{{0}, {1, 2, 3, 4, 5}} {
		writes := make([]store.Write, len(group))
		names := make([]string, len(group))
		for n, i := range group {
			names[n], writes[n] = crashWrite(int(c.at), i)
		}
		for n, r := range writeInOrder(f, writes) {
			c.reached()
			if r.code != "" {
				t.Fatalf("writing %s: %s", names[n], r.code)
			}
			if _, err := fmt.Fprintf(os.Stdout, "stored %s %d\n", names[n], r.index); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// testCrash has processes kill themselves between any two steps of their writes, the first at the first step, the next at
// the second. However they die, what they acknowledged is stored, each write is there as a whole or not at all, and feed
// and audit log are whole.
func testCrash(f *fixture) {
	t := f.t
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]uint64{}
	steps := 1
	for crashed(f, steps, acknowledged) {
		steps++
	}
	t.Logf("%d steps", steps)
	if steps < 20 || len(acknowledged) < crashWrites {
		t.Fatalf("after %d steps %d writes are acknowledged: the test does not test much", steps, len(acknowledged))
	}
	again := f.on(open(f.ctx, t, f.db))
	stored := 0
	var deletes []store.Key
	for k := 1; k <= steps; k++ {
		for i := range crashWrites {
			name, w := crashWrite(k, i)
			index := again.storedWhole(name, w)
			if at, told := acknowledged[name]; told && at != index {
				t.Fatalf("%s was acknowledged at %d and is stored at %d", name, at, index)
			}
			if index > 0 {
				stored++
				deletes = append(deletes, peeringKey(name), datacenterKey(name+"-a"), datacenterKey(name+"-b"))
			}
		}
	}
	checkChain(again, stored)
	again.feedWhole(stored)
	// Claims and references are those of what is stored: nothing is left without it.
	again.refused(fault.Referenced, store.Write{Deletes: deletes[1:2]})
	again.write(store.Write{Deletes: deletes})
	for _, table := range []string{"claims", "refs"} {
		f.db.Exec(t, `UPDATE revision SET "index" = "index" / (SELECT CASE count(*) WHEN 0 THEN 1 ELSE 0 END FROM `+table+`)`)
	}
}

// crashed runs the child that dies at step k, and notes what it acknowledged. False: it had fewer steps.
func crashed(f *fixture, k int, acknowledged map[string]uint64) bool {
	t := f.t
	cmd, out := f.child("_STEP", k)
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var name string
		var index uint64
		said = append(said, lines.Text())
		if _, err := fmt.Sscanf(lines.Text(), "stored %s %d", &name, &index); err == nil {
			acknowledged[name] = index
		}
	}
	err := cmd.Wait()
	if err == nil {
		return false
	}
	if status, ok := cmd.ProcessState.Sys().(interface{ Signaled() bool }); !ok || !status.Signaled() {
		t.Fatalf("the process that should die at step %d: %v\n%q", k, err, said)
	}
	return true
}

// storedWhole is the index at which a write is stored, 0 if nothing of it is.
func (f *fixture) storedWhole(name string, w store.Write) uint64 {
	f.t.Helper()
	var found []string
	var index uint64
	for _, p := range w.Puts {
		key := store.Key{Kind: resource.KindOf(p.Object).Name, Name: p.Object.GetName()}
		if key.Name == "shared" {
			continue
		}
		o, _, err := f.Get(f.ctx, key)
		if err == nil {
			found = append(found, key.Name)
			index = o.GetIndex()
		}
	}
	if secret, err := f.Secret(f.ctx, name); err == nil && string(secret.Body) == name {
		found = append(found, "the secret")
	}
	events, err := f.Events(f.ctx, store.EventQuery{Kind: resource.KindPeering, Target: name, Limit: 2})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range events {
		found = append(found, "event "+e.GetName())
		if e.GetIndex() != index {
			f.t.Fatalf("%s is stored at %d, and its event at %d", name, index, e.GetIndex())
		}
	}
	if all := len(w.Puts) - 1 + len(w.Secrets) + len(w.Events); len(found) != 0 && len(found) != all {
		f.t.Fatalf("%s is stored in part: %q", name, found)
	}
	return index
}

// feedWhole checks that the feed has as many indexes, without a hole, each with all changes of its write.
func (f *fixture) feedWhole(writes int) {
	f.t.Helper()
	counts := map[uint64]int{}
	feed := f.changes(store.Revision{Epoch: f.revision().Epoch}, 1_000_000)
	for i, c := range feed.Changes {
		counts[c.Index]++
		if i > 0 && c.Index-feed.Changes[i-1].Index > 1 {
			f.t.Fatalf("index %d follows %d", c.Index, feed.Changes[i-1].Index)
		}
	}
	_, w := crashWrite(0, 0)
	for index, n := range counts {
		if n != len(w.Puts)+1 {
			f.t.Fatalf("index %d has %d changes", index, n)
		}
	}
	if len(counts) != writes || feed.Revision.Index != uint64(writes) {
		f.t.Fatalf("%d writes are stored, the feed has %d, the store is at %d", writes, len(counts), feed.Revision.Index)
	}
}
