package federation

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"

	"isthmus/fault"
	"isthmus/resource"
)

// Names of what is delivered into a Consul server's configuration directory. Consul reads *.json there in order of their names, and
// the last word counts: the drop-in comes after what a human wrote.
const (
	FileDropIn = "zz-isthmus-federation.json"
	FileCA     = "isthmus-federation-ca.pem"
	FileCert   = "isthmus-federation-server.pem"
	FileKey    = "isthmus-federation-server-key.pem"
	// FileGatewayToken is written by hand only, and not for Consul: an agent writes it where its flags say.
	FileGatewayToken = "isthmus-federation-gateway.token"
)

// TLSFiles are the paths, as Consul shall read them, of what a drop-in names. With an empty Cert and Key only the CA is set.
type TLSFiles struct{ CA, Cert, Key string }

// dropIn is the part of Consul's server configuration that a federation is about (consul-facts: configurations measured on
// Consul 1.20). Only some of it can be reloaded: see NeedsRestart.
type dropIn struct {
	PrimaryDatacenter string   `json:"primary_datacenter,omitempty"`
	PrimaryGateways   []string `json:"primary_gateways,omitempty"`
	RetryJoinWAN      []string `json:"retry_join_wan,omitempty"`
	RetryIntervalWAN  string   `json:"retry_interval_wan,omitempty"`
	Encrypt           string   `json:"encrypt,omitempty"`
	Ports             *ports   `json:"ports,omitempty"`
	Connect           *connect `json:"connect,omitempty"`
	ACL               *acl     `json:"acl,omitempty"`
	TLS               *tls     `json:"tls,omitempty"`
}

type ports struct {
	SerfWAN int `json:"serf_wan"`
}

type connect struct {
	Enabled        bool `json:"enabled"`
	MeshGatewayWAN bool `json:"enable_mesh_gateway_wan_federation,omitempty"`
}

type acl struct {
	Enabled       bool              `json:"enabled"`
	DefaultPolicy string            `json:"default_policy,omitempty"`
	Replication   bool              `json:"enable_token_replication"`
	Tokens        map[string]string `json:"tokens,omitempty"`
}

type tls struct {
	Defaults    tlsDefaults `json:"defaults"`
	InternalRPC *tlsRPC     `json:"internal_rpc,omitempty"`
}

type tlsDefaults struct {
	CAFile         string `json:"ca_file,omitempty"`
	CertFile       string `json:"cert_file,omitempty"`
	KeyFile        string `json:"key_file,omitempty"`
	VerifyIncoming bool   `json:"verify_incoming,omitempty"`
	VerifyOutgoing bool   `json:"verify_outgoing,omitempty"`
}

type tlsRPC struct {
	VerifyServerHostname bool `json:"verify_server_hostname"`
}

// SecondaryDropIn is the configuration of a secondary's servers. It holds the gossip key and tokens.
func (b *Bundle) SecondaryDropIn(files TLSFiles) ([]byte, error) {
	d := dropIn{
		PrimaryDatacenter: b.PrimaryDatacenter, RetryIntervalWAN: b.RetryIntervalWAN, Encrypt: b.GossipKey,
		Connect: &connect{Enabled: true}, TLS: tlsOf(files),
	}
	if b.Mode == resource.ModeMeshGateway {
		d.PrimaryGateways, d.Connect.MeshGatewayWAN = b.PrimaryGateways, true
	} else {
		d.RetryJoinWAN = b.RetryJoinWAN
	}
	if b.ACL {
		d.ACL = &acl{
			Enabled: true, DefaultPolicy: b.DefaultPolicy, Replication: true,
			Tokens: map[string]string{"replication": b.Tokens.Replication, "agent": b.Tokens.Agent},
		}
	}
	return encodeDropIn(d)
}

// PrimaryDropIn is the configuration of the primary's servers. It holds no secret. files.CA is set while further CAs are to be
// trusted; the servers keep their own certificates.
func PrimaryDropIn(consulDatacenter, mode, retryIntervalWAN string, files TLSFiles) ([]byte, error) {
	if err := checkInterval(retryIntervalWAN); err != nil {
		return nil, err
	}
	d := dropIn{PrimaryDatacenter: consulDatacenter, RetryIntervalWAN: retryIntervalWAN, Connect: &connect{Enabled: true, MeshGatewayWAN: mode == resource.ModeMeshGateway}}
	if files.CA != "" {
		d.TLS = &tls{Defaults: tlsDefaults{CAFile: files.CA}}
	}
	return encodeDropIn(d)
}

// TrustDropIn only makes servers trust further CAs: the first phase of a join of a datacenter with another CA. Consul takes it over
// with a reload.
func TrustDropIn(ca string) ([]byte, error) {
	return encodeDropIn(dropIn{TLS: &tls{Defaults: tlsDefaults{CAFile: ca}}})
}

// LeftDropIn is the configuration of servers that left a federation. Their WAN gossip stays off: Consul remembers the former pool in its
// serf snapshot and would be back in it with the next start (measured on Consul 1.20).
func LeftDropIn() ([]byte, error) {
	return encodeDropIn(dropIn{Ports: &ports{SerfWAN: -1}})
}

func tlsOf(files TLSFiles) *tls {
	t := &tls{Defaults: tlsDefaults{CAFile: files.CA, CertFile: files.Cert, KeyFile: files.Key, VerifyIncoming: true, VerifyOutgoing: true}}
	t.InternalRPC = &tlsRPC{VerifyServerHostname: true}
	return t
}

func encodeDropIn(d dropIn) ([]byte, error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding a Consul drop-in")
	}
	return append(text, '\n'), nil
}

// NeedsRestart tells whether Consul has to be restarted to go from one drop-in to another (nil: none). Certificates and CAs, and the
// contents of their files, are taken over by a reload. Gateways of the primary that Consul does not know yet can wait for the next restart
// while one that it knows stays; who asks sees to it that Consul does know one. Everything else is taken over by a restart alone.
func NeedsRestart(before, after []byte) bool {
	old, oldErr := parseDropIn(before)
	next, nextErr := parseDropIn(after)
	if oldErr != nil || nextErr != nil {
		return !bytes.Equal(before, after)
	}
	if slices.ContainsFunc(next.PrimaryGateways, func(g string) bool { return slices.Contains(old.PrimaryGateways, g) }) {
		old.PrimaryGateways, next.PrimaryGateways = nil, nil
	}
	return !reflect.DeepEqual(old, next)
}

// parseDropIn reads one without what can be reloaded.
func parseDropIn(text []byte) (dropIn, error) {
	var d dropIn
	if len(text) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return d, fault.Wrap(fault.Invalid, err, "reading a Consul drop-in")
	}
	if d.TLS != nil {
		d.TLS.Defaults.CAFile, d.TLS.Defaults.CertFile, d.TLS.Defaults.KeyFile = "", "", ""
		if *d.TLS == (tls{}) {
			d.TLS = nil
		}
	}
	return d, nil
}
