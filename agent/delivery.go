package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Flags of isthmus agent that messages name.
const (
	flagAllowJoin = "--allow-join"
	flagConfigDir = "--consul-config-dir"
)

// courier brings what a federation gives this host to its Consul server. Every agent has one: leader or not, and also where Consul is not
// there yet. It is asked in every pass and never waits for long: what takes its time, as a restart, goes on from pass to pass, and from
// process to process.
//
//	want ─▶ Put ─┬─ nothing to do ───────────────────────────────────────────▶ applied (removed)
//	             ├─ reload ─▶ Carry ─▶ Done ─────────────────────────────────▶ applied
//	             └─ restart ─▶ TakeTurn ─▶ Carry ─▶ healthy? ─▶ Done ─▶ EndTurn ▶ applied
//	                   └─ nobody may: restart-required ─▶ seen to have happened ─▶ Done ▶ applied
type courier struct {
	*reconciler
	dir string
	// hostName is this machine's in reports.
	hostName string
	record   deliveryRecord
	// wanted is the federation that the state is about.
	wanted string
	// paused holds back what failed: of which content it was, until when, and why.
	paused *pause
	// sight is what the local server showed last; settings are what it was started with.
	sight    sight
	settings serverSettings
	// askedTurn is when the turn was asked for last, so that a pass in a hurry does not ask all the time.
	askedTurn time.Time
	turnErr   error
	// deniedSince is since when Consul runs again and does not know our tokens.
	deniedSince  time.Time
	deniedLeader string
	// deadSince is since when Consul does not answer, or has no leader.
	deadSince time.Time
	// bundle is the one that was opened last.
	bundle openBundle
	// refusedCAs is why CAs are not trusted, as it was logged last.
	refusedCAs string
	// watch is what a join would destroy, for the report.
	watch lossWatch
	// settled is the content that Consul runs with. Until settledUntil it is not looked whether somebody changed it there.
	settled      string
	settledUntil time.Time
}

// situation is what one pass knows.
type situation struct {
	state *isthmusv1.DesiredState
	// self is what Consul says of itself, when known is true.
	self  consul.Self
	known bool
	// standing is how the servers stand, when answers is true.
	standing consul.Standing
	answers  bool
	leading  bool
}

// consulDatacenter is what Consul calls its datacenter; before there is one, what it shall be called.
func (s situation) consulDatacenter() string {
	if s.known {
		return s.self.Datacenter
	}
	return s.state.GetConsulDatacenter()
}

// alive: Consul works, and would not while it restarts.
func (s situation) alive() bool { return s.answers && s.standing.Leader != "" }

// cargo is what this host shall have.
type cargo struct {
	uid     string
	content delivery.Content
	// facts are what Consul says of itself when it runs with it.
	facts facts
	// removes: this is what a host has that left.
	removes bool
	// adopted: its Consul is a member by hand, and what it runs with is left alone.
	adopted bool
	// refused is what of it the server wanted besides, and does not get.
	refused error
}

