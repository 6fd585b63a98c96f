package agent

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// tether is what ties a process to the server, be it an agent or a gateway: its identity, the connection, the last desired state, and
// the reports.
type tether struct {
	config Config
	log    hclog.Logger
	// kind is what it enrols as: identity.KindAgent or identity.KindGateway.
	kind string
	// features are the types of desired items that it does.
	features []string
	// news is called when there is another desired state.
	news func()

	self     *credentials
	link     *link
	memory   *memory
	reporter *reporter
}

// live runs one life after the other in the data directory, which nobody else uses meanwhile: another one only when an operator gave
// it another join token.
func (t *tether) live(ctx context.Context, life func(ctx context.Context) error) error {
	if err := os.MkdirAll(t.config.DataDir, 0o700); err != nil {
		return fault.Wrap(fault.Internal, err, "making %s", t.config.DataDir)
	}
	lock, err := lockDir(t.config.DataDir)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // it was not written to
	for {
		err := life(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // it was asked to stop
		case t.reborn(err):
			continue
		}
		return err
	}
}

// The server is told how late it is here with each poll, and in the beginning clockTimes apart, every clockEvery: one look at a clock over a
// network proves little.
const (
	clockEvery = time.Minute
	clockTimes = 3
)

// report sends what is news until ctx ends.
func (t *tether) report(ctx context.Context) error {
	pause := newBackoff()
	clock := time.NewTicker(clockEvery)
	defer clock.Stop()
	for told := 0; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
			if told++; told == clockTimes {
				clock.Stop()
			}
			if err := t.link.report(ctx, &isthmusv1.ReportRequest{}); err != nil {
				t.log.Debug("the server was not told the time", "error", err)
			}
			continue
		case <-t.reporter.wake:
		}
		for ctx.Err() == nil {
			err := t.reporter.flush(ctx)
			if err == nil {
				pause.Reset()
				break
			}
			t.log.Debug("the server does not take the report now", "error", err)
			consul.Wait(ctx, max(pause.NextBackOff(), min(fault.RetryAfter(err), maxRetryAfter)))
		}
	}
	return nil
}
