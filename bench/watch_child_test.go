package bench_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// longPoll is what a watcher waits.
	longPoll = 5 * time.Minute
	// dialing is how many watchers connect at a time.
	dialing = 16
	// leastPause and mostPause are between attempts of a watcher that lost its server, with jitter, as agents have them.
	leastPause, mostPause = 500 * time.Millisecond, 10 * time.Second
	// keyOfAll is the key that all watchers watch.
	keyOfAll = "watch-all"
)

// ownKey is the key that one watcher watches.
func ownKey(i int) string { return fmt.Sprintf("watch-own/%05d", i) }

// watchTask is for the process that has all watchers of a subject.
type watchTask struct {
	Do watchWork
	// N is how many: watchers in all for connect, those that must have the mark for arm.
	N int
	// Mark is what a change carries.
	Mark string
	// Subject is what all watch, for begin.
	Subject watched
}

// watchWork is what is to be done.
type watchWork string

const (
	// workBegin says what is watched; workEnrol makes agents; workConnect connects watchers until there are N; workArm waits for
	// a change from now on; workAwait ends when it has come to all who shall have it.
	workBegin, workEnrol, workConnect, workArm, workAwait watchWork = "begin", "enrol", "connect", "arm", "await"
)

// watched is what is watched, and how it is reached.
type watched struct {
	// Protocol is floor, etcd, consul or isthmus.
	Protocol string
	// Addr is host:port, of isthmus that of gRPC. CAFile holds its authority; for isthmus it is Pin.
	Addr, CAFile, Pin string
	// Token is a client's.
	Token string
	// Polls: agents of isthmus pull again after each answer, as older ones do, in place of following.
	Polls bool
}

// watchResult is what came of a task.
type watchResult struct {
	// Last is when the last one had the change, in ns since 1970.
	Last int64
	// Broken counts connections that were lost so far.
	Broken int64
}

// poll is one watcher's connection. Its methods are called by one goroutine.
type poll interface {
	// ask begins to wait, await gives what has come.
	ask() error
	await() ([]byte, error)
	// settled tells that it has what there was: the next answer is news.
	settled() bool
	close()
}

// watchers are all watchers of a subject.
type watchers struct {
	subject watched
	config  *tls.Config
	agents  *agents

	n int
	// ready gets one for each watcher that waits for news.
	ready  chan struct{}
	armed  atomic.Pointer[expectation]
	broken atomic.Int64
	fatal  chan error
}

// expectation is a change that is on its way.
type expectation struct {
	mark []byte
	left atomic.Int64
	last atomic.Int64
	done chan struct{}
	// seen has a flag for each watcher: one may be told twice.
	seen []atomic.Bool
}

// run does one task.
func (w *watchers) run(task watchTask) (out watchResult, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), watchTimeout)
	defer cancel()
	switch task.Do {
	case workBegin:
		err = w.begin(task.Subject)
	case workEnrol:
		w.agents, err = enrolAgents(ctx, w.subject, task.N)
	case workConnect:
		err = w.connect(ctx, task.N)
	case workArm:
		e := &expectation{mark: []byte(task.Mark), done: make(chan struct{}), seen: make([]atomic.Bool, w.n)}
		e.left.Store(int64(task.N))
		w.armed.Store(e)
	case workAwait:
		e := w.armed.Load()
		select {
		case <-e.done:
			out.Last = e.last.Load()
		case err = <-w.fatal:
		case <-ctx.Done():
			err = fmt.Errorf("%d watchers have not seen %q: %w", e.left.Load(), e.mark, ctx.Err())
		}
	}
	out.Broken = w.broken.Load()
	return out, err
}

func (w *watchers) begin(subject watched) (err error) {
	w.subject, w.fatal = subject, make(chan error, 1)
	if subject.CAFile != "" {
		w.config, err = trusting(subject.CAFile)
	}
	return err
}

// connect connects as many that there are n, and returns when all of them wait.
func (w *watchers) connect(ctx context.Context, n int) error {
	w.ready = make(chan struct{}, n)
	places := make(chan struct{}, dialing)
	before := w.n
	go func() {
		for i := before; i < n; i++ {
			places <- struct{}{}
			go w.watch(i, sync.OnceFunc(func() { <-places; w.ready <- struct{}{} }))
		}
	}()
	for range n - before {
		select {
		case <-w.ready:
		case err := <-w.fatal:
			return err
		case <-ctx.Done():
			return fmt.Errorf("connecting watchers: %w", ctx.Err())
		}
	}
	w.n = n
	return nil
}

// watch is one watcher's life: it goes on until the process ends. A connection that is lost is made again.
func (w *watchers) watch(i int, ready func()) {
	pause := leastPause
	for {
		was, err := w.follow(i, ready)
		if was {
			pause = leastPause
			w.broken.Add(1)
		} else if w.broken.Load() == 0 {
			select { // the very first connection must work
			case w.fatal <- fmt.Errorf("watcher %d: %w", i, err):
			default:
			}
		}
		<-time.After(pause + rand.N(pause))
		pause = min(2*pause, mostPause)
	}
}

// follow watches over one connection until it ends; was tells that it waited.
func (w *watchers) follow(i int, ready func()) (was bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	p, err := w.dial(ctx, i)
	if err != nil {
		return false, err
	}
	defer p.close()
	for {
		if err := p.ask(); err != nil {
			return was, err
		}
		if p.settled() {
			was = true
			ready()
		}
		message, err := p.await()
		if err != nil {
			return was, err
		}
		w.note(i, message, time.Now())
	}
}

// note looks for the change that is expected in what a watcher was told.
func (w *watchers) note(i int, message []byte, at time.Time) {
	e := w.armed.Load()
	if e == nil || i >= len(e.seen) || !bytes.Contains(message, e.mark) || e.seen[i].Swap(true) {
		return
	}
	for last := e.last.Load(); at.UnixNano() > last && !e.last.CompareAndSwap(last, at.UnixNano()); last = e.last.Load() {
	}
	if e.left.Add(-1) == 0 {
		close(e.done)
	}
}

// dial connects one watcher.
func (w *watchers) dial(ctx context.Context, i int) (poll, error) {
	switch s := w.subject; s.Protocol {
	case "floor":
		p, err := dialHTTP(ctx, s.Addr, w.config)
		return &floorPoll{httpPoll: p, name: fmt.Sprint(i)}, err
	case "consul":
		p, err := dialHTTP(ctx, s.Addr, w.config)
		return &consulPoll{httpPoll: p, own: ownKey(i), token: s.Token}, err
	case "etcd":
		p, err := dialGRPCPoll(ctx, s.Addr, w.config)
		return &etcdWatch{grpcPoll: p, own: ownKey(i)}, err
	case "isthmus":
		p, err := dialGRPCPoll(ctx, s.Addr, w.agents.config(i))
		return w.agents.pull(i, p), err
	default:
		return nil, errors.New("no protocol is called " + s.Protocol)
	}
}
