package federation

import (
	"fmt"
	"strings"
)

// Names that a Helm release has unless it says otherwise.
const (
	DefaultSecretName       = "consul-federation"
	DefaultHelmName         = "consul"
	DefaultServerCertSecret = "consul-federation-server"
)

// Values are the Helm values of one datacenter of a federation, as Consul's documents on WAN federation between Kubernetes clusters have
// them. The zero value of a name is its default.
type Values struct {
	// Name is global.name, Datacenter what Consul calls it.
	Name, Datacenter string
	// Primary is what Consul calls the primary; empty: this is it.
	Primary string
	// ACL and Gossip: ACLs are on, and gossip is encrypted, in all of them.
	ACL, Gossip bool
	// SecretName is the federation secret's. A secondary's alone, like all below.
	SecretName string
	// AuthMethodHost is the URL of the cluster's Kubernetes API as the primary reaches it; needed with ACLs.
	AuthMethodHost string
	// Keyless: the servers' certificates come ready in the secret ServerCertSecret, and no CA key does.
	Keyless          bool
	ServerCertSecret string
	// RetryIntervalWAN is Consul's retry_interval_wan; empty: Consul's own, 30 s.
	RetryIntervalWAN string
}

// YAML is the values.yaml.
func (v Values) YAML() string {
	or := func(name *string, otherwise string) {
		if *name == "" {
			*name = otherwise
		}
	}
	or(&v.Name, DefaultHelmName)
	or(&v.SecretName, DefaultSecretName)
	or(&v.ServerCertSecret, DefaultServerCertSecret)
	var y yamlLines
	y.line(0, "global:")
	y.line(1, "name: %s", scalar(v.Name))
	y.line(1, "datacenter: %s", scalar(v.Datacenter))
	if v.Primary == "" {
		v.primary(&y)
	} else {
		v.secondary(&y)
	}
	return y.String()
}

func (v Values) primary(y *yamlLines) {
	y.line(1, "tls:")
	y.line(2, "enabled: true")
	y.line(1, "federation:")
	y.line(2, "enabled: true")
	y.line(2, "# The chart's own secret has one replication token for all secondaries. isthmus makes one for each, and needs neither this")
	y.line(2, "# nor createReplicationToken: both may be false where its agents deliver.")
	y.line(2, "createFederationSecret: true")
	if v.ACL {
		y.line(1, "acls:")
		y.line(2, "manageSystemACLs: true")
		y.line(2, "createReplicationToken: true")
	}
	if v.Gossip {
		y.line(1, "gossipEncryption:")
		y.line(2, "autoGenerate: true")
	}
	y.meshed()
}

func (v Values) secondary(y *yamlLines) {
	ref := func(depth int, key string) {
		y.line(depth, "secretName: %s", scalar(v.SecretName))
		y.line(depth, "secretKey: %s", key)
	}
	y.line(1, "tls:")
	y.line(2, "enabled: true")
	y.line(2, "caCert:")
	ref(3, SecretCACert)
	if !v.Keyless {
		y.line(2, "caKey:")
		ref(3, SecretCAKey)
	}
	if v.ACL {
		y.line(1, "acls:")
		y.line(2, "manageSystemACLs: true")
		y.line(2, "replicationToken:")
		ref(3, SecretReplicationToken)
	}
	y.line(1, "federation:")
	y.line(2, "enabled: true")
	if v.ACL {
		y.line(2, "k8sAuthMethodHost: %s", scalar(v.AuthMethodHost))
	}
	y.line(2, "primaryDatacenter: %s", scalar(v.Primary))
	y.line(2, "# The gateways' addresses come with the secret, in server.extraVolumes: what stood here would stay when they change.")
	y.line(2, "primaryGateways: []")
	if v.Gossip {
		y.line(1, "gossipEncryption:")
		ref(2, SecretGossipKey)
	}
	y.meshed()
	y.line(0, "server:")
	if v.Keyless {
		y.line(1, "serverCert:")
		y.line(2, "secretName: %s", scalar(v.ServerCertSecret))
	}
	v.extraConfig(y)
	y.line(1, "extraVolumes:")
	y.line(2, "- type: secret")
	y.line(2, "  name: %s", scalar(v.SecretName))
	y.line(2, "  items:")
	y.line(2, "    - key: %s", SecretServerConfig)
	y.line(2, "      path: config.json")
	y.line(2, "  load: true")
}

// extraConfig is Consul configuration that the chart has no values for.
func (v Values) extraConfig(y *yamlLines) {
	var settings []string
	if v.Keyless {
		y.line(1, "# The certificate is renewed every 20 days; with auto_reload_config, Consul takes it over by itself.")
		settings = append(settings, `"auto_reload_config": true`)
	}
	if v.RetryIntervalWAN != "" {
		settings = append(settings, fmt.Sprintf(`"retry_interval_wan": %q`, v.RetryIntervalWAN))
	}
	if len(settings) > 0 {
		y.line(1, "extraConfig: |")
		y.line(2, "{%s}", strings.Join(settings, ", "))
	}
}

// yamlLines is YAML being written, two blanks for each level.
type yamlLines struct{ strings.Builder }

func (y *yamlLines) line(depth int, format string, args ...any) {
	y.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(y, format+"\n", args...)
}

// meshed is what every datacenter needs whose federation goes through mesh gateways.
func (y *yamlLines) meshed() {
	y.line(0, "connectInject:")
	y.line(1, "enabled: true")
	y.line(0, "meshGateway:")
	y.line(1, "enabled: true")
}
