package consul

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

const (
	// sessionTTL is the shortest that Consul takes. It ends a dead holder's session within twice of it.
	sessionTTL = 10 * time.Second
	// renewEvery leaves room for two failures within a TTL.
	renewEvery = sessionTTL / 3
	// lockDelay is how long Consul refuses the lock after a session died. What the holder does is safe to do twice
	// (check-and-set, claims at the server), so it is short.
	lockDelay = time.Second
)

// Election is a campaign for one lock.
type Election struct {
	// Key that is locked; its value is the holder.
	Key, Holder string
	// Former is the session of this campaigner's last life, ended first: nobody has to wait until it expires.
	Former string
	// Remember keeps a session for Former.
	Remember func(session string) error
	// Leading is told when the lock is won and lost; Failed why a campaign is held up.
	Leading func(bool)
	Failed  func(error)
	// Now is the clock that tells how long the session was not renewed.
	Now func() time.Time
}

// Campaign tries to hold the lock until ctx ends; then it gives it back. Between a lost session and Leading(false) pass at
// most a session's TTL, after which Consul may give the lock to somebody else.
func (c *Client) Campaign(ctx context.Context, e Election) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.RandomizationFactor = watchMinBackoff, watchMaxBackoff, 1
	for ctx.Err() == nil {
		err := c.term(ctx, &e, pause.Reset)
		e.Leading(false)
		if err == nil || ctx.Err() != nil {
			continue
		}
		e.Failed(err)
		Wait(ctx, pause.NextBackOff())
	}
}

// term is one session's life. begun is called once Consul has taken the session.
func (c *Client) term(ctx context.Context, e *Election, begun func()) (err error) {
	if e.Former != "" {
		if err := c.endSession(ctx, e.Former); err != nil {
			return err
		}
	}
	session, err := c.beginSession(ctx, e.Holder)
	if err != nil {
		return err
	}
	// One that cannot be ended now, since Consul is away, is ended before the next one: it would keep the lock until it expires.
	e.Former = session
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
		defer cancel()
		if ended := c.endSession(ending, session); err == nil {
			err = ended
		}
	}()
	if err := e.Remember(session); err != nil {
		return err
	}
	begun()
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	go c.renewals(ctx, session, e.Now, lose)
	for ctx.Err() == nil {
		if err := c.acquire(ctx, *e, session); err != nil {
			return err
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// acquire tries to take the lock once; when it has it, it returns only after it lost it, and otherwise after the lock may be
// free.
func (c *Client) acquire(ctx context.Context, e Election, session string) error {
	won := false
	err := c.do(ctx, "taking the leader lock "+e.Key, func(ctx context.Context, a *api.Client) (err error) {
		won, _, err = a.KV().Acquire(&api.KVPair{Key: e.Key, Value: []byte(e.Holder), Session: session}, writing(ctx))
		return err
	})
	if err != nil {
		return err
	}
	e.Leading(won)
	var last uint64
	for ctx.Err() == nil {
		var pair *api.KVPair
		index, err := c.read(ctx, "watching the leader lock "+e.Key, Query{Index: last, Wait: watchWait}, func(a *api.Client, o *api.QueryOptions) (meta *api.QueryMeta, err error) {
			pair, meta, err = a.KV().Get(e.Key, o)
			return meta, err
		})
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the campaign ends, or its session did, which the caller tells
			}
			return err
		}
		held := pair != nil && pair.Session == session
		if held != won || !won && (pair == nil || pair.Session == "") {
			Wait(ctx, lockDelay)
			return nil
		}
		last = index
	}
	return nil
}

func (c *Client) beginSession(ctx context.Context, holder string) (string, error) {
	var session string
	err := c.do(ctx, "opening a session for the leader lock", func(ctx context.Context, a *api.Client) (err error) {
		session, _, err = a.Session().CreateNoChecks(&api.SessionEntry{
			Name: "isthmus agent " + holder, TTL: sessionTTL.String(), LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
		}, writing(ctx))
		return err
	})
	return session, err
}

func (c *Client) endSession(ctx context.Context, session string) error {
	return c.do(ctx, "ending the session of the leader lock", func(ctx context.Context, a *api.Client) error {
		_, err := a.Session().Destroy(session, writing(ctx))
		return err
	})
}

// renewals keep the session alive until ctx ends, and call lose when it is dead or may be.
func (c *Client) renewals(ctx context.Context, session string, now func() time.Time, lose func(error)) {
	alive := now()
	for {
		Wait(ctx, renewEvery)
		if ctx.Err() != nil {
			return
		}
		asked := now()
		var entry *api.SessionEntry
		err := c.do(ctx, "renewing the session of the leader lock", func(ctx context.Context, a *api.Client) (err error) {
			ctx, cancel := context.WithTimeout(ctx, renewEvery)
			defer cancel()
			entry, _, err = a.Session().Renew(session, writing(ctx))
			return err
		})
		switch {
		case err == nil && entry == nil:
			lose(fault.New(fault.Unavailable, "Consul ended the session of the leader lock"))
			return
		case err == nil:
			alive = asked
		case now().Sub(alive) > sessionTTL-renewEvery:
			lose(err)
			return
		}
	}
}
