// Package consulrun runs real Consul servers as child processes: by default each is a datacenter of its own with TLS, gossip
// encryption and ACLs with default deny, on free ports of the loopback interface, without root. Several may form one datacenter, and one
// may be prepared only: installed and not configured, for who configures it.
//
// Owns: finding the Consul binary, the server's configuration, certificates and ports, the commands that restart and reload it.
// Does not own: the child process (demo/child), what isthmus does with Consul (agent/consul), the *testing.T wrapper (test/consultest), the demo's story.
// It speaks Consul's HTTP API by itself, in a few plain calls, so that demo and tests can play the human beside isthmus.
// Start reading at Start.
package consulrun

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"isthmus/demo/child"
	"isthmus/fault"
)

const (
	// startTimeout is ten times what a start takes on a busy machine with two cores.
	startTimeout = 60 * time.Second
	// stopTimeout is how long a server may take to end by itself before it is killed.
	stopTimeout = 10 * time.Second
	// startAttempts is how often other ports are tried when somebody else took one meanwhile.
	startAttempts = 5
	// pollInterval is how often a starting server is asked whether it is ready.
	pollInterval = 50 * time.Millisecond
)

// Options say which server to run.
type Options struct {
	// Binary is the consul to run. Default: what Binary finds.
	Binary string
	// Dir holds everything that the server writes; made when it is missing, never removed.
	Dir string
	// Datacenter is Consul's name for it.
	Datacenter string
	// NodeName is the server's node name. Default: the datacenter's name with -server behind it.
	NodeName string
	// UnixSocket adds an HTTP listener on Server.Socket.
	UnixSocket bool
	// Address is what the server binds to and tells others. Default: 127.0.0.1.
	Address string
	// Network is where it runs, at Consul's usual ports; its API is on Server.Socket only. Default: the network of this process.
	Network Network
	// Join makes it one more server of that one's datacenter.
	Join *Server
	// CA gives it a certificate of that server's CA. Default: a CA of its own.
	CA *Server
	// Prepared leaves out TLS, ACLs and the gossip key, and starts nothing: all that comes into Server.ConfigDir, and then the
	// restart command starts it. Its API is on Server.Socket only.
	Prepared bool
	// Config is laid over the top level of the generated configuration, for what a test needs.
	Config map[string]any
	// Log is told what happens to the process. Default: nothing is logged.
	Log hclog.Logger
}

// Network is a network other than that of this process.
type Network interface {
	// Command is what runs a program in it.
	Command(binary string, args []string) (string, []string)
	// Dial connects to an address as seen from it.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is a running (or stopped) Consul server. Its methods may be called from several goroutines.
type Server struct {
	// Datacenter, Node and Dir are what it runs as, and where.
	Datacenter string
	Node       string
	Dir        string
	// Address is what it binds to.
	Address string
	// HTTPAddr is the API's URL: https://127.0.0.1:PORT; empty when the API is on Socket only.
	HTTPAddr string
	// Socket is the path of the API's unix socket; empty when there is none.
	Socket string
	// ConfigDir is a directory that the server reads its configuration from, after what is generated: the last word counts.
	ConfigDir string
	// CAFile holds the CA of the server's certificate (not the mesh CA), as PEM, and CAKeyFile its key. Wipe writes a new one into them.
	CAFile, CAKeyFile string
	// LogFile is Consul's own log.
	LogFile string
	// ManagementToken may do everything; whoever makes the server a secondary sets the primary's, which is the one that counts then.
	ManagementToken string
	// GossipKey encrypts the datacenter's gossip, until somebody changes it.
	GossipKey string

	binary  string
	options Options
	log     hclog.Logger
	// initialManagement is the token that the datacenter began with.
	initialManagement string

	mu    sync.Mutex
	ports *ports
	// base and serfLAN are of ports, also when these were given back.
	base, serfLAN int
	process       *child.Process
	control       *control
	tokens        []tokenRecord
	// client is replaced with the CA; Call reads it while the server is being started again.
	client atomic.Pointer[http.Client]
}

// Start runs a new server and waits until it has a leader, ACLs and a mesh CA; a prepared one it does not run. When it fails,
// nothing is left running. The server outlives ctx, which bounds the start only; on Linux it never outlives this process.
func Start(ctx context.Context, options Options) (*Server, error) {
	s, err := newServer(ctx, options)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		err = s.startOnPorts(ctx)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == startAttempts {
			return nil, err
		}
		s.log.Debug("a port was taken meanwhile, trying others", "datacenter", s.Datacenter, "attempt", attempt)
	}
}

