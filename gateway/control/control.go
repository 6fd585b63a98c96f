// Package control tells a gateway its routes, and others of the gateway: it unites what the flags say with what the local Consul knows
// and what the control plane pushes, keeps the gateway registered in Consul as a mesh gateway, and reports how it is.
//
//	flags ────────────────────────────┐
//	Consul ─▶ watches ─▶ facts.routes ┼─▶ NewTable ─▶ Gateway.Replace, when it is another one
//	   ▲                              │
//	   └── registration   server ─────┘ (remembered on disk)
//	                         ▲ report
//
// Each source may be absent and may come and go; what it said last counts until it says otherwise. Of one name, the addresses of flags
// come before those of Consul, and these before pushed ones; all are tried.
//
// Owns: which names lead where, when the gateway is registered and when it is taken out again. Does not own: how connections are passed
// on (gateway), how Consul is asked (agent/consul), how the server is followed (agent.Follower).
// Start reading at Control.Run; facts.routes is the list of names.
package control

import (
	"cmp"
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/gateway"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// DefaultServiceName is that of Consul's own mesh gateways.
const DefaultServiceName = "mesh-gateway"

// Follower is the way to the control plane: agent.Follower.
type Follower interface {
	// Run tells apply of the last desired state known and of each new one until ctx ends. An error is final: the server will not have us.
	Run(ctx context.Context, apply func(state *isthmusv1.DesiredState)) error
	// Report takes what is to be told, and returns at once.
	Report(r *isthmusv1.ReportRequest)
	// Enrolled tells whether the server has known us.
	Enrolled() bool
}

// Config is what a Control works with. All but Replace may be absent.
type Config struct {
	// Replace gives the gateway another table.
	Replace func(table *gateway.Table)
	// Fixed are the routes that the gateway was started with; they are in its table already.
	Fixed []gateway.Entry
	// Consul is where the gateway is registered and where routes come from; nil: nowhere.
	Consul *consul.Client
	// Follower is the way to the control plane; nil: there is none.
	Follower Follower
	// LAN and WAN are host:port of the gateway, as its datacenter and the others dial it.
	LAN, WAN string
	// ServiceName is what it is registered as. Default: DefaultServiceName.
	ServiceName string
	// Leave says when it is taken out of Consul at the end. Default: LeaveUnlessLast.
	Leave Leave
	Log   hclog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Validate tells everything that is wrong, at once.
func (c Config) Validate() error {
	var v []fault.Violation
	need := func(field, address, why string) {
		host, port, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || host == "" || port == "" || port == "0" || ip != nil && ip.IsUnspecified() {
			v = append(v, fault.Violation{Field: field, Reason: "Invalid", Message: "\"" + address + "\" is not a host:port that others can dial: " + why})
		}
	}
	if c.Consul != nil || c.WAN != "" {
		need("lanAddress", c.LAN, "this datacenter's servers dial it")
		need("wanAddress", c.WAN, "other datacenters dial it")
	}
	switch c.Leave {
	case "", LeaveUnlessLast, LeaveAlways, LeaveNever:
	default:
		v = append(v, fault.Violation{Field: "leave", Reason: "Invalid", Message: "is one of " + strings.Join(Leaves(), ", ")})
	}
	if len(v) > 0 {
		return fault.Violated(v...)
	}
	return nil
}

// Control is the gateway's link to Consul and to the control plane.
type Control struct {
	config Config
	log    hclog.Logger
	self   consul.MeshGateway

	// adrift is how many times in a row the catalog did not say of the gateway what it should; of attend alone.
	adrift int

	mu     sync.Mutex
	facts  facts
	pushed []gateway.Entry
	// wanted is the Consul datacenter that the control plane takes this gateway for; empty: it has not said.
	wanted     string
	registered bool
	// problems are what does not work, by what was being done.
	problems map[string]error
	entries  []gateway.Entry
	// refused are the names that each source gives now and that cannot be routes.
	refused map[string]map[string]bool
}

// New makes one. Nothing runs until Run.
func New(config Config) (*Control, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config.ServiceName = cmp.Or(config.ServiceName, DefaultServiceName)
	config.Leave = cmp.Or(config.Leave, LeaveUnlessLast)
	if config.Log == nil {
		config.Log = hclog.NewNullLogger()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	table, err := gateway.NewTable(config.Fixed)
	if err != nil {
		return nil, err
	}
	return &Control{
		config: config, log: config.Log, problems: map[string]error{}, refused: map[string]map[string]bool{}, entries: table.Entries(),
		self: consul.MeshGateway{
			ID:   config.ServiceName + "-" + strings.NewReplacer(":", "-", "[", "", "]", "").Replace(config.LAN),
			Name: config.ServiceName, LAN: config.LAN, WAN: config.WAN,
		},
	}, nil
}

// Run works until ctx ends; then it takes the gateway out of Consul, if that is what Leave says, and returns nil. The only error is that
// of a control plane which will not have a gateway that never enrolled. One that it had before goes on with what it knows: connections
// are not the control plane's to end.
func (c *Control) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	c.compose() // the first report, and a table without ourselves
	if c.config.Follower != nil {
		g.Go(func() error { return c.follow(running) })
	}
	if c.config.Consul != nil {
		g.Go(func() error {
			c.attend(running)
			return nil
		})
	}
	<-running.Done()
	err := g.Wait()
	if c.config.Consul != nil {
		c.leave(context.WithoutCancel(ctx))
	}
	return err //nolint:wrapcheck // it says what it was doing
}

func (c *Control) follow(ctx context.Context) error {
	err := c.config.Follower.Run(ctx, c.receive)
	if err == nil || !c.config.Follower.Enrolled() {
		return err //nolint:wrapcheck // it says what it was doing
	}
	c.log.Error("the control plane will not have this gateway any more; going on with the routes that it has", "error", err)
	return nil
}

// receive takes a desired state.
func (c *Control) receive(state *isthmusv1.DesiredState) {
	var pushed, refused []gateway.Entry
	for _, item := range state.GetItems() {
		for _, r := range item.GetGatewayRoutes().GetRoutes() {
			e := gateway.Entry{Pattern: strings.ToLower(r.GetPattern()), Kind: gateway.KindFederation, Addresses: r.GetAddresses()}
			if r.GetKind() == string(gateway.KindPeering) {
				e.Kind = gateway.KindPeering
			}
			if e.Wrong() == "" {
				pushed = append(pushed, e)
			} else {
				refused = append(refused, e)
			}
		}
	}
	c.mu.Lock()
	c.pushed, c.wanted = pushed, state.GetConsulDatacenter()
	c.refuse("the control plane", refused)
	c.mu.Unlock()
	c.compose()
}

// compose unites all sources, gives the gateway the table when it is another one, and reports.
func (c *Control) compose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	routes, refused := c.facts.routes()
	c.refuse("Consul", refused)
	table, err := gateway.NewTable(c.elsewhere(c.config.Fixed), c.elsewhere(routes), c.elsewhere(c.pushed))
	if err != nil {
		c.log.Error("the routes cannot be united", "error", err) // each was looked at before
		return
	}
	if entries := table.Entries(); !reflect.DeepEqual(entries, c.entries) {
		c.entries = entries
		c.config.Replace(table)
	}
	c.report()
}

// elsewhere leaves out addresses of this gateway itself: whatever said so, a connection would go round until there are too many.
func (c *Control) elsewhere(entries []gateway.Entry) []gateway.Entry {
	out := make([]gateway.Entry, 0, len(entries))
	for _, e := range entries {
		here := func(address string) bool { return address == c.self.LAN || address == c.self.WAN }
		if slices.ContainsFunc(e.Addresses, here) {
			e.Addresses = slices.DeleteFunc(slices.Clone(e.Addresses), here)
		}
		if len(e.Addresses) > 0 {
			out = append(out, e)
		}
	}
	return out
}

// refuse logs routes that cannot be, once each for as long as a source gives them. c.mu is held.
func (c *Control) refuse(source string, entries []gateway.Entry) {
	now := map[string]bool{}
	for _, e := range entries {
		if now[e.Pattern] = true; !c.refused[source][e.Pattern] {
			c.log.Warn("a route is left out", "name", e.Pattern, "from", source, "because", e.Wrong())
		}
	}
	c.refused[source] = now
}

// report says how the gateway is. c.mu is held.
func (c *Control) report() {
	if c.config.Follower == nil {
		return
	}
	r := &isthmusv1.GatewayReport{
		LanAddress: c.config.LAN, WanAddress: c.config.WAN, Registered: c.registered, Routes: int32(min(len(c.entries), 1<<30)),
	}
	if err := c.problem(); err != nil {
		r.ErrorReason, r.Error = reasonOf(err), err.Error()
		if f, ok := errors.AsType[*fault.Error](err); ok {
			r.Error = f.Message
		}
	}
	c.config.Follower.Report(&isthmusv1.ReportRequest{Gateway: r})
}
