package agent

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// enrol gives the agent's identity and its connection. An agent that has none makes its keys, writes them down, and asks the
// server until it answers.
//
//	no identity ──token──▶ keys on disk ──Enrol──▶ certificate on disk ──▶ enrolled
//	                          │   ▲
//	                          │   └── no answer: asked again with the same keys, which is not a second use
//	                          └── refused: the keys go, and the agent ends
func (t *tether) enrol(ctx context.Context) (*credentials, *link, error) {
	token, err := t.joinToken()
	if err != nil && t.enrolledBefore() {
		t.log.Warn("the join token is of no use; it is not needed any more", "error", err)
	} else if err != nil {
		return nil, nil, err
	}
	id, err := t.identity(token)
	if err != nil {
		return nil, nil, err
	}
	self, l, enrolled, err := t.connect(id)
	if err != nil {
		return nil, nil, err
	}
	if enrolled {
		t.log.Info("enrolled before", "agent", id.Agent(), "datacenter", id.Datacenter(), "server", l.address,
			"fingerprint", identity.Fingerprint(id.Attestation))
		return self, l, nil
	}
	t.log.Info("enrolling", "agent", id.Agent(), "datacenter", id.Datacenter(), "server", l.address)
	if err := t.enrolAt(ctx, self, l); err != nil {
		l.close()
		return nil, nil, t.abandon(err)
	}
	t.log.Info("enrolled", "agent", id.Agent(), "datacenter", id.Datacenter(), "fingerprint", identity.Fingerprint(id.Attestation))
	t.config.Hooks.enrolled(id.Agent())
	return self, l, l.reconnect()
}

// connect makes the connection of an identity, with its certificate when it has one: it is enrolled then. No call is made.
func (t *tether) connect(id *identity.Identity) (self *credentials, l *link, enrolled bool, err error) {
	if self, err = newCredentials(id, t.config.FleetKey); err != nil {
		return nil, nil, false, err
	}
	credential, err := id.LoadCredential(t.config.DataDir)
	switch {
	case err == nil:
		enrolled = true
		self.set(credential)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, false, exiting(ExitUntrusted, err)
	}
	l, err = newLink(cmp.Or(t.config.ServerAddress, id.Address), id.CAFingerprint, self, t.config.Now)
	return self, l, enrolled, err
}

// enrolledBefore tells whether the data directory holds an agent that the server knows.
func (t *tether) enrolledBefore() bool {
	id, err := identity.LoadIdentity(t.config.DataDir)
	if err == nil {
		_, err = id.LoadCredential(t.config.DataDir)
	}
	return err == nil
}

// joinToken is the configured one; nil without.
func (t *tether) joinToken() (*identity.JoinToken, error) {
	if t.config.JoinToken == "" {
		return nil, nil //nolint:nilnil // an enrolled agent needs none
	}
	token, err := identity.ParseJoinToken(t.config.JoinToken)
	if err != nil {
		return nil, final(err, true)
	}
	if kind := token.Grant.GetKind(); kind != t.kind {
		return nil, ended(ExitTokenInvalid, fault.Invalid, nil, "the join token is for kind %s, and this is kind %s", kind, t.kind)
	}
	return token, nil
}

// identity is the one on disk, or a new one.
func (t *tether) identity(token *identity.JoinToken) (*identity.Identity, error) {
	id, err := identity.LoadIdentity(t.config.DataDir)
	switch {
	case err == nil && token != nil && token.Grant.GetDatacenter() != id.Datacenter():
		return nil, ended(ExitWrongDatacenter, fault.Refused, nil,
			"the join token is for datacenter %s, and %s is of datacenter %s: use another data directory", token.Grant.GetDatacenter(), t.config.DataDir, id.Datacenter())
	case err == nil && id.Attestation.GetGrant().GetKind() != t.kind:
		return nil, ended(ExitTokenInvalid, fault.Invalid, nil, "%s holds the identity of kind %s, and this is kind %s: use another data directory",
			t.config.DataDir, id.Attestation.GetGrant().GetKind(), t.kind)
	case err == nil:
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case token == nil:
		return nil, ended(ExitTokenInvalid, fault.Invalid, nil, "this %s is not enrolled, and has no join token: isthmus join-token create makes one", t.kind)
	}
	if id, err = identity.NewIdentity(token, t.config.Now()); err != nil {
		return nil, err
	}
	if _, err := newCredentials(id, t.config.FleetKey); err != nil {
		return nil, err // before there is anything on disk
	}
	return id, id.Save(t.config.DataDir)
}

