package agent

import (
	"context"
	"encoding/pem"
	"os"
	"slices"
	"time"

	"isthmus/agent/probe"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// lookSoon and lookRarely bound the pauses between looks at the local server's handshake, each of which stands in Consul's log.
	lookSoon   = time.Second
	lookRarely = 5 * time.Minute
	// lookWaiting is the longest pause while somebody else shall reload or restart Consul.
	lookWaiting = 10 * time.Second
	// settingsEvery is how often this host's own CA is looked for.
	settingsEvery = 15 * time.Second
)

// sight is what the local Consul server showed in a handshake. The zero value: look again soon.
type sight struct {
	// trusted are the subjects (SHA-256, hex) of the CAs that it takes certificates of; expires is the end of its own.
	trusted []string
	expires time.Time
	next    time.Time
	pause   time.Duration
}

// settings are what the local server was started with.
type serverSettings struct {
	address, caFile string
	next            time.Time
}

// remember keeps what this host is while it is not a member (any more).
func (c *courier) remember(ctx context.Context, s situation) error {
	if !s.known {
		return nil
	}
	if !s.self.Secondary() {
		if err := c.save(func(r *deliveryRecord) { r.Seen = true }); err != nil {
			return err
		}
	}
	if c.now().Before(c.settings.next) {
		return nil
	}
	var err error
	if c.settings.address, c.settings.caFile, err = c.consul.ServerTLS(ctx); err != nil {
		return nil //nolint:nilerr // it is asked again in the next pass, and who needs it says so
	}
	c.settings.next = c.now().Add(settingsEvery)
	ownCA := c.readOwnCA()
	domain, root := "", ""
	if s.self.Connect != nil && *s.self.Connect {
		if ca, err := c.consul.MeshCA(ctx); err == nil {
			domain = ca.TrustDomain
		}
		if r, err := c.consul.MeshRoot(ctx); err == nil && r != nil {
			root = rootDigest(r)
		}
	}
	return c.save(func(r *deliveryRecord) {
		if ownCA != "" {
			r.OwnCA = ownCA
		}
		if s.self.Secondary() && root != "" {
			r.MemberRoot = root
		}
		if !s.self.Secondary() && domain != "" && root != "" && !joining(s.state) && !r.Begun && (!r.Out || r.Left) {
			r.TrustDomain, r.OwnRoot = domain, root
		}
	})
}

// joining: from now on another mesh here can be the primary's.
func joining(state *isthmusv1.DesiredState) bool {
	return slices.ContainsFunc(state.GetItems(), func(i *isthmusv1.DesiredItem) bool {
		f := i.GetFederationSecondary()
		return f.GetJoin() && !f.GetDelete()
	})
}

// readOwnCA reads the CA that the flags name, or that Consul was started with. The file that we write is not its own.
func (c *courier) readOwnCA() string {
	path := c.federation.CACertFile
	if path == "" && c.settings.caFile != c.files().CA {
		path = c.settings.caFile
	}
	if path == "" {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) > maxPEM {
		return ""
	}
	certificates, err := parseCertificates(text)
	if err != nil {
		return ""
	}
	var out []byte
	for _, one := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return string(out)
}

// ownCA is the CA of this host's server certificate: of the federation as soon as it has one of that.
func (c *courier) ownCA() string {
	if c.record.Begun && c.record.Applied > 0 && c.record.MemberCA != "" {
		return c.record.MemberCA
	}
	return c.record.OwnCA
}

// look brings the sight up to date when it is time, for those of whom somebody wants to know it.
func (c *courier) look(ctx context.Context, s situation, wanted bool) {
	now := c.now()
	if !wanted || !s.known || !s.answers || c.settings.address == "" || s.self.TLS == nil || !*s.self.TLS || now.Before(c.sight.next) {
		return
	}
	limit := lookRarely
	if c.record.Required != nil || c.record.Restart != nil {
		limit = lookWaiting
	}
	seen := sight{pause: min(max(2*c.sight.pause, lookSoon), limit)}
	seen.next = now.Add(seen.pause)
	_, expires, authorities, err := probe.Server(ctx, c.settings.address, federation.ServerName(s.self.Datacenter, s.self.Domain))
	if err != nil {
		c.log.Debug("the local Consul server's certificate is not seen now", "error", err)
		seen.trusted, seen.expires = c.sight.trusted, c.sight.expires
		c.sight = seen
		return
	}
	for _, subject := range authorities {
		seen.trusted = append(seen.trusted, subjectDigest(subject))
	}
	slices.Sort(seen.trusted)
	seen.trusted, seen.expires = slices.Compact(seen.trusted), expires
	c.sight = seen
}
