package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/server/limit"
	"isthmus/server/session"
)

// Where a server listens when nothing else is said.
const (
	DefaultHTTPAddr = "127.0.0.1:8700"
	DefaultGRPCAddr = "127.0.0.1:8701"
)

// DefaultRenewalWindow is how long after its end a certificate may still be renewed: no outage of the control plane
// shorter than this locks an agent out.
const DefaultRenewalWindow = 90 * 24 * time.Hour

// Config is what `isthmus server` can be told. The zero value is a working server on SQLite. The YAML keys are the
// flags' names in lowerCamelCase, the environment's are ISTHMUS_ and the flags' names in capitals.
type Config struct {
	// DataDir holds the SQLite database, the server key (SQLite only) and admin.token.
	// Default: isthmus/server below $XDG_DATA_HOME or ~/.local/share.
	DataDir string `yaml:"dataDir"`
	// Store is a PostgreSQL URL (postgres://…). Empty: SQLite in DataDir.
	Store string `yaml:"store"`
	// ServerKeyFile holds the key that opens the store's secrets. Default: DataDir/server.key, which SQLite makes when it
	// is not there; with PostgreSQL it is made only together with a new database, since all replicas need the same one.
	ServerKeyFile string `yaml:"serverKeyFile"`

	// HTTPAddr is where REST listens. Port 0 takes a free one; see Server.HTTPAddr.
	HTTPAddr string `yaml:"httpAddr"`
	// HTTPCertFile and HTTPKeyFile (PEM) turn TLS on for REST; changed files are picked up within a minute.
	HTTPCertFile string `yaml:"httpCertFile"`
	HTTPKeyFile  string `yaml:"httpKeyFile"`
	// HTTPAllowPlain lets REST listen beyond loopback without TLS, for a proxy in front that has it.
	HTTPAllowPlain bool `yaml:"httpAllowPlain"`

	// GRPCAddr is where gRPC (agents and CLI) listens, always with TLS.
	GRPCAddr string `yaml:"grpcAddr"`
	// GRPCCertFile and GRPCKeyFile (PEM) replace the certificate that the server's own CA issues. It must chain to a
	// root that agents know by the join token's fingerprint: the file ends with that root.
	GRPCCertFile string `yaml:"grpcCertFile"`
	GRPCKeyFile  string `yaml:"grpcKeyFile"`
	// GRPCHosts are further names and addresses that the server's own certificate carries, besides localhost, this
	// host's name, the address listened on and that of GRPCAdvertise.
	GRPCHosts []string `yaml:"grpcHosts"`
	// GRPCAdvertise is the host:port that agents are told to dial. Default: the address listened on, with this host's
	// name in place of an address that means everywhere.
	GRPCAdvertise string `yaml:"grpcAdvertise"`

	// RenewalWindow is how long after its end an agent's certificate may still be renewed. Default: 90 days.
	RenewalWindow time.Duration `yaml:"renewalWindow"`
	// SessionIdle is how long a login in the dashboard lasts when nobody uses it; no login lasts longer than 12 hours.
	// Default: 30 minutes.
	SessionIdle time.Duration `yaml:"sessionIdle"`
	// KeepChanges is how many changes the watch feed keeps; a reader below that reloads. Default: 100,000.
	KeepChanges int `yaml:"keepChanges"`
	// Limits are what the server takes on at a time; zero is the default of each.
	Limits limit.Limits `yaml:",inline"`

	// Version is the binary's, as shown by GetServer.
	Version string `yaml:"-"`
	// Log gets everything that is logged; nil discards it.
	Log hclog.Logger `yaml:"-"`
	// Now is the clock; nil is the machine's.
	Now func() time.Time `yaml:"-"`
}

// defaultKeepChanges is the watch feed's length: enough for a reader that was away for minutes of heavy change.
const defaultKeepChanges = 100_000

