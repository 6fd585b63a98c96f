package postgres_test

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store"
	"isthmus/test/pgtest"
)

// counter stands between a store and PostgreSQL and counts round trips: client speaks, then server speaks.
type counter struct {
	upstream string
	trips    atomic.Int64
}

// through gives the URL that leads through a new counter.
func through(t *testing.T, address string) (string, *counter) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	if !strings.HasPrefix(query.Get("host"), "/") {
		t.Skip("only for a server that the test started")
	}
	const socket = ".s.PGSQL.5432"
	c := &counter{upstream: filepath.Join(query.Get("host"), socket)}
	dir := t.TempDir()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(t, conn)
		}
	}()
	query.Set("host", dir)
	u.RawQuery = query.Encode()
	return u.String(), c
}

// with adds a setting to a URL.
func with(t *testing.T, address, key, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(key, value)
	u.RawQuery = query.Encode()
	return u.String()
}

func (c *counter) serve(t *testing.T, client net.Conn) {
	t.Helper()
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(t.Context(), "unix", c.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	var clientSpeaks atomic.Bool
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, reader(func(p []byte) (int, error) {
			n, err := server.Read(p)
			if n > 0 && clientSpeaks.Swap(false) {
				c.trips.Add(1)
			}
			return n, err
		}))
	}()
	_, _ = io.Copy(server, reader(func(p []byte) (int, error) {
		n, err := client.Read(p)
		clientSpeaks.Store(n > 0)
		return n, err
	}))
}

type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// TestRoundTrips: a write of any kind takes two round trips, or one when nobody else writes and all that it is about is known; a read one.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	address, counter := through(t, pgtest.Start(t).Database(t))
	// One connection, so that the warm-up prepares the statements that are counted.
	st, err := openStore(t.Context(), with(t, address, "pool_max_conns", "1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	lease, err := st.Acquire(t.Context(), "controller", "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var since store.Revision
	write := func(name string) {
		t.Helper()
		dc := &isthmusv1.Datacenter{Name: name, Uid: name, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
		p := &isthmusv1.Peering{Name: name, Uid: name, Spec: &isthmusv1.PeeringSpec{Acceptor: name, ExternalDialer: "x" + name}}
		since, err = st.Write(t.Context(), store.Write{
			Puts:     []store.Put{{Object: dc, Part: store.PartAll}, {Object: p, Part: store.PartAll}},
			Requires: []store.Require{{Key: store.Key{Kind: "Datacenter", Name: name}, Absent: true}},
			Events:   []*isthmusv1.Event{{Spec: &isthmusv1.EventSpec{Action: "create"}}},
			Secrets:  []store.Secret{{Digest: name, Kind: "test", Body: []byte("x")}}, Fence: &lease,
		})
		if err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	read := func() {
		t.Helper()
		if feed, err := st.Changes(t.Context(), store.Revision{Epoch: since.Epoch, Index: since.Index - 1}, 10); err != nil || len(feed.Changes) != 3 {
			t.Fatalf("Changes: %+v, %v", feed, err)
		}
	}
	write("warm-up")
	read()
	before := counter.trips.Load()
	write("counted")
	if got := counter.trips.Load() - before; got != 2 {
		t.Errorf("a write takes %d round trips", got)
	}
	before = counter.trips.Load()
	read()
	if got := counter.trips.Load() - before; got != 1 {
		t.Errorf("a read of the feed takes %d round trips", got)
	}
	for _, name := range []string{"prepares", "known"} {
		for _, part := range []store.Part{store.PartAll, store.PartStatus, store.PartSpec} {
			require := store.Require{Key: store.Key{Kind: "Datacenter", Name: name}, Index: since.Index}
			if part == store.PartAll {
				require.Index, require.Absent = 0, true
			}
			dc := &isthmusv1.Datacenter{Name: name, Uid: name, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
			before = counter.trips.Load()
			since, err = st.Write(t.Context(), store.Write{Fence: &lease, Puts: []store.Put{{Object: dc, Part: part}}, Requires: []store.Require{require}})
			if err != nil {
				t.Fatalf("Write: %v", err)
			}
			if got := counter.trips.Load() - before; name == "known" && got != 1 {
				t.Errorf("a write of %s takes %d round trips", part, got)
			}
		}
	}
}

// TestLockTimeout: somebody who holds the revision makes writes fail, not hang; nothing of them is stored.
func TestLockTimeout(t *testing.T) {
	t.Parallel()
	address := pgtest.Start(t).Database(t)
	st, err := openStore(t.Context(), with(t, address, "lock_timeout", "50ms"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	fails := func(w store.Write, saying string) {
		t.Helper()
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "SELECT * FROM revision FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		_, err = st.Write(t.Context(), w)
		if fault.CodeOf(err) != fault.Unavailable || !strings.HasPrefix(err.Error(), saying) {
			t.Errorf("got %v, want %s", err, saying)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fails(put("a"), "PostgreSQL is too busy") // as it reads what is there
	for i, name := range []string{"a", "b"} {
		if r, err := st.Write(t.Context(), put(name)); err != nil || r.Index != uint64(i+1) {
			t.Fatalf("Write: %+v, %v", r, err)
		}
	}
	// Nobody else has committed, so what is there is known: it commits at once.
	fails(absent(put("c")), "the store could not commit just now: nothing of the write is stored")
	if r, err := st.Write(t.Context(), absent(put("c"))); err != nil || r.Index != 3 {
		t.Fatalf("Write: %+v, %v", r, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func put(name string) store.Write {
	return store.Write{Puts: []store.Put{{Object: &isthmusv1.Datacenter{Name: name, Uid: name}, Part: store.PartAll}}}
}

// absent is a write that needs nothing read.
func absent(w store.Write) store.Write {
	w.Requires = []store.Require{{Key: store.Key{Kind: "Datacenter", Name: w.Puts[0].Object.GetName()}, Absent: true}}
	return w
}