func newServer(ctx context.Context, options Options) (*Server, error) {
	if options.Dir == "" || options.Datacenter == "" {
		return nil, fault.New(fault.Invalid, "a Consul server needs a directory and a datacenter")
	}
	binary := options.Binary
	if binary == "" {
		found, err := Binary(ctx)
		if err != nil {
			return nil, err
		}
		binary = found
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "resolving %s", options.Dir)
	}
	s := &Server{
		Datacenter: options.Datacenter, Node: cmp.Or(options.NodeName, options.Datacenter+"-server"), Dir: dir,
		Address: cmp.Or(options.Address, "127.0.0.1"), ConfigDir: filepath.Join(dir, "config.d"),
		CAFile: filepath.Join(dir, "ca.pem"), CAKeyFile: filepath.Join(dir, "ca-key.pem"), LogFile: filepath.Join(dir, "consul.log"),
		binary: binary, options: options, log: options.Log,
	}
	if err := os.MkdirAll(s.ConfigDir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making %s", s.ConfigDir)
	}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	if options.UnixSocket || s.socketOnly() {
		s.Socket = filepath.Join(dir, "http.sock")
	}
	return s, s.makeSecrets()
}

// makeSecrets makes the gossip key and the management token, or takes those of the datacenter that it joins.
func (s *Server) makeSecrets() error {
	if sibling := s.options.Join; sibling != nil {
		s.GossipKey, s.ManagementToken, s.initialManagement = sibling.GossipKey, sibling.ManagementToken, sibling.initialManagement
		return nil
	}
	if s.options.Prepared {
		return nil
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fault.Wrap(fault.Internal, err, "making a gossip key")
	}
	s.GossipKey, s.initialManagement = base64.StdEncoding.EncodeToString(key), uuid.NewString()
	s.ManagementToken = s.initialManagement
	return nil
}

// socketOnly: an HTTPS listener needs a certificate, and a network in which we can dial it.
func (s *Server) socketOnly() bool { return s.options.Prepared || s.options.Network != nil }

func (s *Server) startOnPorts(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ports, err := s.choosePorts()
	if err != nil {
		return err
	}
	s.ports, s.base, s.serfLAN = ports, ports.base, ports.serfLAN
	if !s.socketOnly() {
		s.HTTPAddr = "https://127.0.0.1:" + strconv.Itoa(ports.https)
	}
	if s.control == nil {
		s.control, err = s.listenForCommands()
	}
	switch {
	case err != nil:
	case s.options.Prepared:
		s.client.Store(s.newClient())
		return s.writeConfig()
	default:
		if err = s.renewCertificates(); err == nil {
			err = s.run(ctx)
		}
	}
	if err != nil {
		return errors.Join(err, s.release())
	}
	return nil
}

func (s *Server) choosePorts() (*ports, error) {
	if s.options.Network != nil {
		return usualPorts(), nil
	}
	return reservePorts(s.Address)
}

// run starts the process with what is on disk and waits until it serves.
func (s *Server) run(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	if err := s.await(ctx, s.ready); err != nil {
		return errors.Join(err, s.end(stopTimeout))
	}
	return nil
}

// launch starts the process with what is on disk.
func (s *Server) launch() error {
	if err := s.writeConfig(); err != nil {
		return err
	}
	s.client.Store(s.newClient())
	binary, args := s.binary, []string{"agent", "-config-file", s.configFile(), "-config-dir", s.ConfigDir}
	if s.options.Network != nil {
		binary, args = s.options.Network.Command(binary, args)
	}
	p, err := child.Start(child.Options{Name: "Consul of " + s.Datacenter, Binary: binary, Args: args, LogFile: s.LogFile})
	if err != nil {
		return err
	}
	s.process = p
	s.log.Debug("started Consul", "datacenter", s.Datacenter, "node", s.Node, "pid", p.PID())
	return nil
}

// await asks again and again, until there is no error. A process that ends meanwhile is one.
func (s *Server) await(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		if last = ask(ctx); last == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return s.process.Ended()
		case <-ctx.Done():
			return fault.Wrap(fault.Timeout, errors.Join(last, ctx.Err()), "Consul of %s did not become ready; see %s", s.Datacenter, s.LogFile)
		case <-tick.C:
		}
	}
}

