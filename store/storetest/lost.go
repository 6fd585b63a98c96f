package storetest

import (
	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// loseLast takes the last commit, which put a Datacenter alone, back beside the store: as on a standby that was promoted without it.
func (f *fixture) loseLast(name string) {
	f.t.Helper()
	for _, query := range []string{
		`DELETE FROM resources WHERE name = '` + name + `'`,
		`DELETE FROM claims WHERE name = '` + name + `'`,
		`DELETE FROM commits WHERE last_index = (SELECT "index" FROM revision)`,
		`UPDATE revision SET "index" = "index" - 1`,
	} {
		f.db.Exec(f.t, query)
	}
}

// testLost: a write that finds that the database has lost a commit is refused, and what follows is another history, which readers of the lost one
// load anew.
func testLost(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"))
	f.put(datacenter("dc2"))
	had := f.put(datacenter("dc3"))
	f.loseLast("dc3")
	if _, err := f.Write(f.ctx, store.Write{Puts: []store.Put{{Object: datacenter("dc4"), Part: store.PartAll}}}); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("a write into a database that has lost a commit: %v", err)
	}
	if _, _, err := f.Get(f.ctx, datacenterKey("dc4")); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("what was refused is there: %v", err)
	}
	now := f.put(datacenter("dc4"))
	if now.Epoch == had.Epoch || now.Index != had.Index {
		t.Fatalf("the next write is at %+v, the lost one was at %+v", now, had)
	}
	if feed := f.changes(had, 10); !feed.Reload || feed.Revision != now {
		t.Fatalf("the feed of the lost history is %+v", feed)
	}
	if again := f.put(datacenter("dc5")); again.Epoch != now.Epoch {
		t.Fatalf("the history after a loss was given up: %+v, then %+v", now, again)
	}
}

// testLostUnread: a reader that finds it begins the other history as well, before anybody writes.
func testLostUnread(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"))
	had := f.put(datacenter("dc2"))
	f.loseLast("dc2")
	feed := f.changes(had, 10)
	if !feed.Reload || feed.Revision.Epoch == had.Epoch || feed.Revision.Index != had.Index-1 {
		t.Fatalf("the feed is %+v, the lost commit was at %+v", feed, had)
	}
	var names []string
	at, err := f.Load(f.ctx, func(o resource.Object) error {
		names = append(names, o.GetName())
		return nil
	})
	if err != nil || at != feed.Revision || len(names) != 1 {
		t.Fatalf("loaded %v at %+v: %v", names, at, err)
	}
	if feed := f.changes(at, 10); feed.Reload || len(feed.Changes) != 0 {
		t.Fatalf("the feed after that is %+v", feed)
	}
}

// testLostOnce: of several servers that have seen what is lost, the first one begins the other history, and the others follow it.
func testLostOnce(f *fixture) {
	t := f.t
	other := f.on(open(f.ctx, t, f.db))
	had := f.put(datacenter("dc1"))
	if feed := other.changes(store.Revision{Epoch: had.Epoch}, 10); feed.Revision != had {
		t.Fatalf("the other one is at %+v", feed.Revision)
	}
	f.loseLast("dc1")
	first, second := f.changes(had, 10), other.changes(had, 10)
	if !first.Reload || !second.Reload || first.Revision != second.Revision || first.Revision.Epoch == had.Epoch {
		t.Fatalf("one follows %+v, the other %+v", first, second)
	}
	if r := other.put(datacenter("dc1")); r.Epoch != first.Revision.Epoch {
		t.Fatalf("a write of the other is at %+v", r)
	}
}