// withDefaults fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		dir, err := defaultDataDir()
		if err != nil {
			return c, err
		}
		c.DataDir = dir
	}
	defaultString(&c.ServerKeyFile, filepath.Join(c.DataDir, "server.key"))
	defaultString(&c.HTTPAddr, DefaultHTTPAddr)
	defaultString(&c.GRPCAddr, DefaultGRPCAddr)
	defaultString(&c.Version, "dev")
	if c.RenewalWindow == 0 {
		c.RenewalWindow = DefaultRenewalWindow
	}
	if c.SessionIdle == 0 {
		c.SessionIdle = session.DefaultIdle
	}
	if c.KeepChanges == 0 {
		c.KeepChanges = defaultKeepChanges
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

func defaultString(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func defaultDataDir() (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "there is no home directory to keep data in: set --data-dir")
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "isthmus", "server"), nil
}

// Validate tells everything that is wrong, at once: an Invalid fault with one violation for each problem.
func (c Config) Validate() error {
	var v []fault.Violation
	add := func(field, format string, args ...any) {
		v = append(v, fault.Violation{Field: field, Reason: "Invalid", Message: fmt.Sprintf(format, args...)})
	}
	if c.Store != "" {
		u, err := url.Parse(c.Store)
		if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
			add("store", "is not a PostgreSQL URL; expected postgres://user@host:port/database, or nothing for SQLite")
		}
	}
	checkAddr(add, "httpAddr", c.HTTPAddr)
	checkAddr(add, "grpcAddr", c.GRPCAddr)
	checkAddr(add, "grpcAdvertise", c.GRPCAdvertise)
	checkPair(add, "http", c.HTTPCertFile, c.HTTPKeyFile)
	checkPair(add, "grpc", c.GRPCCertFile, c.GRPCKeyFile)
	if c.HTTPAddr != "" && c.HTTPCertFile == "" && !c.HTTPAllowPlain && !loopback(c.HTTPAddr) {
		add("httpAddr", "%s is reachable from other machines, and without TLS API tokens would cross the network in the "+
			"clear: set httpCertFile and httpKeyFile, listen on 127.0.0.1, or set httpAllowPlain when a proxy in front has TLS", c.HTTPAddr)
	}
	for i, host := range c.GRPCHosts {
		if host == "" || strings.ContainsAny(host, " /:") && net.ParseIP(host) == nil {
			add(fmt.Sprintf("grpcHosts[%d]", i), "%q is neither a host name nor an IP address", host)
		}
	}
	if c.RenewalWindow < 0 {
		add("renewalWindow", "%s is negative; expected a time like 2160h", c.RenewalWindow)
	}
	if c.SessionIdle < 0 || c.SessionIdle > session.Longest {
		add("sessionIdle", "%s is not a time up to 12h; expected for example 30m", c.SessionIdle)
	}
	if c.KeepChanges < 0 {
		add("keepChanges", "%d is negative", c.KeepChanges)
	}
	for _, p := range c.Limits.Problems() {
		add(p.Setting, "%s", p.Message)
	}
	if len(v) == 0 {
		return nil
	}
	return fault.Violated(v...)
}

func checkAddr(add func(field, format string, args ...any), field, addr string) {
	if addr == "" {
		return
	}
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		add(field, "%q is not host:port", addr)
	}
}

func checkPair(add func(field, format string, args ...any), prefix, cert, key string) {
	if (cert == "") != (key == "") {
		add(prefix+"CertFile", "%sCertFile and %sKeyFile are set together or not at all", prefix, prefix)
		return
	}
	for _, file := range []struct{ field, path string }{{prefix + "CertFile", cert}, {prefix + "KeyFile", key}} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(file.path); err != nil {
			reason := "cannot be read"
			if errors.Is(err, os.ErrNotExist) {
				reason = "does not exist"
			}
			add(file.field, "%s %s", file.path, reason)
		}
	}
}

// loopback tells whether an address can be reached from this machine only. A name other than localhost is not
// resolved: what it points to may change.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
