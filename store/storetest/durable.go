package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/sqlstore"
)

// childTarget names the environment variable that makes a test process the child of testKill.
const childTarget = "ISTHMUS_STORETEST_TARGET"

func testReopen(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"), datacenter("dc2"), peering("dc1", "dc2"))
	f.write(store.Write{Events: []*isthmusv1.Event{event("create", "Datacenter", "dc1")}})
	before := f.revision()
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	again := f.on(open(f.ctx, t, f.db))
	if at := again.revision(); at != before {
		t.Fatalf("reopened at %+v, closed at %+v", at, before)
	}
	want := peering("dc1", "dc2")
	want.Index = 1
	same(t, "after opening again", again.get(resource.KindPeering, "dc1-dc2"), want)
	again.refused(fault.AlreadyExists, store.Write{Puts: puts(peering("dc2", "dc1"))})
	again.refused(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("dc1")}})
	again.write(store.Write{Events: []*isthmusv1.Event{event("create", "Datacenter", "dc2")}})
	checkChain(again, 2)
}

// testKill kills a process that writes, again and again: all that it was told is stored, is, and the store opens.
func testKill(f *fixture) {
	t := f.t
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]uint64{}
	for round := range 3 {
		killed(f, round, acknowledged)
	}
	again := f.on(open(f.ctx, t, f.db))
	for name, index := range acknowledged {
		if got := again.get(resource.KindDatacenter, name).GetIndex(); got != index {
			t.Fatalf("%s was acknowledged at %d and is at %d", name, index, got)
		}
	}
	feed := again.changes(store.Revision{Epoch: again.revision().Epoch}, 1_000_000)
	names := 0
	for i, c := range feed.Changes {
		if i > 0 && c.Index-feed.Changes[i-1].Index > 1 {
			t.Fatalf("index %d follows %d", c.Index, feed.Changes[i-1].Index)
		}
		if c.Key.Kind == resource.KindDatacenter {
			names++
			if c.Object == nil || c.Object.GetIndex() != c.Index {
				t.Fatalf("the change at %d has the object %v", c.Index, c.Object)
			}
		}
	}
	if names < len(acknowledged) {
		t.Fatalf("%d writes were acknowledged, the feed has %d", len(acknowledged), names)
	}
	checkChain(again, names)
}

// child starts the child process, with a number that says what it is to do, and gives what it says.
func (f *fixture) child(asked string, number int) (*exec.Cmd, io.Reader) {
	f.t.Helper()
	cmd := exec.CommandContext(f.ctx, os.Args[0], "-test.run=^"+f.options.ChildTest+"$", "-test.v")
	cmd.Env = append(os.Environ(), childTarget+"="+f.db.Target, childTarget+asked+"="+strconv.Itoa(number))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	return cmd, out
}

// killed starts a writer, reads what is acknowledged to it, and kills it in the middle.
func killed(f *fixture, round int, acknowledged map[string]uint64) {
	t := f.t
	cmd, out := f.child("_ROUND", round)
	lines := bufio.NewScanner(out)
	for n := 0; n < 150*(round+1) && lines.Scan(); {
		var name string
		var index uint64
		if _, err := fmt.Sscanf(lines.Text(), "stored %s %d", &name, &index); err == nil {
			acknowledged[name] = index
			n++
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// What it said before it died counts as well.
	for lines.Scan() {
		var name string
		var index uint64
		if _, err := fmt.Sscanf(lines.Text()+" .", "stored %s %d .", &name, &index); err == nil && strings.Count(lines.Text(), " ") == 2 {
			acknowledged[name] = index
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended before it was killed")
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged")
	}
}

// Through is a database with something in front of it.
type Through func(sqlstore.Database) sqlstore.Database

// Child is the process that testKill and testCrash kill: it writes and says what is stored. A package calls it from the
// test that Options.ChildTest names; in the process of the tests themselves it is skipped. open opens the store at a
// target over what through makes of its database.
func Child(t *testing.T, open func(ctx context.Context, target string, through Through) (Backend, error)) {
	t.Helper()
	target := os.Getenv(childTarget)
	if target == "" {
		t.Skip("only for the child processes of Kill and Crash")
	}
	var c crasher
	if at := os.Getenv(childTarget + "_STEP"); at != "" {
		var err error
		if c.at, err = strconv.ParseInt(at, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	b, err := open(context.Background(), target, c.through)
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	if c.at > 0 {
		crashChild(t, b, &c)
		return
	}
	round := os.Getenv(childTarget + "_ROUND")
	concurrently(8, func(i int) {
		for n := 0; ; n++ {
			name := fmt.Sprintf("r%s-w%d-%d", round, i, n)
			r, err := b.Write(context.Background(), store.Write{
				Puts: puts(datacenter(name)), Events: []*isthmusv1.Event{event("create", "Datacenter", name)},
			})
			if err != nil {
				t.Errorf("writing: %v", err)
				return
			}
			// One write each, so that a killed process leaves whole lines but for the last.
			if _, err := fmt.Fprintf(os.Stdout, "stored %s %d\n", name, r.Index); err != nil {
				return
			}
		}
	})
}

func testTooOld(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"))
	f.db.Exec(t, `UPDATE revision SET oldest = 9000`)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := f.db.Open(f.ctx); fault.CodeOf(err) != fault.Refused {
		if err == nil {
			err = b.Close()
		}
		t.Fatalf("a server that is too old opens the store: %v", err)
	}
	// Newer migrations alone do not keep it out.
	f.db.Exec(t, `UPDATE revision SET oldest = 1`)
	f.db.Exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, '1')`)
	if got := f.on(open(f.ctx, t, f.db)).get(resource.KindDatacenter, "dc1"); got.GetName() != "dc1" {
		t.Fatal("the store of a newer isthmus cannot be read")
	}
}