// key tells two contents apart.
func (w *cargo) key() string {
	h := sha256.New()
	put := func(parts ...[]byte) {
		for _, p := range parts {
			sum := sha256.Sum256(p)
			h.Write(sum[:])
		}
	}
	c := w.content
	put([]byte(c.Owner), c.DropIn, c.CA, c.Cert, c.Key, []byte(c.GatewayToken), strconv.AppendBool(nil, w.removes))
	for _, name := range slices.Sorted(maps.Keys(c.Secret)) {
		put([]byte(name), c.Secret[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func newCourier(r *reconciler, dir, hostName string) (*courier, error) {
	c := &courier{reconciler: r, dir: dir, hostName: hostName}
	if err := readJSON(c.path(fileDelivery), &c.record); err != nil && fault.CodeOf(err) != fault.NotFound {
		return nil, err
	}
	return c, nil
}

func (c *courier) path(name string) string { return filepath.Join(c.dir, name) }

// errNothing: there is nothing to deliver.
var errNothing = errors.New("nothing to deliver")

// deliver does what this host needs now, and tells how it stands and when to look again at the latest.
func (c *courier) deliver(ctx context.Context, s situation) (*isthmusv1.DeliveryReport, time.Duration) {
	if c.concerned(s.state) {
		standing, err := c.consul.Standing(ctx)
		s.standing, s.answers = standing, err == nil
	}
	if err := c.attend(ctx, s); err != nil {
		c.log.Warn("how Consul's servers stand is not written down", "error", err)
	}
	state, err := c.step(ctx, s)
	if ctx.Err() != nil {
		return nil, pollEvery
	}
	report := c.report(ctx, s)
	host := report.GetHost()
	host.State, host.Reason, host.Message = state, reasonOf(err), messageOf(err)
	if report.GetUid() == c.record.UID {
		host.Written, host.Applied = c.record.Written, c.record.Applied
	}
	switch state {
	case resource.DeliveryRestarting:
		return report, restartPoll
	case resource.DeliveryWaitingTurn:
		return report, turnPoll
	}
	return report, pollEvery
}

// concerned tells whether there is anything to look after.
func (c *courier) concerned(state *isthmusv1.DesiredState) bool {
	return c.record.Restart != nil || slices.ContainsFunc(state.GetItems(), func(i *isthmusv1.DesiredItem) bool {
		return i.GetFederationSecondary() != nil || i.GetFederationPrimary() != nil
	})
}

// step is one look at what is wanted and what is there.
func (c *courier) step(ctx context.Context, s situation) (string, error) {
	if err := c.remember(ctx, s); err != nil {
		return resource.DeliveryFailed, err
	}
	w, err := c.want(ctx, s)
	switch {
	case errors.Is(err, errNothing) && c.record.Restart == nil:
		return c.idle(), nil
	case err != nil && c.record.Restart != nil && c.record.Restart.Carried:
		return c.await(ctx, s) // what was begun is brought to its end
	case errors.Is(err, errNothing):
		return c.idle(), c.save(func(r *deliveryRecord) { r.Restart = nil })
	case err != nil:
		return c.stateOf(err), err
	}
	if w.key() == c.settled && c.now().Before(c.settledUntil) {
		return c.idle(), nil
	}
	c.settled = ""
	if err := c.save(func(r *deliveryRecord) { r.Put = r.Put || !w.adopted }); err != nil {
		return resource.DeliveryFailed, err
	}
	put := func() (delivery.Effect, error) { return c.host.Put(ctx, w.content) }
	if w.removes && len(w.content.DropIn) == 0 {
		put = func() (delivery.Effect, error) { return c.host.Clear(ctx) }
	}
	effect, err := put()
	if err != nil {
		return c.stateOf(err), err
	}
	if err := c.save(func(r *deliveryRecord) { r.Written = w.content.Generation }); err != nil {
		return resource.DeliveryFailed, err
	}
	state, err := c.carry(ctx, s, w, effect)
	return state, cmp.Or(err, w.refused)
}

// want is what this host shall have, or why that cannot be told. errNothing: nothing from us.
func (c *courier) want(ctx context.Context, s situation) (*cargo, error) {
	for _, i := range s.state.GetItems() {
		switch {
		case i.GetFederationSecondary() != nil:
			c.wanted = i.GetFederationSecondary().GetUid()
			return c.wantSecondary(ctx, s, i.GetFederationSecondary())
		case i.GetFederationPrimary() != nil:
			c.wanted = i.GetFederationPrimary().GetUid()
			return c.wantPrimary(s, i.GetFederationPrimary())
		}
	}
	c.wanted = ""
	return nil, errNothing // what is there stays
}

// checkHost proves that this host's flags allow something to be delivered.
func (c *courier) checkHost() error {
	switch {
	case c.host == nil:
		return because(fault.Refused, reasonNoConfigDir, "this agent may not write what the federation gives this host's Consul server: start it with %s, and the directory that Consul reads its configuration from", flagConfigDir)
	case !c.host.CanWrite():
		if h, ok := c.host.(interface{ Check() error }); ok && h.Check() != nil {
			return because(fault.Refused, reasonNoConfigDir, "%s", messageOf(h.Check()))
		}
		return because(fault.Refused, reasonNoConfigDir, "this agent may not write what the federation gives this host's Consul server: start it with %s", flagConfigDir)
	}
	return nil
}

// wantPrimary is for a host of the primary.
func (c *courier) wantPrimary(s situation, item *isthmusv1.FederationPrimary) (*cargo, error) {
	if err := c.free(item.GetUid()); err != nil {
		return nil, err
	}
	if err := c.begin(item.GetUid()); err != nil {
		return nil, err
	}
	w := &cargo{uid: item.GetUid(), content: delivery.Content{Owner: item.GetUid() + "/" + s.state.GetConsulDatacenter()}}
	if item.GetDelete() {
		w.removes = true
		if !c.record.Put {
			return nil, errNothing
		}
		return w, c.checkHost()
	}
	if !s.known {
		return nil, because(fault.Unavailable, reasonNoConsul, "waiting for this host's Consul server")
	}
	others, refused := c.others(item.GetUid(), c.self.datacenter(), item.GetTrustedCas())
	w.refused = refused
	content, needed, err := primaryContent(item, s.self, c.files(), []byte(c.record.OwnCA), others)
	switch {
	case err != nil:
		return nil, err
	case !needed && !c.record.Put:
		return nil, cmp.Or(refused, errNothing)
	}
	if err := c.checkHost(); err != nil {
		return nil, err
	}
	content.Owner = w.content.Owner
	w.content = content
	w.facts = facts{Primary: s.self.Datacenter, Through: item.GetMode() == resource.ModeMeshGateway}
	if w.facts.CAs, err = subjects(content.CA); err != nil {
		return nil, err
	}
	return w, nil
}

// files are the paths for a drop-in; none without a host.
func (c *courier) files() federation.TLSFiles {
	if c.host == nil {
		return federation.TLSFiles{}
	}
	return c.host.Files()
}

// idle is the state of a host to which nothing is to be brought now.
func (c *courier) idle() string {
	given := c.record.Put || c.record.Written > 0
	switch {
	case c.wanted != "" && c.wanted != c.record.UID:
		return resource.DeliveryNone
	case c.record.Left:
		return resource.DeliveryRemoved
	case c.record.Out:
		return resource.DeliveryWritten
	case given && c.record.Applied == c.record.Written:
		return resource.DeliveryApplied
	case given:
		return resource.DeliveryWritten
	}
	return resource.DeliveryNone
}

// stateOf is the state of a host for which something stands in the way.
func (c *courier) stateOf(err error) string {
	switch fault.CodeOf(err) {
	case fault.Refused, fault.Denied, fault.Invalid:
		return resource.DeliveryRefused
	case fault.Unavailable, fault.Timeout, fault.Canceled, fault.Conflict, fault.NotFound:
		return c.idle()
	default:
		return resource.DeliveryFailed
	}
}

// report is about this host, whatever is wanted of it.
func (c *courier) report(ctx context.Context, s situation) *isthmusv1.DeliveryReport {
	report := &isthmusv1.DeliveryReport{
		AllowJoin: len(c.federation.AllowJoin) > 0, CanWrite: c.host != nil && c.host.CanWrite(), CanRestart: c.host != nil && c.host.CanRestart(),
		OwnCa: c.ownCA(),
		Host:  &isthmusv1.FederationHost{Agent: c.self.name(), Host: c.hostName},
	}
	for _, i := range s.state.GetItems() {
		switch f := i.GetFederationSecondary(); {
		case f != nil:
			report.Uid, report.AllowJoin = f.GetUid(), c.federation.joins(f.GetPrimary())
			if report.GetAllowJoin() {
				report.OwnCaSignature = c.vouch(f.GetUid(), resource.RoleSecondary, report.GetOwnCa())
			}
			if f.GetKeyless() && !f.GetDelete() {
				report.Host.Csr, report.Host.CsrSignature = c.request(f.GetUid(), s.consulDatacenter())
			}
		case i.GetFederationPrimary() != nil:
			report.Uid = i.GetFederationPrimary().GetUid()
			report.OwnCaSignature = c.vouch(report.GetUid(), resource.RolePrimary, report.GetOwnCa())
		}
	}
	c.look(ctx, s, report.GetUid() != "")
	report.Host.TrustedCas = c.sight.trusted
	if !c.sight.expires.IsZero() {
		report.Host.CertificateExpireTime = timestamppb.New(c.sight.expires)
	}
	return report
}

// newHost is where this host's Consul server reads its configuration; nil: nowhere that the flags name.
func newHost(config Config) (delivery.Host, error) {
	f := config.Federation
	if f.Kubernetes.Enabled() {
		return newKubernetesHost(config)
	}
	if f.ConfigDir == "" && f.GatewayTokenFile == "" {
		return nil, nil //nolint:nilnil // nothing may be written
	}
	return delivery.NewFiles(delivery.FilesConfig{
		Dir: f.ConfigDir, ReloadCommand: f.ReloadCommand, RestartCommand: f.RestartCommand, GatewayTokenFile: f.GatewayTokenFile,
		PendingFile: filepath.Join(config.DataDir, filePending), Log: config.Log.Named("delivery"),
	})
}
