package consulrun

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"isthmus/fault"
)

// certificateLife is longer than any demo or test runs.
const certificateLife = 365 * 24 * time.Hour

func (s *Server) configFile() string { return filepath.Join(s.Dir, "consul.json") }
func (s *Server) dataDir() string    { return filepath.Join(s.Dir, "data") }
func (s *Server) certFile() string   { return filepath.Join(s.Dir, "server.pem") }
func (s *Server) keyFile() string    { return filepath.Join(s.Dir, "server-key.pem") }

// writeConfig writes the server's configuration, which holds the gossip key and the management token: 0600.
func (s *Server) writeConfig() error {
	config := map[string]any{
		"datacenter": s.Datacenter, "node_name": s.Node, "data_dir": s.dataDir(),
		"server": true, "bootstrap_expect": 1,
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
		"encrypt":   s.GossipKey,
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
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny", "enable_token_persistence": false,
			"tokens": map[string]any{"initial_management": s.ManagementToken, "agent": s.ManagementToken},
		},
		"tls": map[string]any{
			"defaults": map[string]any{
				"ca_file": s.CAFile, "cert_file": s.certFile(), "key_file": s.keyFile(),
				"verify_incoming": true, "verify_outgoing": true,
			},
			"internal_rpc": map[string]any{"verify_server_hostname": true},
			"https":        map[string]any{"verify_incoming": false},
			"grpc":         map[string]any{"verify_incoming": false},
		},
		"ports": map[string]any{
			"http": -1, "dns": -1, "grpc": -1,
			"https": s.ports.https(), "grpc_tls": s.ports.grpcTLS(), "server": s.ports.rpc(),
			"serf_lan": s.ports.serfLAN(), "serf_wan": s.ports.serfWAN(),
		},
	}
	if s.Socket != "" {
		config["addresses"] = map[string]any{"http": "unix://" + s.Socket}
		// Any port but -1 switches the listener on; a socket has none.
		config["ports"].(map[string]any)["http"] = 1 //nolint:forcetypeassert // written above
	}
	maps.Copy(config, s.options.Config)
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding Consul's configuration")
	}
	return writeSecret(s.configFile(), text)
}

// renewCertificates makes a new CA and the server's certificate under it. The CA's key is forgotten: nothing else is ever
// issued by it.
func (s *Server) renewCertificates() error {
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a CA key")
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "Consul CA of " + s.Datacenter},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a CA")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a server key")
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1),
		Subject:      pkix.Name{CommonName: "server." + s.Datacenter + ".consul"},
		DNSNames:     []string{"server." + s.Datacenter + ".consul", s.Node + ".server." + s.Datacenter + ".consul", "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a server certificate")
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding a server key")
	}
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{
		{s.CAFile, "CERTIFICATE", caDER}, {s.certFile(), "CERTIFICATE", leafDER}, {s.keyFile(), "PRIVATE KEY", keyDER},
	} {
		if err := writeSecret(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})); err != nil {
			return err
		}
	}
	return nil
}

func writeSecret(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fault.Wrap(fault.Internal, err, "writing %s", path)
	}
	return nil
}
