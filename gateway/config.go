package gateway

import (
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
)

// What a gateway does when nothing else is said.
const (
	// DefaultListen is the port of Consul's own mesh gateways.
	DefaultListen = "0.0.0.0:8443"
	// DefaultHelloTimeout is many times what a client on the other side of the world takes.
	DefaultHelloTimeout = 5 * time.Second
	// DefaultDialTimeout has room for a lost SYN, which is sent again after a second and after three.
	DefaultDialTimeout = 4 * time.Second
	// DefaultIdleTimeout is Envoy's. Consul's own connections say something every 30 s.
	DefaultIdleTimeout = time.Hour
	// DefaultDrainTimeout ends before Kubernetes kills (30 s). Consul's servers keep their connections as long as they may.
	DefaultDrainTimeout = 20 * time.Second
)

// Config is what a gateway can be told. The zero value works.
type Config struct {
	// Listen is where TLS connections are accepted. Port 0 takes a free one; see Gateway.Addr.
	Listen string
	// MetricsAddr is where /metrics, /healthz and /readyz are served, in plain HTTP; empty: nowhere.
	MetricsAddr string
	// HelloTimeout is how long a client may take for its ClientHello.
	HelloTimeout time.Duration
	// DialTimeout is how long each address of a route is tried.
	DialTimeout time.Duration
	// IdleTimeout ends connections on which nothing moves, in neither direction.
	IdleTimeout time.Duration
	// DrainTimeout is how long connections may go on after the gateway was told to end.
	DrainTimeout time.Duration
	// MaxConnections is how many may be open; 0: as many as the limit of open files allows.
	MaxConnections int
	// SourceRate is how many connections per second one source address may open; 0: as many as it likes. Behind a gateway or a
	// NAT, a whole datacenter is one source.
	SourceRate int

	// Log gets everything that is logged; nil discards it.
	Log hclog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	for field, value := range map[*time.Duration]time.Duration{
		&c.HelloTimeout: DefaultHelloTimeout, &c.DialTimeout: DefaultDialTimeout,
		&c.IdleTimeout: DefaultIdleTimeout, &c.DrainTimeout: DefaultDrainTimeout,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = connectionsWithin(fileLimit())
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// connectionsWithin is how many connections of two descriptors each a limit of open files leaves room for, beside what the process
// itself and the pipes of maxSparePipes busy directions need.
func connectionsWithin(files uint64) int {
	const others = 2*maxSparePipes + 64
	const most = 1 << 20 // more than one process can serve; the limit may be "unlimited"
	return int(max(16, (min(files, 2*most)-min(files, others))/2))
}

// Validate tells everything that is wrong, at once.
func (c Config) Validate() error {
	var v []fault.Violation
	add := func(field, format string, args ...any) {
		v = append(v, fault.Violation{Field: field, Reason: "Invalid", Message: fmt.Sprintf(format, args...)})
	}
	for _, a := range []struct{ field, addr string }{{"listen", c.Listen}, {"metricsAddr", c.MetricsAddr}} {
		if _, port, err := net.SplitHostPort(a.addr); a.addr != "" && (err != nil || port == "") {
			add(a.field, "%q is not host:port", a.addr)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"helloTimeout", c.HelloTimeout},
		{"dialTimeout", c.DialTimeout},
		{"idleTimeout", c.IdleTimeout},
		{"drainTimeout", c.DrainTimeout},
	} {
		if d.value < 0 {
			add(d.field, "%s is negative; expected a time like 30s", d.value)
		}
	}
	if c.MaxConnections < 0 {
		add("maxConnections", "%d is negative", c.MaxConnections)
	}
	if c.SourceRate < 0 {
		add("sourceRate", "%d is negative", c.SourceRate)
	}
	if len(v) > 0 {
		return fault.Violated(v...)
	}
	return nil
}
