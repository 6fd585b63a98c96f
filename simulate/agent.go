package simulate

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/identity"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// minPause and maxPause are between attempts to reach the server, with jitter, as real agents have them.
	minPause = 500 * time.Millisecond
	maxPause = 30 * time.Second
	// busyPause is before another try to enrol: the server lets so many in at a time.
	busyPause = 10 * time.Millisecond
	// maxState is the largest desired state that is taken.
	maxState = 16 << 20
	// version is what agents say that they are.
	version = "simulated"
)

// agent is one agent, or one gateway, of a datacenter.
type agent struct {
	fleet *Fleet
	site  *site
	id    *identity.Identity
	// gateway: it enrolled as one.
	gateway bool

	mu         sync.Mutex
	credential identity.Credential
	// link is nil while it is silent; stop ends its life then, and done is closed when it is over.
	link *link
	stop context.CancelFunc
	done chan struct{}
	// epoch, index and digest are of the state that was pulled last, held is what it has, todo what of it is not done yet; nil: nothing.
	epoch, digest string
	index         uint64
	held          holding
	todo          *todo
	// sent are the digests of the parts that the server has, in this process's form; told are those in the server's, by the parts' names.
	sent [partCount]uint64
	told map[string]string
	// ask: the server may have lost what was reported.
	ask bool
}

// enrol makes the agent's keys and has them certified.
func (a *agent) enrol(ctx context.Context, api isthmusv1.SyncServiceClient) error {
	kind := identity.KindAgent
	if a.gateway {
		kind = identity.KindGateway
	}
	token, err := a.fleet.operator.joinToken(ctx, a.fleet.key, a.site.name, kind)
	if err != nil {
		return err
	}
	if a.id, err = identity.NewIdentity(token, a.fleet.now()); err != nil {
		return err
	}
	csr, err := a.id.CSR()
	if err != nil {
		return err
	}
	request := &isthmusv1.EnrolRequest{Attestation: a.id.Attestation, Csr: csr, Version: version, Features: a.fleet.features, Host: a.site.host()}
	for {
		answer, err := api.Enrol(ctx, request)
		if err == nil {
			a.credential, err = a.id.Credential(answer.GetCertificate(), answer.GetCa())
			return err
		}
		err = answered(err, "enrolling an agent of "+a.site.name)
		if code := fault.CodeOf(err); ctx.Err() != nil || code != fault.Busy && code != fault.Unavailable {
			return err
		}
		// Asking again with the same keys is no second use.
		rest(ctx, busyPause+rand.N(busyPause)) //nolint:gosec // spreads load
	}
}

// tellTime sends a report with nothing but the time.
func (a *agent) tellTime(ctx context.Context, l *link) error {
	return send(ctx, l, &isthmusv1.ReportRequest{Clock: timestamppb.New(a.fleet.now())})
}

// start begins the agent's life: it pulls until stopped.
func (a *agent) start(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link != nil {
		return nil
	}
	l, err := newLink(a.id, &a.credential.Certificate, a.fleet.now)
	if err != nil {
		return err
	}
	ctx, a.stop = context.WithCancel(ctx)
	a.link, a.done = l, make(chan struct{})
	a.ask = true
	a.fleet.lives.Go(func() {
		defer close(a.done)
		a.live(ctx)
	})
	return nil
}

// silence ends the agent's life; what it knows stays.
func (a *agent) silence() {
	a.mu.Lock()
	l, stop, done := a.link, a.stop, a.done
	a.link = nil
	a.mu.Unlock()
	if l == nil {
		return
	}
	stop()
	l.close()
	<-done
}

// connection is nil while the agent is silent.
func (a *agent) connection() *link {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.link
}

// live keeps one call to Follow open until ctx ends, or the server will not have the agent any more.
func (a *agent) live(ctx context.Context) {
	pause, failing := minPause, false
	for ctx.Err() == nil {
		err := a.renew(ctx)
		if err == nil {
			err = a.listen(ctx)
		}
		switch {
		case err == nil:
			pause, failing = minPause, false
			continue
		case ctx.Err() != nil:
			return
		case refused(err):
			a.fleet.log.Warn("the server will not have an agent any more", "agent", a.id.Agent(), "error", err)
			return
		case !failing:
			a.fleet.log.Debug("an agent gets no desired state", "agent", a.id.Agent(), "error", err)
		}
		failing = true
		a.mu.Lock()
		a.ask = true
		a.mu.Unlock()
		if l := a.connection(); l != nil {
			l.rest(ctx, pause+rand.N(pause)) //nolint:gosec // spreads load
		}
		pause = min(2*pause, maxPause)
	}
}

