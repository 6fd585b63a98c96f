package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// operatorEvery is between the calls of an operator while all agents come back.
const operatorEvery = 50 * time.Millisecond

// stampede kills a server with all its agents and starts it again: how long it takes until all are back and have a change that was
// made meanwhile, and how long an operator's calls take.
func (w *watching) stampede(b *testing.B, s *watchSubject, n int) {
	b.Helper()
	mark := w.mark()
	do[watchResult](b, s.watchers, watchTask{Do: workArm, N: n, Mark: mark})
	began := time.Now()
	s.restart(b)
	w.figure(b, serving, s, time.Since(began).Seconds(), "%.2f")
	must(b, s.all(b.Context(), mark))
	ctx, cancel := context.WithCancel(b.Context())
	calls := make(chan times)
	go func() { calls <- operate(ctx, s.client) }()
	before := ownTime(s.pid)
	back := do[watchResult](b, s.watchers, watchTask{Do: workAwait})
	cancel()
	took := <-calls
	w.figure(b, fmt.Sprintf(allBack, n), s, time.Unix(0, back.Last).Sub(began).Seconds(), "%.1f")
	w.figure(b, backServer, s, (ownTime(s.pid) - before).Seconds(), "%.1f")
	w.figure(b, operated, s, millis(took.at(0.5)), "%.1f")
	w.figure(b, operatedMax, s, millis(took.at(0.99)), "%.1f")
}

// operate looks at a datacenter again and again, as somebody would who wants to know what goes on.
func operate(ctx context.Context, c *client.Client) times {
	var took times
	tick := time.NewTicker(operatorEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		sent := time.Now()
		_, err := client.Lookup[*isthmusv1.Datacenter](ctx, c, watchedDatacenter(i%targets))
		if ctx.Err() != nil {
			return took
		}
		if err != nil {
			took = append(took, time.Hour) // a refusal is no answer
			continue
		}
		took = append(took, time.Since(sent))
		<-tick.C
	}
}
