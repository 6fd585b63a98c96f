package agentapi_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/fault"
	"isthmus/server/agentapi"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// until polls until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(what)
		}
	}
}

// However news and looks come together, everybody sees the last of it, is looked at by one at a time, and no more once it has left.
func TestNoNewsIsMissed(t *testing.T) {
	t.Parallel()
	const places, each, news, hands = 20, 3, 200, 4
	w := agentapi.NewWaiters(t.Context(), hands)
	type one struct {
		*agentapi.Waiter
		seen, looking, gone atomic.Int64
	}
	var versions [places]atomic.Int64
	var all []*one
	for i := range places * each {
		o := &one{}
		o.Waiter = w.Arrive(fmt.Sprint("dc", i%places), func() time.Duration {
			if o.looking.Add(1) != 1 || o.gone.Load() != 0 {
				t.Error("it is looked at by two, or after it has left")
			}
			defer o.looking.Add(-1)
			version := versions[i%places].Load()
			o.seen.Store(version)
			if i >= places && version%7 == 3 {
				return time.Millisecond
			}
			return 0
		})
		all = append(all, o)
	}
	var tellers sync.WaitGroup
	for place := range places {
		tellers.Go(func() {
			for range news {
				versions[place].Add(1)
				w.Mark(fmt.Sprint("dc", place))
				w.Hurry(all[place].Waiter)
			}
		})
	}
	tellers.Wait()
	for i, o := range all {
		until(t, fmt.Sprintf("waiter %d did not see the last news", i), func() bool { return o.seen.Load() == news })
	}
	for _, o := range all {
		w.Leave(o.Waiter, false)
		o.gone.Store(1)
	}
	for place := range places {
		w.Mark(fmt.Sprint("dc", place))
	}
}

// Those who do not read their answers keep nobody from being told, however many they are; each is sent away in time.
func TestWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const deaf, hands = 10, 2
	w := agentapi.NewWaiters(t.Context(), hands)
	never := reader{reads: make(chan error)}
	ended := make(chan error, deaf)
	var stuck []*agentapi.Waiter
	for i := range deaf {
		stuck = append(stuck, w.ArriveReading(fmt.Sprint("deaf", i), never, 50*time.Millisecond, ended))
	}
	told := make(chan struct{})
	good := w.Arrive("dc", func() time.Duration { close(told); return 0 })
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("who reads is not told")
	}
	for range deaf {
		if err := <-ended; fault.CodeOf(err) != fault.Timeout {
			t.Errorf("one who does not read: %v", err)
		}
	}
	for _, one := range stuck {
		w.Leave(one, true)
	}
	w.Leave(good, false)
	close(never.reads)
	again := reader{reads: make(chan error, 1)}
	again.reads <- io.EOF
	last := w.ArriveReading("dc", again, time.Hour, ended)
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("one who has gone: %v", err)
	}
	w.Leave(last, false)
}