// enrolAt asks the server until it answers.
func (t *tether) enrolAt(ctx context.Context, self *credentials, l *link) error {
	if t.config.EnrolTimeout > 0 {
		limited, cancel := context.WithTimeout(ctx, t.config.EnrolTimeout)
		defer cancel()
		ctx = limited
	}
	csr, err := self.id.CSR()
	if err != nil {
		return err
	}
	pause := newBackoff()
	for {
		var answer *isthmusv1.EnrolResponse
		err := l.call(ctx, rpcTimeout, "enrolling", func(ctx context.Context, c isthmusv1.SyncServiceClient) (err error) {
			answer, err = c.Enrol(ctx, &isthmusv1.EnrolRequest{
				Attestation: self.id.Attestation, Csr: csr, Version: t.config.Version, Features: t.features, Host: t.config.Host,
			})
			return err
		})
		if err == nil {
			return t.accept(self, answer.GetCertificate(), answer.GetCa())
		}
		if end := final(err, true); errors.As(end, new(*exitError)) {
			return end
		}
		if expires := self.id.Attestation.GetGrant().GetExpireTime().AsTime(); !t.config.Now().Before(expires) {
			return ended(ExitTokenExpired, fault.Denied, err, "the join token expired at %s before the server at %s could be reached", expires.Format(time.RFC3339), l.address)
		}
		t.log.Warn("cannot enrol yet; trying again", "server", l.address, "error", err)
		consul.Wait(ctx, max(pause.NextBackOff(), min(fault.RetryAfter(err), maxRetryAfter)))
		if ctx.Err() != nil {
			return ended(ExitUnreachable, fault.Unavailable, err, "the server at %s could not be reached", l.address)
		}
	}
}

// accept checks and keeps a certificate.
func (t *tether) accept(self *credentials, certificate, ca string) error {
	credential, err := self.id.Accept(t.config.DataDir, certificate, ca)
	if err != nil {
		return final(err, true)
	}
	self.set(credential)
	return nil
}

// abandon forgets the keys of an enrolment that was refused: nobody knows them, and another token makes others.
func (t *tether) abandon(err error) error {
	exit := new(exitError)
	if !errors.As(err, &exit) || exit.exit == ExitUnreachable {
		return err
	}
	return errors.Join(err, t.forgetIdentity())
}

// forgetIdentity removes what Save and Accept wrote.
func (t *tether) forgetIdentity() error {
	for _, name := range []string{fileIdentity, fileCertificate} {
		if err := os.Remove(filepath.Join(t.config.DataDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Internal, err, "forgetting the former identity")
		}
	}
	return nil
}

// reborn tells whether an agent that the server will not have any more can begin anew: its operator gave it another join
// token than the one that it enrolled with.
func (t *tether) reborn(err error) bool {
	exit := new(exitError)
	if !errors.As(err, &exit) || exit.exit != ExitAgentDeleted && exit.exit != ExitCertificateTooOld {
		return false
	}
	token, tokenErr := t.joinToken()
	id, idErr := identity.LoadIdentity(t.config.DataDir)
	if tokenErr != nil || token == nil || idErr != nil || token.Grant.GetName() == id.Attestation.GetGrant().GetName() {
		return false
	}
	t.log.Warn("the server will not have the former identity; enrolling anew with the join token that was given", "former", id.Agent(), "error", err)
	return t.forgetIdentity() == nil
}
