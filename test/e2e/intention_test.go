package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/demo/child"
	"isthmus/demo/consulrun"
)

// An Intention decides who may talk to whom across a federation: with real traffic, through both gateways.
func TestIntentionAcrossDatacenters(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	dc2.Serve("web", "hello from dc2")
	dc1.Do(http.MethodPut, "/v1/agent/service/register", map[string]any{"Name": "client"}, nil)

	t.Log("nobody may: the posture is to deny")
	f.KeepsOut(dc1, "client", "web", dc2)
	f.Says("the posture", []string{"describe", "datacenter", "dc2"}, "DefaultDeny", "ByDefault", "denied, by Consul's default")
	intention := func(action string) string {
		return "kind: Intention\nname: web-from-client\nspec:\n  scope: federation\n  destination: {service: web, datacenters: [dc2]}\n" +
			"  sources: [{service: client, datacenters: [dc1], action: " + action + "}]\n"
	}
	f.Apply(intention("allow"))
	f.LetsIn(dc1, "client", "web", dc2, "hello from dc2")
	t.Log("another service may not")
	dc1.Do(http.MethodPut, "/v1/agent/service/register", map[string]any{"Name": "stranger"}, nil)
	f.KeepsOut(dc1, "stranger", "web", dc2)
	t.Log("nobody may any more once it says so, nor when it is gone")
	f.Apply(intention("deny"))
	f.KeepsOut(dc1, "client", "web", dc2)
	f.Apply(intention("allow"))
	f.LetsIn(dc1, "client", "web", dc2, "hello from dc2")
	f.Must("delete", "intention", "web-from-client")
	f.KeepsOut(dc1, "client", "web", dc2)
	if left := dc1.entry("service-intentions", "web"); left != nil {
		t.Errorf("an entry is left behind: %v", left)
	}
}

// LetsIn waits until a client of one datacenter gets an answer from a service of another.
func (f *Fleet) LetsIn(from *Datacenter, client, service string, of *Datacenter, says string) {
	f.t.Helper()
	f.Eventually(fmt.Sprintf("%s of %s may call %s of %s", client, from.Cluster.Datacenter, service, of.Cluster.Datacenter), func() error {
		said, err := from.Ask(client, service, of)
		if err == nil && said != says {
			return fmt.Errorf("it said %q", said)
		}
		return err
	})
}

// KeepsOut waits until the service's sidecar turns the client away.
func (f *Fleet) KeepsOut(from *Datacenter, client, service string, of *Datacenter) {
	f.t.Helper()
	f.Eventually(fmt.Sprintf("%s of %s may not call %s of %s", client, from.Cluster.Datacenter, service, of.Cluster.Datacenter), func() error {
		_, err := from.Ask(client, service, of)
		if err == nil {
			return errors.New("it was let in")
		}
		if !strings.Contains(err.Error(), "bad certificate") {
			return err // the way is not there
		}
		return nil
	})
}

// Serve runs a service in a datacenter's network, behind a sidecar of Consul's own.
func (d *Datacenter) Serve(name, says string) {
	d.f.t.Helper()
	l, err := d.space.Listen(d.f.t.Context(), "tcp", "127.0.0.1:9000")
	if err != nil {
		d.f.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, says)
	})}
	go func() { _ = server.Serve(l) }()
	d.f.t.Cleanup(func() { _ = server.Close() })
	d.f.Eventually("the service is registered", func() error {
		return d.Call(d.f.t.Context(), http.MethodPut, "/v1/agent/service/register", map[string]any{
			"Name": name, "Port": 9000, "Connect": map[string]any{"SidecarService": map[string]any{
				"Port": 21000, "Address": d.Server.Address, "Proxy": map[string]any{"LocalServiceAddress": "127.0.0.1"},
			}},
		}, nil)
	})
	consul, err := consulrun.Binary(d.f.t.Context())
	if err != nil {
		d.f.t.Fatal(err)
	}
	program, args := d.space.Command(consul, []string{"connect", "proxy", "-sidecar-for", name})
	sidecar, err := child.Start(child.Options{
		Name: "the sidecar of " + name, Binary: program, Args: args, Env: d.Env(d.ManagementToken), LogFile: d.f.path(name + "-sidecar.log"),
	})
	if err != nil {
		d.f.t.Fatal(err)
	}
	d.f.t.Cleanup(func() {
		if err := sidecar.End(0); err != nil {
			d.f.t.Error(err)
		}
	})
}

// Ask does what a client's sidecar does: with its certificate it dials its own datacenter's gateway, and asks for a service of another.
func (d *Datacenter) Ask(client, service string, of *Datacenter) (string, error) {
	d.f.t.Helper()
	ctx, cancel := context.WithTimeout(d.f.t.Context(), 5*time.Second)
	defer cancel()
	var roots struct {
		TrustDomain string
		Roots       []struct{ RootCert string }
	}
	if err := d.Call(ctx, http.MethodGet, "/v1/agent/connect/ca/roots", nil, &roots); err != nil {
		return "", err
	}
	var leaf struct{ CertPEM, PrivateKeyPEM string }
	if err := d.Call(ctx, http.MethodGet, "/v1/agent/connect/ca/leaf/"+client, nil, &leaf); err != nil {
		return "", err
	}
	certificate, err := tls.X509KeyPair([]byte(leaf.CertPEM), []byte(leaf.PrivateKeyPEM))
	if err != nil {
		return "", err
	}
	pool := x509.NewCertPool()
	for _, root := range roots.Roots {
		pool.AppendCertsFromPEM([]byte(root.RootCert))
	}
	dc := of.Cluster.Datacenter
	conn, err := d.space.Dial(ctx, "tcp", d.Gateways[0].LAN)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	return get(ctx, conn, &tls.Config{
		ServerName: fmt.Sprintf("%s.default.%s.internal.%s", service, dc, roots.TrustDomain), Certificates: []tls.Certificate{certificate},
		// Consul's certificates name services by URI.
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			return isService(pool, chain, fmt.Sprintf("spiffe://%s/ns/default/dc/%s/svc/%s", roots.TrustDomain, dc, service))
		},
	})
}

// get is one request over one connection.
func get(ctx context.Context, conn net.Conn, config *tls.Config) (string, error) {
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service/", nil)
	if err != nil {
		return "", err
	}
	if err := request.Write(secured); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(secured), request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	return strings.TrimSpace(line), err
}

// isService verifies a chain up to the mesh CA, and the service that it is for.
func isService(roots *x509.CertPool, chain [][]byte, uri string) error {
	intermediates := x509.NewCertPool()
	var leaf *x509.Certificate
	for i, der := range chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		if i == 0 {
			leaf = certificate
			continue
		}
		intermediates.AddCert(certificate)
	}
	if leaf == nil {
		return errors.New("no certificate was shown")
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates}); err != nil {
		return err
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != uri {
		return fmt.Errorf("this is %v, not %s", leaf.URIs, uri)
	}
	return nil
}
