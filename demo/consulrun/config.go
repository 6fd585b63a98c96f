package consulrun

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"

	"isthmus/fault"
)

func (s *Server) configFile() string { return filepath.Join(s.Dir, "consul.json") }
func (s *Server) dataDir() string    { return filepath.Join(s.Dir, "data") }
func (s *Server) certFile() string   { return filepath.Join(s.Dir, "server.pem") }
func (s *Server) keyFile() string    { return filepath.Join(s.Dir, "server-key.pem") }

// writeConfig writes the server's configuration, which holds the gossip key and the management token: 0600.
func (s *Server) writeConfig() error {
	config := s.baseConfig()
	if !s.options.Prepared {
		s.secure(config)
	}
	if sibling := s.options.Join; sibling != nil {
		config["retry_join"] = []string{hostPort(sibling.Address, sibling.serfLAN)}
		config["retry_interval"] = "1s"
	} else {
		config["bootstrap_expect"] = 1
	}
	maps.Copy(config, s.options.Config)
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding Consul's configuration")
	}
	return writeSecret(s.configFile(), text)
}

// baseConfig is what a server needs that holds no secret.
func (s *Server) baseConfig() map[string]any {
	listeners := map[string]any{
		"http": -1, "https": -1, "dns": -1, "grpc": -1,
		"grpc_tls": s.ports.grpcTLS, "server": s.ports.rpc, "serf_lan": s.ports.serfLAN, "serf_wan": s.ports.serfWAN,
	}
	// Peers come to the address that the server tells them.
	addresses := map[string]any{"grpc_tls": s.Address}
	if s.Socket != "" {
		addresses["http"] = "unix://" + s.Socket
		// Any port but -1 switches the listener on; a socket has none.
		listeners["http"] = 1
	}
	if !s.socketOnly() {
		listeners["https"] = s.ports.https
	}
	return map[string]any{
		"datacenter": s.Datacenter, "node_name": s.Node, "data_dir": s.dataDir(), "server": true,
		"bind_addr": s.Address, "client_addr": "127.0.0.1", "addresses": addresses, "ports": listeners,
		"log_level": "INFO",
		// Stopping one server is an outage here, not its retirement.
		"skip_leave_on_interrupt": true, "leave_on_terminate": false,
		"disable_update_check": true,
		// One server has no distances to measure; and until the first peering, every write takes from the budget (one in
		// five seconds) with which Consul begins peerings' streams.
		"disable_coordinates": true,
		"performance":         map[string]any{"raft_multiplier": 1},
		"connect":             map[string]any{"enabled": true},
		"peering":             map[string]any{"enabled": true},
	}
}

// secure adds gossip encryption, ACLs and TLS.
func (s *Server) secure(config map[string]any) {
	config["encrypt"] = s.GossipKey
	config["acl"] = map[string]any{
		"enabled": true, "default_policy": "deny", "enable_token_persistence": false,
		"tokens": map[string]any{"initial_management": s.initialManagement, "agent": s.initialManagement},
	}
	config["tls"] = map[string]any{
		"defaults": map[string]any{
			"ca_file": s.CAFile, "cert_file": s.certFile(), "key_file": s.keyFile(),
			"verify_incoming": true, "verify_outgoing": true,
		},
		"internal_rpc": map[string]any{"verify_server_hostname": true},
		"https":        map[string]any{"verify_incoming": false},
		"grpc":         map[string]any{"verify_incoming": false},
	}
}

func writeSecret(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	return nil
}
