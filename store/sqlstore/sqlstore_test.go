package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store"
	"isthmus/store/sqlstore"
)

// database answers what an empty database would, and commits what its rule lets pass. It shows what reaches a database
// and when, which a real one does not.
type database struct {
	// rule is asked with the values of each transaction that is to be committed, one after the other.
	rule func(args string) error
	// arrived gets a value when a commit begins, which waits for one from proceed; nil: nobody waits.
	arrived, proceed chan struct{}
	// reading is called when the preconditions are read, if it is set.
	reading func()

	mu        sync.Mutex
	tries     int
	committed []string
	// index is that of the revision.
	index int64
}

func (d *database) Read(context.Context, ...sqlstore.Statement) error { return nil }
func (d *database) Begin(context.Context) (sqlstore.Tx, error)        { return &transaction{d}, nil }
func (d *database) Signals() <-chan struct{}                          { return nil }
func (d *database) Ping(context.Context) error                        { return nil }
func (d *database) Close() error                                      { return nil }

// outcome is how many transactions were tried, and the values of those that were committed.
func (d *database) outcome() (int, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tries, strings.Join(d.committed, "\n")
}

// transaction of a database.
type transaction struct{ d *database }

func (t *transaction) Rollback() {}

// Run answers the question for the revision; everything else is empty.
func (t *transaction) Run(_ context.Context, statements ...sqlstore.Statement) error {
	if t.d.reading != nil {
		t.d.reading()
	}
	return statements[0].Row(func(into ...any) error {
		t.d.mu.Lock()
		defer t.d.mu.Unlock()
		*into[0].(*string), *into[1].(*int64) = "epoch", t.d.index
		return nil
	})
}

func (t *transaction) Commit(_ context.Context, statements ...sqlstore.Statement) error {
	if t.d.arrived != nil {
		t.d.arrived <- struct{}{}
		<-t.d.proceed
	}
	var args strings.Builder
	for _, s := range statements {
		fmt.Fprintln(&args, s.Args...)
	}
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.d.tries++
	if err := t.d.rule(args.String()); err != nil {
		return err
	}
	t.d.committed = append(t.d.committed, args.String())
	for _, s := range statements {
		if strings.HasPrefix(s.SQL, "UPDATE revision SET") {
			t.d.index = s.Args[4].(int64) // after where it is, the index to go on to
		}
	}
	return nil
}

func open(t *testing.T, d *database) *sqlstore.Store {
	t.Helper()
	st := sqlstore.New(d, sqlstore.Dialect{}, hclog.NewNullLogger())
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return st
}

func put(name string) store.Write {
	return store.Write{Puts: []store.Put{{Object: &isthmusv1.Datacenter{Name: name, Uid: name}, Part: store.PartAll}}}
}

// queueing is a context that says when its call waits for its outcome: its item is queued by then.
type queueing struct {
	context.Context
	once   sync.Once
	queued chan struct{}
}

func queueingContext(ctx context.Context) *queueing {
	return &queueing{Context: ctx, queued: make(chan struct{})}
}

func (q *queueing) Done() <-chan struct{} {
	q.once.Do(func() { close(q.queued) })
	return q.Context.Done()
}

// together runs n calls, all but the first of which reach the database as one group, and gives their errors.
func together(t *testing.T, d *database, n int, call func(ctx context.Context, i int) error) []error {
	t.Helper()
	d.arrived, d.proceed = make(chan struct{}), make(chan struct{})
	errs := make([]error, n)
	var calls sync.WaitGroup
	calls.Go(func() { errs[0] = call(t.Context(), 0) })
	<-d.arrived
	for i := 1; i < n; i++ {
		ctx := queueingContext(t.Context())
		calls.Go(func() { errs[i] = call(ctx, i) })
		<-ctx.queued
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		calls.Wait()
	}()
	for {
		select {
		case d.proceed <- struct{}{}:
		case <-d.arrived:
		case <-done:
			return errs
		}
	}
}

func refusing(word string) func(string) error {
	return func(args string) error {
		if strings.Contains(args, word) {
			return fault.New(fault.Internal, "the database refuses %s", word)
		}
		return nil
	}
}

func TestOneRefusedWriteOfManyCostsFewTransactions(t *testing.T) {
	t.Parallel()
	const n, bad = 300, 170
	d := &database{rule: refusing("bad")}
	st := open(t, d)
	errs := together(t, d, n, func(ctx context.Context, i int) error {
		w := put(fmt.Sprintf("good-%d.", i))
		if i == bad {
			w = put("bad")
		}
		_, err := st.Write(ctx, w)
		return err
	})
	tries, committed := d.outcome()
	for i, err := range errs {
		switch {
		case i == bad && fault.CodeOf(err) != fault.Internal:
			t.Errorf("the refused write: %v", err)
		case i != bad && (err != nil || !strings.Contains(committed, fmt.Sprintf("good-%d.", i))):
			t.Errorf("write %d: %v", i, err)
		}
	}
	if tries > 1+2*9 {
		t.Errorf("%d transactions for one refused write of %d", tries, n)
	}
}

