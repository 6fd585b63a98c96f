package consul

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Settings say where Consul is and who we are there.
type Settings struct {
	// Address is host:port, http://…, https://… or unix:///path.
	Address string
	// Token, or a file that holds it, which is read again when it changes.
	Token     Secret
	TokenFile string
	// OwnTokenFile holds a token that the agent was given itself, by the bundle of a federation. It is used when Consul does not know the
	// other one (any more), and the other way round: see Client.
	OwnTokenFile string
	// OwnCAFile holds CAs that are believed besides those above, when it is there: a datacenter that joins a federation has certificates of
	// another CA from then on.
	OwnCAFile string
	// HTTPAuth is user:password for a proxy before Consul.
	HTTPAuth Secret
	// TLS is used for an address without a scheme when it is set.
	TLS bool
	// CAFile and CAPath verify Consul's certificate; CertFile and KeyFile are the client's. Read again when they change.
	CAFile, CAPath, CertFile, KeyFile string
	// TLSServerName is expected in Consul's certificate in place of the address.
	TLSServerName string
	// SkipVerify trusts any certificate.
	SkipVerify bool
	// Partition and Namespace of Consul Enterprise.
	Partition, Namespace string
	// Servers are addresses of the datacenter's servers to try when a peering call needs the leader. Default: the servers
	// in the catalog, at the port and scheme of Address.
	Servers []string

	// own: OwnTokenFile counts.
	own bool
}

// FromEnv reads the variables that Consul's own tools read. lookup is os.LookupEnv in a program.
func FromEnv(lookup func(string) (string, bool)) (Settings, error) {
	get := func(name string) string {
		value, _ := lookup(name)
		return value
	}
	s := Settings{
		Address:       get(api.HTTPAddrEnvName),
		Token:         Secret(get(api.HTTPTokenEnvName)),
		TokenFile:     get(api.HTTPTokenFileEnvName),
		HTTPAuth:      Secret(get(api.HTTPAuthEnvName)),
		CAFile:        get(api.HTTPCAFile),
		CAPath:        get(api.HTTPCAPath),
		CertFile:      get(api.HTTPClientCert),
		KeyFile:       get(api.HTTPClientKey),
		TLSServerName: get(api.HTTPTLSServerName),
		Partition:     get(api.HTTPPartitionEnvName),
		Namespace:     get(api.HTTPNamespaceEnvName),
	}
	if s.Address == "" {
		s.Address = "127.0.0.1:8500"
	}
	var bad []fault.Violation
	flag := func(name string, otherwise bool) bool {
		text := get(name)
		if text == "" {
			return otherwise
		}
		value, err := strconv.ParseBool(text)
		if err != nil {
			bad = append(bad, fault.Violation{Field: name, Reason: "NotABoolean", Message: strconv.Quote(text) + " is neither true nor false"})
		}
		return value
	}
	s.TLS = flag(api.HTTPSSLEnvName, false)
	s.SkipVerify = !flag(api.HTTPSSLVerifyEnvName, true)
	if len(bad) > 0 {
		return Settings{}, fault.Violated(bad...)
	}
	return s, nil
}

// split parts an address into its scheme (http, https or unix) and the rest.
func (s Settings) split() (scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(s.Address, "://")
	if !ok {
		scheme, rest = "http", s.Address
	}
	switch {
	case rest == "":
		return "", "", fault.New(fault.Invalid, "Consul's address is empty")
	case scheme == "http" && s.TLS:
		return "https", rest, nil
	case scheme == "http", scheme == "https", scheme == "unix":
		return scheme, rest, nil
	}
	return "", "", fault.New(fault.Invalid, "Consul's address starts with %s://; http, https and unix are known", scheme)
}

// at is the same settings for another server's host, on the same port.
func (s Settings) at(host string) (Settings, bool) {
	scheme, rest, err := s.split()
	if err != nil || scheme == "unix" {
		return s, false
	}
	authority, prefix, _ := strings.Cut(rest, "/")
	_, port, err := net.SplitHostPort(authority)
	if err != nil || prefix != "" {
		return s, false // behind a reverse proxy the servers' own addresses tell nothing
	}
	s.Address = scheme + "://" + net.JoinHostPort(host, port)
	return s, true
}

// token is the ACL token as of now.
func (s Settings) token() (Secret, error) {
	path := s.TokenFile
	if s.own {
		path = s.OwnTokenFile
	}
	if path == "" {
		return s.Token, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "reading Consul's token file %s", path)
	}
	return Secret(strings.TrimSpace(string(text))), nil
}

// has tells whether there is a token of that kind: the agent's own, or the configured one.
func (s Settings) has(own bool) bool {
	if !own {
		return s.Token != "" || s.TokenFile != ""
	}
	if s.OwnTokenFile == "" {
		return false
	}
	_, err := os.Stat(s.OwnTokenFile)
	return err == nil
}

// open makes a client. All that consul/api would otherwise take from the environment is set.
func (s Settings) open() (*api.Client, error) {
	scheme, _, err := s.split()
	if err != nil {
		return nil, err
	}
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 16, // the watches, and a call beside them
		IdleConnTimeout:     90 * time.Second,
	}
	config := &api.Config{
		Address: s.Address, Scheme: scheme, Transport: transport,
		Token: token.Reveal(), Partition: s.Partition, Namespace: s.Namespace,
		TLSConfig: api.TLSConfig{
			Address: s.TLSServerName, CAFile: s.CAFile, CAPath: s.CAPath,
			CertFile: s.CertFile, KeyFile: s.KeyFile, InsecureSkipVerify: s.SkipVerify,
		},
	}
	if scheme == "unix" {
		config.Scheme = "http"
	}
	if user, password, ok := strings.Cut(s.HTTPAuth.Reveal(), ":"); ok || user != "" {
		config.HttpAuth = &api.HttpBasicAuth{Username: user, Password: password}
	}
	if err := s.trustOwn(config); err != nil {
		return nil, err
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "Consul's settings cannot be used")
	}
	config.HttpClient.Transport = questioner{guard{config.HttpClient.Transport}}
	return client, nil
}

// trustOwn adds the CAs in OwnCAFile to those that are believed anyway.
func (s Settings) trustOwn(config *api.Config) error {
	if s.OwnCAFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.OwnCAFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "reading the CA of the federation")
	}
	client, err := api.SetupTLSConfig(&config.TLSConfig)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "Consul's settings cannot be used")
	}
	if client.RootCAs == nil {
		if client.RootCAs, err = x509.SystemCertPool(); err != nil {
			client.RootCAs = x509.NewCertPool()
		}
	}
	client.RootCAs.AppendCertsFromPEM(text)
	config.Transport.TLSClientConfig = client
	config.HttpClient = &http.Client{Transport: config.Transport}
	return nil
}

// files are those whose change asks for a new client.
func (s Settings) files() []string {
	token := s.TokenFile
	if s.own {
		token = s.OwnTokenFile
	}
	return []string{token, s.CAFile, s.CAPath, s.CertFile, s.KeyFile, s.OwnCAFile}
}
