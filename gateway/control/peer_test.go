package control_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/test/consultest"
)

// A service that one datacenter exports to a peer is reached by a client of the other one, with real mutual TLS of both meshes, through
// the gateways of both; what they route is what their Consuls say, and nothing else is told to them.
func TestServiceOfAPeerWithRealTraffic(t *testing.T) {
	t.Parallel()
	exporter, importer := consultest.Start(t, "dc1"), consultest.Start(t, "dc2")
	near, far := launch(t, importer, nil), launch(t, exporter, nil)
	eventually(t, "both gateways are registered", func() bool { return near.last().GetRegistered() && far.last().GetRegistered() })
	peer(exporter, importer)
	register := "/v1/agent/service/register"
	address := serve(t, exporter, "web", authorities(t, exporter, "dc2"))
	host, port, err := net.SplitHostPort(address)
	need(t, err)
	exporter.Do(http.MethodPut, register, map[string]any{
		"Kind": "connect-proxy", "Name": "web-proxy", "Address": host, "Port": number(t, port), "Proxy": map[string]any{"DestinationServiceName": "web"},
	}, nil)
	exporter.Do(http.MethodPut, register, map[string]any{"Name": "web"}, nil)
	exporter.Do(http.MethodPut, "/v1/config", map[string]any{
		"Kind": "exported-services", "Name": "default",
		"Services": []any{map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "dc2"}}}},
	}, nil)
	importer.Do(http.MethodPut, register, map[string]any{"Name": "client"}, nil)

	// What the client's sidecar would be told of it.
	var imported []struct {
		Service struct {
			TaggedAddresses map[string]struct {
				Address string
				Port    int
			}
			Connect struct {
				PeerMeta struct{ SNI, SpiffeID []string }
			}
		}
	}
	eventually(t, "it is imported", func() bool {
		importer.Do(http.MethodGet, "/v1/health/connect/web?peer=dc1", nil, &imported)
		return len(imported) == 1
	})
	meta := imported[0].Service.Connect.PeerMeta
	wan := imported[0].Service.TaggedAddresses["wan"]
	if got := fmt.Sprintf("%s:%d", wan.Address, wan.Port); got != far.Addr() || len(meta.SNI) != 1 || len(meta.SpiffeID) == 0 {
		t.Fatalf("imported from %s as %v; the gateway is %s", got, meta, far.Addr())
	}
	name := meta.SNI[0]
	eventually(t, "both know the way", func() bool {
		return len(near.leads(name)) == 1 && near.leads(name)[0] == far.Addr() && len(far.leads(name)) == 1 && far.leads(name)[0] == address
	})
	for _, through := range []*steered{near, far} {
		said, err := ask(t.Context(), through.Addr(), name, meta.SpiffeID[0], leaf(t, importer, "client"), authorities(t, importer, "dc1"))
		if err != nil || said != "web greets the client" {
			t.Errorf("through %s: %q, %v", through.Addr(), said, err)
		}
	}
	// Whoever is of another mesh is not let in, and it is not the gateways who say so.
	_, err = ask(t.Context(), near.Addr(), name, meta.SpiffeID[0], leaf(t, exporter, "web"), authorities(t, importer, "dc1"))
	if err == nil {
		t.Error("a certificate of the wrong mesh was let in")
	}
	for kind, g := range map[gateway.Kind]*steered{gateway.KindImport: near, gateway.KindExport: far} {
		if n := g.metric(t, `isthmus_gateway_connections_total{route="`+string(kind)+`"}`); n < 1 {
			t.Errorf("%s: %v connections", kind, n)
		}
	}
	need(t, far.stop())
	if len(meshGateways(exporter)) != 1 {
		t.Error("the only gateway that a peer knows left Consul")
	}
}

// peer makes two datacenters peers, as people do.
func peer(acceptor, dialer *consultest.Cluster) {
	var made struct{ PeeringToken string }
	acceptor.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": dialer.Datacenter}, &made)
	dialer.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": acceptor.Datacenter, "PeeringToken": made.PeeringToken}, nil)
}

// authorities are the mesh CAs of a datacenter's peer.
func authorities(t *testing.T, c *consultest.Cluster, of string) *x509.CertPool {
	t.Helper()
	var peering struct{ PeerCAPems []string }
	eventually(t, "the peer's CA", func() bool {
		c.Do(http.MethodGet, "/v1/peering/"+of, nil, &peering)
		return len(peering.PeerCAPems) > 0
	})
	pool := x509.NewCertPool()
	for _, text := range peering.PeerCAPems {
		pool.AppendCertsFromPEM([]byte(text))
	}
	return pool
}

// leaf is a service's certificate in its mesh.
func leaf(t *testing.T, c *consultest.Cluster, service string) tls.Certificate {
	t.Helper()
	var made struct{ CertPEM, PrivateKeyPEM string }
	c.Do(http.MethodGet, "/v1/agent/connect/ca/leaf/"+service, nil, &made)
	certificate, err := tls.X509KeyPair([]byte(made.CertPEM), []byte(made.PrivateKeyPEM))
	need(t, err)
	return certificate
}

// serve is a service with a sidecar in one: it greets clients with certificates of these authorities.
func serve(t *testing.T, c *consultest.Cluster, service string, clients *x509.CertPool) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	need(t, err)
	secured := tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{leaf(t, c, service)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12,
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := secured.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(conn, "%s greets the client\n", service)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// ask does what a client's sidecar does: it dials a gateway and asks for the service of the peer.
func ask(ctx context.Context, address, name, identity string, own tls.Certificate, roots *x509.CertPool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: name, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // certificates of a mesh name services by URI: VerifyConnection looks at that
		VerifyConnection: func(state tls.ConnectionState) error {
			intermediates := x509.NewCertPool()
			for _, certificate := range state.PeerCertificates[1:] {
				intermediates.AddCert(certificate)
			}
			shown := state.PeerCertificates[0]
			if _, err := shown.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates}); err != nil {
				return err
			}
			if len(shown.URIs) != 1 || shown.URIs[0].String() != identity {
				return fmt.Errorf("this is %v, not %s", shown.URIs, identity)
			}
			return nil
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	lines := bufio.NewScanner(conn)
	if !lines.Scan() {
		return "", errors.Join(lines.Err(), errors.New("it said nothing"))
	}
	return lines.Text(), nil
}