func TestWhatIsWrongWithTheDatabaseItselfEndsTheSearch(t *testing.T) {
	t.Parallel()
	for code, most := range map[fault.Code]int{fault.Internal: 1 + 64, fault.Unavailable: 1 + 1} {
		const n = 400
		d := &database{rule: func(string) error { return fault.New(code, "broken") }}
		st := open(t, d)
		errs := together(t, d, n, func(ctx context.Context, i int) error {
			_, err := st.Write(ctx, put(fmt.Sprint(i)))
			return err
		})
		for i, err := range errs {
			if got := fault.CodeOf(err); got != code && got != fault.Unavailable {
				t.Errorf("write %d: %v", i, err)
			}
		}
		if tries, committed := d.outcome(); tries > most || committed != "" {
			t.Errorf("%s: %d transactions for %d writes; stored: %q", code, tries, n, committed)
		}
	}
}

// TestAnOutageEndsTheSearch: once a part of a refused group is not answered, the rest is not tried.
func TestAnOutageEndsTheSearch(t *testing.T) {
	t.Parallel()
	const n = 64
	d := &database{}
	d.rule = func(args string) error {
		if err := refusing("bad")(args); err != nil {
			return err
		}
		if d.tries > 4 {
			return fault.New(fault.Unavailable, "gone")
		}
		return nil
	}
	st := open(t, d)
	errs := together(t, d, n, func(ctx context.Context, i int) error {
		w := put(fmt.Sprintf("good-%d.", i))
		if i == n/2 {
			w = put("bad")
		}
		_, err := st.Write(ctx, w)
		return err
	})
	_, committed := d.outcome()
	for i, err := range errs {
		stored := strings.Contains(committed, fmt.Sprintf("good-%d.", i))
		if (err == nil) != stored || err != nil && i != n/2 && fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("write %d: %v; stored: %v", i, err, stored)
		}
	}
}

func TestOneRefusedObservationFailsAlone(t *testing.T) {
	t.Parallel()
	const n, bad = 20, 7
	d := &database{rule: refusing("bad")}
	st := open(t, d)
	errs := together(t, d, n, func(ctx context.Context, i int) error {
		o := store.Observation{Datacenter: fmt.Sprintf("good-%d.", i), Part: "inventory", Body: []byte("{}")}
		if i == bad {
			o.Datacenter = "bad"
		}
		return st.Observe(ctx, []store.Observation{o})
	})
	_, committed := d.outcome()
	for i, err := range errs {
		switch {
		case i == bad && fault.CodeOf(err) != fault.Internal:
			t.Errorf("the refused observation: %v", err)
		case i != bad && (err != nil || !strings.Contains(committed, fmt.Sprintf("good-%d.", i))):
			t.Errorf("observation %d: %v", i, err)
		}
	}
}

// TestCallersThatGiveUp are told the truth: nothing is stored of what was not begun; what was may be.
func TestCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	d := &database{rule: func(string) error { return nil }, arrived: make(chan struct{}), proceed: make(chan struct{})}
	st := open(t, d)
	write := func(ctx context.Context, name string) <-chan error {
		out := make(chan error, 1)
		go func() {
			_, err := st.Write(ctx, put(name))
			out <- err
		}()
		return out
	}
	during, endDuring := context.WithCancel(t.Context())
	committing := write(during, "committing")
	<-d.arrived
	waiting, endWaiting := context.WithCancel(t.Context())
	inQueue := queueingContext(waiting)
	queued := write(inQueue, "queued")
	<-inQueue.queued
	late, endLate := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer endLate()

	endDuring()
	if err := <-committing; fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("given up during the commit: %v", err)
	}
	endWaiting()
	if err := <-queued; fault.CodeOf(err) != fault.Canceled {
		t.Errorf("given up while it waited: %v", err)
	}
	if err := <-write(late, "late"); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("given up before: %v", err)
	}
	last := write(t.Context(), "last")
	d.proceed <- struct{}{}
	<-d.arrived
	d.proceed <- struct{}{}
	if err := <-last; err != nil {
		t.Errorf("the last write: %v", err)
	}
	_, committed := d.outcome()
	for name, want := range map[string]bool{"committing": true, "queued": false, "late": false, "last": true} {
		if got := strings.Contains(committed, name); got != want {
			t.Errorf("%s is stored: %v", name, got)
		}
	}
}

// TestWhatACallerChangesLater is not what is stored: it may go on with its values as soon as it has given up.
func TestWhatACallerChangesLater(t *testing.T) {
	t.Parallel()
	reading, proceed := make(chan struct{}), make(chan struct{})
	d := &database{rule: func(string) error { return nil }}
	d.reading = func() {
		reading <- struct{}{}
		<-proceed
	}
	st := open(t, d)
	ctx, giveUp := context.WithCancel(t.Context())
	w := put("kept")
	w.Fence = &store.Lease{Name: "controller"}
	w.Requires = []store.Require{{Key: store.Key{Kind: "Datacenter", Name: "a"}, Absent: true}}
	w.Secrets = []store.Secret{{Digest: "d", Body: []byte{1, 2, 3}}}
	done := make(chan error, 1)
	go func() {
		_, err := st.Write(ctx, w)
		done <- err
	}()
	<-reading
	giveUp()
	if err := <-done; fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("given up: %v", err)
	}
	w.Fence.Fencing, w.Requires[0].Absent, w.Secrets[0].Body[0] = 9, false, 9
	proceed <- struct{}{}
	d.reading = nil
	if _, err := st.Write(t.Context(), put("barrier")); err != nil {
		t.Fatal(err)
	}
	if _, committed := d.outcome(); !strings.Contains(committed, "kept") || !strings.Contains(committed, "[1 2 3]") {
		t.Errorf("stored: %q", committed)
	}
}
