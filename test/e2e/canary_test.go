package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// After the whole story, nothing that opens a cluster is where it does not belong: not in the database or its files, the
// logs, the events or the metrics.
func TestNoSecretLeaks(t *testing.T) {
	f := NewFleet(t, 3)
	dc1, dc2, acme := f.Datacenter("dc1"), f.Datacenter("dc2"), f.Bare("acme")
	dc1.Register("web")
	f.Declare("dc1", "dc2")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2}
---
kind: Peering
name: acme-dc1
spec: {externalAcceptor: acme, dialer: dc1}
---
kind: Peering
name: dc2-acme
spec: {acceptor: dc2, externalDialer: acme}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}
`)
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	var made struct{ PeeringToken string }
	acme.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "dc1"}, &made)
	f.Must("peering", "import", "acme-dc1", "--token-file", f.write("acme.token", made.PeeringToken))
	f.Healthy("acme-dc1")
	plain := strings.TrimSpace(dc2.Agents[0].runAt("peering", "token", "dc2-acme", "--plain", "--data-dir", dc2.Agents[0].dir))
	f.Must("peering", "rotate", "dc1-dc2")
	f.Eventually("the second token is used", func() error { return used(f, "dc1-dc2", 2) })
	apiToken := strings.TrimSpace(f.Must("api-token", "create", "ci", "--role", "viewer"))
	// Things go wrong, too: errors like to show what they were about.
	if err := dc2.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _, _ = f.RunWith("not a token", "peering", "import", "acme-dc1", "--token-file", "-")
	if err := dc2.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Healthy("dc1-dc2")

	secrets := map[string]string{
		"the admin token": f.secret("server", "admin.token"), "an API token": apiToken,
		"an imported peering token": made.PeeringToken, "an external dialer's token": plain,
		"a private key in PEM": "PRIVATE KEY", "an age key": "AGE-SECRET-KEY-", "a peering token": "EstablishmentSecret",
		// Every peering token is base64 of JSON that begins with its CA.
		"a peering token in base64": "eyJDQSI6",
	}
	for _, d := range []*Datacenter{dc1, dc2, acme} {
		secrets["gossip key of "+d.Cluster.Datacenter] = d.GossipKey
		secrets["management token of "+d.Cluster.Datacenter] = d.ManagementToken
		secrets["agent's Consul token of "+d.Cluster.Datacenter] = d.token
	}
	for _, d := range []*Datacenter{dc1, dc2} {
		join := f.secret(d.Cluster.Datacenter + "-agent-1.join")
		secrets["join token of "+d.Cluster.Datacenter] = join[len(join)-60:]
	}
	places := f.filesOfTheServer()
	places["events"] = []byte(f.Must("events", "--last", "0", "-o", "json"))
	places["everything that the API shows"] = f.everything()
	places["metrics"] = f.fetch("/metrics")
	for _, d := range []*Datacenter{dc1, dc2} {
		log, err := os.ReadFile(f.path(d.Cluster.Datacenter + "-agent-1.log"))
		if err != nil {
			t.Fatal(err)
		}
		places["log of the agent of "+d.Cluster.Datacenter] = log
	}
	for place, content := range places {
		if len(content) == 0 {
			t.Errorf("%s is empty: nothing was looked at", place)
		}
		for name, secret := range secrets {
			if secret != "" && bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s is in %s", name, place)
			}
		}
	}
}

func (f *Fleet) secret(elements ...string) string {
	f.t.Helper()
	data, err := os.ReadFile(f.path(elements...))
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// filesOfTheServer are its log and all that it keeps, but for the two files that are there to hold a secret.
func (f *Fleet) filesOfTheServer() map[string][]byte {
	f.t.Helper()
	out := map[string][]byte{}
	add := func(path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		out[filepath.Base(path)] = data
	}
	add(f.path("server.log"))
	err := filepath.WalkDir(f.path("server"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "server.key" || entry.Name() == "admin.token" || entry.Name() == "lock" {
			return err
		}
		add(path)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *Fleet) everything() []byte {
	f.t.Helper()
	var out bytes.Buffer
	for _, kind := range []string{"datacenters", "peerings", "agents", "join-tokens", "api-tokens", "service-exports", "gateways", "peering-groups"} {
		text := f.Must("get", kind, "-o", "json")
		var list []any
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			f.t.Fatalf("a list of %s in JSON is no array: %v", kind, err)
		}
		out.WriteString(text)
	}
	return out.Bytes()
}

func (f *Fleet) fetch(path string) []byte {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.http+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return body
}
