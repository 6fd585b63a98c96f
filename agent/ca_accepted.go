package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"isthmus/agent/probe"
	"isthmus/fault"
	"isthmus/federation"
)

// accepted refuses a CA whose certificates this datacenter's own servers would not take: whoever joined with one would be cut off from them.
// The servers tell in a handshake which CAs they trust. Each look stands in Consul's log, so that one is enough for each CA. Servers that
// do not answer or do not tell are no reason to refuse.
func (p *primaryPass) accepted(ctx context.Context, a *authority) error {
	sum := sha256.Sum256(a.certificate.Raw)
	if p.primary.accepted == sum {
		return nil
	}
	servers, err := p.consul.Instances(ctx, "consul", "")
	if err != nil {
		return err
	}
	for _, s := range servers {
		_, _, subjects, err := probe.Server(ctx, hostPort(s.Address, s.Port), federation.ServerName(p.self.Datacenter, p.self.Domain))
		if err != nil || len(subjects) == 0 {
			p.log.Debug("a server does not tell which CAs it trusts", "node", s.Node, "error", err)
			continue
		}
		trusts := func(subject []byte) bool {
			return slices.ContainsFunc(subjects, func(have []byte) bool { return bytes.Equal(have, subject) })
		}
		if !trusts(a.certificate.RawSubject) && !trusts(a.certificate.RawIssuer) {
			return because(fault.Refused, reasonCA, "the CA %s is not one that this datacenter's server %s trusts: name with %s and %s the files of the CA that Consul's servers have in their ca_file",
				a.certificate.Subject.CommonName, s.Node, flagCACert, flagCAKey)
		}
	}
	p.primary.accepted = sum
	return nil
}
