package consulrun

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"isthmus/fault"
)

// callTimeout bounds one call; the slowest one, Establish through gateways, takes about a second.
const callTimeout = 15 * time.Second

// tokenRecord is what Wipe makes again, so that whoever holds the token can go on.
type tokenRecord struct {
	name, rules, secret string
}

// Token makes a policy of that name with these rules (HCL) and a token for it, and returns the token's secret.
func (s *Server) Token(ctx context.Context, name, rules string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := tokenRecord{name: name, rules: rules, secret: uuid.NewString()}
	if err := s.createToken(ctx, t); err != nil {
		return "", err
	}
	s.tokens = append(s.tokens, t)
	return t.secret, nil
}

func (s *Server) createToken(ctx context.Context, t tokenRecord) error {
	policy := map[string]any{"Name": t.name, "Rules": t.rules}
	if err := s.call(ctx, s.ManagementToken, http.MethodPut, "/v1/acl/policy", policy, nil); err != nil {
		return err
	}
	token := map[string]any{
		"SecretID": t.secret, "Description": t.name,
		"Policies": []any{map[string]any{"Name": t.name}},
	}
	return s.call(ctx, s.ManagementToken, http.MethodPut, "/v1/acl/token", token, nil)
}

// RegisterService puts an instance of a service, with a passing check, into the catalog, on a node of its own: Consul's
// agent removes what it does not know from its own node.
func (s *Server) RegisterService(ctx context.Context, name string) error {
	return s.register(ctx, name, false)
}

// RegisterMeshService is RegisterService for one that takes part in the mesh by itself, without a sidecar proxy.
func (s *Server) RegisterMeshService(ctx context.Context, name string) error {
	return s.register(ctx, name, true)
}

func (s *Server) register(ctx context.Context, name string, mesh bool) error {
	return s.Call(ctx, http.MethodPut, "/v1/catalog/register", map[string]any{
		"Node": name + "-node", "Address": "127.0.0.1",
		"NodeMeta": map[string]string{"external-node": "true"},
		"Service": map[string]any{
			"ID": name + "-1", "Service": name, "Address": "127.0.0.1", "Port": 80, "Connect": map[string]bool{"Native": mesh},
		},
		"Check": map[string]any{"CheckID": "service:" + name + "-1", "Name": name + " answers", "Status": "passing", "ServiceID": name + "-1"},
	}, nil)
}

// Call does one call of Consul's HTTP API with the management token: in is sent as JSON when it is not nil, and the answer
// is decoded into out when that is not nil.
func (s *Server) Call(ctx context.Context, method, path string, in, out any) error {
	return s.call(ctx, s.ManagementToken, method, path, in, out)
}

// CallAs is Call with another token.
func (s *Server) CallAs(ctx context.Context, token, method, path string, in, out any) error {
	return s.call(ctx, token, method, path, in, out)
}

func (s *Server) call(ctx context.Context, token, method, path string, in, out any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "encoding a call of Consul")
		}
		body = bytes.NewReader(text)
	}
	address := s.HTTPAddr
	if s.Socket != "" {
		address = "http://consul" // the socket has no name
	}
	request, err := http.NewRequestWithContext(ctx, method, address+path, body)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "making a call of Consul")
	}
	request.Header.Set("X-Consul-Token", token)
	response, err := s.client.Load().Do(request)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "calling Consul of %s", s.Datacenter)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "reading Consul's answer to %s %s", method, path)
	}
	if response.StatusCode != http.StatusOK {
		return answerError(response.StatusCode, method, path, string(text))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fault.Wrap(fault.Internal, err, "decoding Consul's answer to %s %s", method, path)
	}
	return nil
}

func answerError(statusCode int, method, path, text string) error {
	code := fault.Internal
	switch statusCode {
	case http.StatusNotFound:
		code = fault.NotFound
	case http.StatusForbidden:
		code = fault.Denied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		code = fault.Unavailable
	}
	return fault.New(code, "Consul answered %d to %s %s: %s", statusCode, method, path, strings.TrimSpace(text))
}

// newClient makes a client that talks to the socket, or trusts the CA in the file and nothing else.
func (s *Server) newClient() *http.Client {
	if s.Socket != "" {
		return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.Socket)
		}}}
	}
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(s.CAFile); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
}