// ready asks for one thing of each subsystem that later calls need: Raft's leader, ACLs (the catalog is empty to a token
// that does not resolve), the mesh CA, without which no peering token can be made, and the listener for peers.
func (s *Server) ready(ctx context.Context) error {
	var leader string
	if err := s.call(ctx, s.ManagementToken, http.MethodGet, "/v1/status/leader", nil, &leader); err != nil {
		return err
	}
	var nodes []struct{ Node string }
	if err := s.call(ctx, s.ManagementToken, http.MethodGet, "/v1/catalog/service/consul", nil, &nodes); err != nil {
		return err
	}
	var roots struct{ ActiveRootID, TrustDomain string }
	if err := s.call(ctx, s.ManagementToken, http.MethodGet, "/v1/connect/ca/roots", nil, &roots); err != nil {
		return err
	}
	if leader == "" || len(nodes) == 0 || roots.ActiveRootID == "" {
		return fault.New(fault.Unavailable, "leader %q, %d servers in the catalog, mesh CA root %q", leader, len(nodes), roots.ActiveRootID)
	}
	return s.acceptsPeers(ctx, roots.TrustDomain)
}

// acceptsPeers shakes hands as a peer does. A new server refuses the name for some seconds, until the mesh CA has given it a
// certificate for it.
func (s *Server) acceptsPeers(ctx context.Context, trustDomain string) error {
	conn, err := s.dial(ctx, "tcp", hostPort(s.Address, s.ports.grpcTLS))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the listener for peers does not answer yet")
	}
	defer conn.Close()
	greeting := tls.Client(conn, &tls.Config{
		ServerName:         "server." + s.Datacenter + ".peering." + trustDomain,
		NextProtos:         []string{"h2"},
		InsecureSkipVerify: true, //nolint:gosec // only whether it answers to the name is asked
	})
	if err := greeting.HandshakeContext(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the listener for peers does not answer to its name yet")
	}
	return nil
}

// dial connects to an address as seen from where the server runs.
func (s *Server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.options.Network != nil {
		return s.options.Network.Dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Stop ends the server: gracefully, or by force after ten seconds. The ports are given back, and nobody answers to the commands;
// the data stays. Stopping a stopped server is no error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.end(stopTimeout), s.release())
}

// Kill ends the server as kill -9 does. The ports stay reserved for Restart.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(0)
}

// Restart stops the server if it runs, and starts it with the same data on the same ports (others only after Stop, when
// somebody took them).
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(stopTimeout); err != nil {
		return err
	}
	if err := s.reclaim(); err != nil {
		return err
	}
	return s.run(ctx)
}

// Wipe is what a reinstalled datacenter looks like: same addresses and tokens, but no data, another CA for TLS (in the
// same file) and another mesh trust domain.
func (s *Server) Wipe(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(stopTimeout); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dataDir()); err != nil {
		return fault.Wrap(fault.Internal, err, "removing the data of %s", s.Datacenter)
	}
	if err := errors.Join(s.reclaim(), s.renewCertificates()); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return err
	}
	for _, t := range s.tokens {
		if err := s.createToken(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// PID is the process id of the server that runs; 0 when none does. After a restart it is another one.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.PID()
}

// Pause stops the process where it is (SIGSTOP): connections stay open and nothing answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fault.New(fault.Refused, "Consul of %s is not running", s.Datacenter)
	}
	return s.process.Signal(sig)
}

// Env is what a program needs in its environment to reach this Consul with a token: the usual CONSUL_ variables.
func (s *Server) Env(token string) []string {
	if s.Socket != "" {
		return []string{"CONSUL_HTTP_ADDR=unix://" + s.Socket, "CONSUL_HTTP_TOKEN=" + token}
	}
	return []string{
		"CONSUL_HTTP_ADDR=" + s.HTTPAddr,
		"CONSUL_HTTP_TOKEN=" + token,
		"CONSUL_CACERT=" + s.CAFile,
	}
}

// end stops the process, by force when it does not end within grace. s.mu is held.
func (s *Server) end(grace time.Duration) error {
	if s.process == nil {
		return nil
	}
	err := s.process.End(grace)
	s.process = nil
	s.client.Load().CloseIdleConnections()
	s.log.Debug("ended Consul", "datacenter", s.Datacenter)
	return err
}

// release gives back the ports and the pipe for commands. s.mu is held.
func (s *Server) release() error {
	var err error
	if s.ports != nil {
		err = s.ports.release()
		s.ports = nil
	}
	if s.control != nil {
		err = errors.Join(err, s.control.close())
		s.control = nil
	}
	return err
}

// reclaim makes sure that the ports of before are ours again, and that commands are heard. s.mu is held.
func (s *Server) reclaim() error {
	if s.control == nil {
		c, err := s.listenForCommands()
		if err != nil {
			return err
		}
		s.control = c
	}
	if s.ports != nil {
		return nil
	}
	if s.options.Network != nil {
		s.ports = usualPorts()
		return nil
	}
	ports, err := reserveBlock(s.Address, s.base)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the ports of %s were taken by others after Stop", s.Datacenter)
	}
	s.ports = ports
	return nil
}
