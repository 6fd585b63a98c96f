package agent

import (
	"context"
	"errors"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// clockCheck is how often the clock is looked at: it may jump, so that a timer to the time of renewal is not enough.
const clockCheck = time.Second

// renewals renews the certificate at two thirds of its life, and as soon as possible when that time was missed. An expired
// certificate is renewed as well: the server takes it for that alone.
func (t *tether) renewals(ctx context.Context) error {
	pause := newBackoff()
	failing := false
	for ctx.Err() == nil {
		if t.config.Now().Before(t.self.get().RenewTime()) {
			consul.Wait(ctx, clockCheck)
			continue
		}
		err := t.renew(ctx)
		switch {
		case err == nil:
			pause.Reset()
			failing = false
		case errors.As(err, new(*exitError)):
			return err
		default:
			if !failing && ctx.Err() == nil {
				t.log.Warn("cannot renew the certificate yet; trying again", "expires", t.self.get().Leaf().NotAfter, "error", err)
			}
			failing = true
			consul.Wait(ctx, max(pause.NextBackOff(), min(fault.RetryAfter(err), maxRetryAfter)))
		}
	}
	return nil
}

func (t *tether) renew(ctx context.Context) error {
	csr, err := t.self.id.CSR()
	if err != nil {
		return err
	}
	var answer *isthmusv1.RenewResponse
	err = t.link.call(ctx, rpcTimeout, "renewing the certificate", func(ctx context.Context, c isthmusv1.SyncServiceClient) (err error) {
		answer, err = c.Renew(ctx, &isthmusv1.RenewRequest{Csr: csr})
		return err
	})
	if err != nil {
		return final(err, false)
	}
	credential, err := t.self.id.Accept(t.config.DataDir, answer.GetCertificate(), answer.GetCa())
	if err != nil {
		return final(err, false)
	}
	t.self.set(credential)
	expires := credential.Leaf().NotAfter
	t.log.Info("renewed the certificate", "expires", expires)
	t.config.Hooks.renewed(expires)
	return t.link.reconnect()
}
