package consul

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// watchWait is how long one blocking query waits: Consul's own default.
	watchWait = 5 * time.Minute
	// watchMinBackoff and watchMaxBackoff bound the mean pause after an error. Consul is near, and nobody else asks it so often.
	watchMinBackoff = 200 * time.Millisecond
	watchMaxBackoff = 2 * time.Second
)

// Fetch does one blocking read and gives its index.
type Fetch func(ctx context.Context, q Query) (uint64, error)

// Watch calls changed after the first answer of fetch and whenever its index is another, until ctx ends. It follows the
// rules of blocking queries: an index that goes back, or is 0, starts over; errors pause, with jitter, and start over, since
// Consul may be another one by then.
func Watch(ctx context.Context, fetch Fetch, changed func()) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.RandomizationFactor = watchMinBackoff, watchMaxBackoff, 1
	var last uint64
	for ctx.Err() == nil {
		index, err := fetch(ctx, Query{Index: last, Wait: watchWait})
		switch {
		case err != nil || index == 0:
			last = 0
			Wait(ctx, pause.NextBackOff())
		case index < last:
			last = 0
			changed()
		case index > last:
			last = index
			pause.Reset()
			changed()
		}
	}
}

// Wait returns after d, or when ctx ends.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