// refused tells that asking again does not help.
func refused(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return false
	}
	for _, v := range f.Violations {
		if v.Reason == identity.ReasonAgentDeleted || v.Reason == identity.ReasonCertificateTooOld {
			return true
		}
	}
	return false
}

// rest waits, for less when ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// listen takes desired states until the server ends the call, or has to be asked whether it still has what was reported: after a failure, of
// another epoch, and when an answer brought nothing.
func (a *agent) listen(ctx context.Context) error {
	l := a.connection()
	if l == nil {
		return nil
	}
	a.mu.Lock()
	request := &isthmusv1.PullRequest{
		Epoch: a.epoch, MinIndex: a.index, Have: a.digest, Wait: pullWait, Version: version, Features: a.fleet.features, Deltas: true,
		Clock: timestamppb.New(a.fleet.now()),
	}
	if a.ask {
		request.Reported = resource.ReportDigest(a.told)
	}
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	answers, err := l.sync.Follow(ctx, request)
	for again := true; again && err == nil; {
		var answer *isthmusv1.PullResponse
		if answer, err = answers.Recv(); err == nil {
			again = a.take(answer)
			a.fleet.queue.put(a)
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return answered(err, "following the desired state")
}

// take notes an answer; false when the next one has to be asked for.
func (a *agent) take(answer *isthmusv1.PullResponse) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ask = answer.GetEpoch() != a.epoch || answer.GetState() == nil && answer.GetDelta() == nil
	if answer.GetReports() == resource.ReportsWanted {
		a.sent, a.told, a.ask = [partCount]uint64{}, nil, false
	}
	a.epoch, a.index, a.digest = answer.GetEpoch(), answer.GetIndex(), answer.GetDigest()
	switch {
	case answer.GetState() != nil:
		a.todo = a.held.take(answer.GetState())
	case answer.GetDelta() != nil:
		more, digest := a.held.merge(answer.GetDelta())
		if a.todo = a.todo.and(more); digest != answer.GetDigest() {
			a.digest = "" // it was led astray: it needs the whole
		}
	}
	return !a.ask && a.digest != ""
}

// renew gets another certificate when it is time, and connects with it.
func (a *agent) renew(ctx context.Context) error {
	if a.fleet.now().Before(a.credential.RenewTime()) {
		return nil
	}
	csr, err := a.id.CSR()
	if err != nil {
		return err
	}
	l := a.connection()
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := l.sync.Renew(ctx, &isthmusv1.RenewRequest{Csr: csr})
	if err != nil {
		return answered(err, "renewing the certificate")
	}
	credential, err := a.id.Credential(answer.GetCertificate(), answer.GetCa())
	if err != nil {
		return err
	}
	next, err := newLink(a.id, &credential.Certificate, a.fleet.now)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.credential = credential
	silent := a.link == nil
	if !silent {
		a.link = next
	}
	a.mu.Unlock()
	if silent {
		next.close()
		return nil
	}
	l.close()
	return nil
}

// work does what the desired state asks for and was not done yet, and reports what is news.
func (a *agent) work(ctx context.Context) {
	l := a.connection()
	if l == nil {
		return
	}
	headless := a.fleet.world.isHeadless(a.site)
	a.mu.Lock()
	todo := a.todo
	a.mu.Unlock()
	var err error
	if todo != nil && !headless {
		if err = a.reconcile(ctx, l, todo); err == nil {
			a.mu.Lock()
			if a.todo == todo {
				a.todo = nil // it may be large, and nothing of it is needed any more
			}
			a.mu.Unlock()
		}
	}
	if err = errors.Join(err, a.report(ctx, l)); err != nil && ctx.Err() == nil && a.connection() == l {
		a.fleet.log.Debug("an agent tries again", "agent", a.id.Agent(), "error", err)
		a.fleet.queue.putLater(a)
	}
}

// features are the types of items that an agent does.
func features() []string { return plan.Features() }
