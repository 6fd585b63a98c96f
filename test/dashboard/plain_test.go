package dashboard_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/client"
	"isthmus/server"
	"isthmus/test/browser"
	"isthmus/web"
)

// plain is a server in this process with a dashboard and no agents: for stories that are about the dashboard itself.
type plain struct {
	config server.Config
	// address is where it listens, also when it was started again.
	address string
	token   string
	client  *client.Client
	stop    func()
}

// newPlain starts a server on a store of its own. Without a built dashboard the test is skipped, in CI it fails.
func newPlain(t *testing.T, change ...func(*server.Config)) *plain {
	t.Helper()
	if _, built := web.App(); !built {
		if os.Getenv("CI") == "true" {
			t.Fatal("the dashboard is needed in CI: make web")
		}
		t.Skip("the dashboard is not built: make web")
	}
	p := &plain{config: server.Config{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", Version: "v1.0.0", Log: hclog.NewNullLogger()}}
	for _, c := range change {
		c(&p.config)
	}
	t.Cleanup(func() { p.stop() })
	p.start(t)
	token, err := os.ReadFile(p.config.DataDir + "/admin.token")
	if err != nil {
		t.Fatal(err)
	}
	p.token = strings.TrimSpace(string(token))
	if p.client, err = client.New(client.Config{Address: p.address, Token: p.token}); err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs the server, where it ran before if it did.
func (p *plain) start(t *testing.T) {
	t.Helper()
	p.stop = func() {}
	s, err := server.New(t.Context(), p.config)
	if err != nil {
		t.Fatal(err)
	}
	p.address = s.URL()
	p.config.HTTPAddr = strings.TrimPrefix(p.address, "http://")
	// It is stopped by stop alone: the test's context ends before its cleanup.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.stop = func() {
		p.stop = func() {}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	}
}

// apply applies manifests.
func (p *plain) apply(t *testing.T, manifests string) {
	t.Helper()
	if _, err := p.client.Apply(t.Context(), []byte(manifests), client.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// declared are two datacenters and one of each thing that connects them.
const declared = `
kind: Datacenter
name: dc1
spec: {runtime: vm}
---
kind: Datacenter
name: dc2
spec: {runtime: kubernetes}
---
kind: Datacenter
name: dc3
spec: {runtime: vm}
---
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: Federation
name: global
spec: {primary: dc1, secondaries: [dc3]}
---
kind: Intention
name: web-from-api
spec: {destination: {service: web, datacenters: [dc1, dc3]}, sources: [{service: api, action: allow}]}
`

// live waits until the page follows the server.
func live(t *testing.T, page *browser.Page) {
	t.Helper()
	page.See(t, browser.Text("Live"))
}
