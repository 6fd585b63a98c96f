package federation

import (
	"bytes"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"time"

	"isthmus/fault"
	"isthmus/resource"
)

// Bundle is what one datacenter needs to join a federation: all secrets, so never logged, never stored but sealed. It is the
// plaintext of a payload of kind seal.KindFederationBundle, as JSON.
type Bundle struct {
	// Federation and UID are of the resource.
	Federation string `json:"federation"`
	UID        string `json:"uid"`
	// Mode is resource.ModeMeshGateway or ModeTraditional.
	Mode string `json:"mode"`
	// PrimaryDatacenter and Datacenter are Consul's names, of the primary and of whom it is for.
	PrimaryDatacenter string `json:"primaryDatacenter"`
	Datacenter        string `json:"datacenter"`
	// Domain is Consul's, without dots at its ends.
	Domain string `json:"domain"`
	// CACertificates are the PEM certificates of the CA of the servers' certificates, the one that signs first; others are trusted as
	// well while the CA changes.
	CACertificates []string `json:"caCertificates"`
	// CAKey is its key, PEM; empty when keyless.
	CAKey string `json:"caKey,omitempty"`
	// Certificates are the chains (PEM) for the keys that the secondary's agents made, by agent; keyless only.
	Certificates map[string]string `json:"certificates,omitempty"`
	// GossipKey is the primary's, base64; empty when gossip is not encrypted.
	GossipKey string `json:"gossipKey,omitempty"`
	// ACL: ACLs are on, and with them DefaultPolicy (allow or deny) and Tokens.
	ACL           bool   `json:"acl"`
	DefaultPolicy string `json:"defaultPolicy,omitempty"`
	Tokens        Tokens `json:"tokens"`
	// PrimaryGateways are host:port: what the secondary's servers dial; mode mesh-gateway only.
	PrimaryGateways []string `json:"primaryGateways,omitempty"`
	// RetryJoinWAN are host:port of the primary's servers in the WAN gossip; mode traditional only.
	RetryJoinWAN []string `json:"retryJoinWan,omitempty"`
	// RetryIntervalWAN is Consul's retry_interval_wan.
	RetryIntervalWAN string `json:"retryIntervalWan,omitempty"`
}

// Tokens are the ACL tokens (secret ids) that the primary's agent made for this secondary alone; empty without ACLs.
type Tokens struct {
	// Replication is what its servers replicate ACLs and config entries with. Consul wants acl:write and operator:write for it: whoever
	// has it is an administrator of the primary.
	Replication string `json:"replication,omitempty"`
	// Agent is its servers' own: acl.tokens.agent.
	Agent string `json:"agent,omitempty"`
	// Isthmus is its isthmus agents', Gateway its mesh gateways'.
	Isthmus string `json:"isthmus,omitempty"`
	Gateway string `json:"gateway,omitempty"`
}

// Encode is the bundle as JSON.
func (b *Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding a federation bundle")
	}
	return text, nil
}

// DecodeBundle reads what Encode made. Fields that this version does not know are refused: half a bundle is none.
func DecodeBundle(text []byte) (*Bundle, error) {
	b := &Bundle{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(b); err != nil {
		// The decoder's words quote what it read.
		return nil, fault.New(fault.Invalid, "this is not a federation bundle that this version knows")
	}
	return b, b.check()
}

func (b *Bundle) check() error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "federation bundle: "+format, args...)
	}
	switch {
	case b.UID == "" || b.Federation == "" || b.PrimaryDatacenter == "" || b.Datacenter == "" || b.Domain == "":
		return bad("it does not say whose it is")
	case b.PrimaryDatacenter == b.Datacenter:
		return bad("it is for the primary itself")
	case b.Mode != resource.ModeMeshGateway && b.Mode != resource.ModeTraditional:
		return bad("its mode is %q", b.Mode)
	case len(b.CACertificates) == 0:
		return bad("it has no CA certificate")
	case b.CAKey != "" && len(b.Certificates) > 0:
		return bad("it has both a CA key and certificates")
	case b.Mode == resource.ModeMeshGateway && len(b.PrimaryGateways) == 0:
		return bad("it names no gateway")
	case b.Mode == resource.ModeTraditional && len(b.RetryJoinWAN) == 0:
		return bad("it names no server to join")
	case b.ACL && (b.Tokens.Replication == "" || b.Tokens.Agent == ""):
		return bad("ACLs are on and it has no tokens")
	}
	for _, address := range append(append([]string{}, b.PrimaryGateways...), b.RetryJoinWAN...) {
		if !plainAddress(address) {
			return bad("%q is not host:port", address)
		}
	}
	return checkInterval(b.RetryIntervalWAN)
}

// plainAddress tells whether an address is host:port with an IP address or a name, and nothing else: Consul takes "provider=…" for an order to
// ask a cloud with its host's credentials, and "{{…}}" for a template.
func plainAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return false
	}
	if net.ParseIP(host) != nil {
		return true
	}
	return strings.IndexFunc(host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}) < 0
}

// checkInterval refuses what Consul would not start with. None is Consul's default.
func checkInterval(text string) error {
	if d, err := time.ParseDuration(text); text != "" && (err != nil || d <= 0) {
		return fault.New(fault.Invalid, "%q is no interval for retry_interval_wan", text)
	}
	return nil
}

// CABundle is all CA certificates, one after the other, as a ca_file has them.
func (b *Bundle) CABundle() string {
	var all strings.Builder
	for _, c := range b.CACertificates {
		all.WriteString(strings.TrimSpace(c))
		all.WriteString("\n")
	}
	return all.String()
}

// ServerConfigJSON is what Consul's Helm chart calls serverConfigJSON, byte for byte as consul-k8s writes it
// (create-federation-secret): {"primary_datacenter":"dc1","primary_gateways":["host:port"]}.
func (b *Bundle) ServerConfigJSON() ([]byte, error) {
	text, err := json.Marshal(struct {
		PrimaryDatacenter string   `json:"primary_datacenter"`
		PrimaryGateways   []string `json:"primary_gateways"`
	}{b.PrimaryDatacenter, append([]string{}, b.PrimaryGateways...)})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding serverConfigJSON")
	}
	return text, nil
}

// Keys of the Kubernetes secret consul-federation, as consul-k8s names them.
const (
	SecretCACert           = "caCert"
	SecretCAKey            = "caKey"
	SecretGossipKey        = "gossipEncryptionKey"
	SecretReplicationToken = "replicationToken"
	SecretServerConfig     = "serverConfigJSON"
)

// SecretData is the data of the secret consul-federation. As in consul-k8s, keys that there is nothing for are left out.
func (b *Bundle) SecretData() (map[string][]byte, error) {
	config, err := b.ServerConfigJSON()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{SecretCACert: []byte(b.CABundle()), SecretServerConfig: config}
	for key, value := range map[string]string{SecretCAKey: b.CAKey, SecretGossipKey: b.GossipKey, SecretReplicationToken: b.Tokens.Replication} {
		if value != "" {
			data[key] = []byte(value)
		}
	}
	return data, nil
}

// CertificateNames are the DNS names of a server certificate of a datacenter: of any server, and of each by its node's name, which
// other datacenters' servers ask for through gateways.
func CertificateNames(consulDatacenter, domain string) []string {
	server := "server." + consulDatacenter + "." + domain
	return []string{server, "*." + server, "localhost"}
}

// ServerName is the name of any server of a datacenter: what its certificate has, and what clients send as SNI.
func ServerName(consulDatacenter, domain string) string {
	return CertificateNames(consulDatacenter, domain)[0]
}
