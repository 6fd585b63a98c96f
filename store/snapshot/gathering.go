package snapshot

import (
	"context"
	"time"
)

// Moment is how long changes are gathered where nobody waits for them: too short to be noticed, and the work of many commits in a burst.
const Moment = 20 * time.Millisecond

// Gathering is a Follower that takes changes together which come soon after each other: the first one at once, those after it when it has
// rested. A server that is written to a thousand times a second need not be followed as often by who is in no such hurry.
type Gathering struct {
	follower *Follower
	rest     time.Duration
	until    time.Time
	timer    *time.Timer
}

// Gathering goes on with the follower, which is its own from now on.
func (f *Follower) Gathering(rest time.Duration) *Gathering {
	g := &Gathering{follower: f, rest: rest, timer: time.NewTimer(rest)}
	g.timer.Stop()
	return g
}

// View is the state that has been told about.
func (g *Gathering) View() *View { return g.follower.View() }

// Changed gives a channel that is closed when Next would not block; none as long as it rests. Ask again when Rested gives.
func (g *Gathering) Changed() <-chan struct{} {
	if time.Now().Before(g.until) {
		return nil
	}
	return g.follower.Changed()
}

// Rested gives when a rest is over.
func (g *Gathering) Rested() <-chan time.Time { return g.timer.C }

// Next is Follower.Next, with a rest after it.
func (g *Gathering) Next(ctx context.Context) (*Batch, error) {
	batch, err := g.follower.Next(ctx)
	g.until = time.Now().Add(g.rest)
	g.timer.Reset(g.rest)
	return batch, err
}
