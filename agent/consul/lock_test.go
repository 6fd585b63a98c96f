package consul_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"isthmus/agent/consul"
	"isthmus/test/consultest"
)

// campaigner is one agent of an election.
type campaigner struct {
	mu      sync.Mutex
	leads   bool
	session string
	stop    context.CancelFunc
	done    chan struct{}
}

func campaign(t *testing.T, c *consul.Client, name, former string) *campaigner {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &campaigner{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		c.Campaign(ctx, consul.Election{
			Key: "isthmus/leader", Holder: name, Former: former,
			Remember: func(s string) error { p.mu.Lock(); defer p.mu.Unlock(); p.session = s; return nil },
			Leading:  func(leads bool) { p.mu.Lock(); defer p.mu.Unlock(); p.leads = leads },
			Failed:   func(error) {},
			Now:      time.Now,
		})
	}()
	t.Cleanup(func() { stop(); <-p.done })
	return p
}

func (p *campaigner) leading() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.leads }

func TestOneLeads(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "east")
	a := open(t, settings(t, c.Env(c.MintToken("lock", `key "isthmus/leader" { policy = "write" } session_prefix "" { policy = "write" }`))...))
	x := campaign(t, a, "x", "")
	eventually(t, "x leads", x.leading)
	y := campaign(t, a, "y", "")
	eventually(t, "y campaigns", func() bool { y.mu.Lock(); defer y.mu.Unlock(); return y.session != "" })
	if y.leading() {
		t.Fatal("two lead")
	}
	x.stop()
	<-x.done
	if x.leading() {
		t.Fatal("x stopped and still leads")
	}
	eventually(t, "y leads", y.leading)
	// A session that ends under its holder: it notices, and campaigns again.
	before := y.session
	c.Do("PUT", "/v1/session/destroy/"+before, nil, nil)
	eventually(t, "y leads in another session", func() bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.leads && y.session != before
	})
	// Whoever comes back from a crash ends the session of its former life instead of waiting for it.
	z := campaign(t, a, "z", y.session)
	eventually(t, "z or y leads again", func() bool { return z.leading() != y.leading() })
}
