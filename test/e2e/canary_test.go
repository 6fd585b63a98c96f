package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isthmus/federation"
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
	f.noneIn(places, secrets)
}

// The same of a federation, whose bundle holds everything that opens the primary.
func TestNoSecretOfAFederationLeaks(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	// Things go wrong, too, and the bundle is made again.
	replication := f.replicationToken(dc2)
	dc1.Do(http.MethodDelete, "/v1/acl/token/"+dc1.accessorOf(replication), nil, nil)
	f.Eventually("dc2 has another token", func() error {
		if f.replicationToken(dc2) == replication {
			return errors.New("it has the same still")
		}
		return nil
	})
	caKey := strings.Split(f.secretFile(dc1.CAKeyFile), "\n")[1]
	secrets := map[string]string{
		"the gossip key": dc1.GossipKey, "dc1's management token": dc1.ManagementToken, "the revoked replication token": replication,
		"the replication token": f.replicationToken(dc2), "the gateway's token": f.secret("dc2-gateway.token"),
		"the agent's token": f.secret("dc2-agent-1", "consul-token"), "the CA's key": caKey, "a private key in PEM": "PRIVATE KEY",
	}
	places := f.filesOfTheServer()
	places["events"] = []byte(f.Must("events", "--last", "0", "-o", "json"))
	places["everything that the API shows"] = f.everything()
	places["metrics"] = f.fetch("/metrics")
	places["the plan"] = []byte(f.Must("federation", "plan", "global"))
	for _, d := range []*Datacenter{dc1, dc2} {
		for _, kind := range []string{"agent", "gateway"} {
			name := d.Cluster.Datacenter + "-" + kind + "-1.log"
			places[name] = []byte(f.secret(name))
		}
	}
	f.noneIn(places, secrets)
	info, err := os.Stat(filepath.Join(dc2.ConfigDir, federation.FileDropIn))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the drop-in holds secrets and has mode %v, %v", info.Mode(), err)
	}
}

// noneIn looks for secrets in places.
func (f *Fleet) noneIn(places map[string][]byte, secrets map[string]string) {
	f.t.Helper()
	for place, content := range places {
		if len(content) == 0 {
			f.t.Errorf("%s is empty: nothing was looked at", place)
		}
		for name, secret := range secrets {
			if secret == "" {
				f.t.Errorf("%s is not known", name)
			} else if bytes.Contains(content, []byte(secret)) {
				f.t.Errorf("%s is in %s", name, place)
			}
		}
	}
}

func (f *Fleet) secret(elements ...string) string {
	f.t.Helper()
	return f.secretFile(f.path(elements...))
}

func (f *Fleet) secretFile(path string) string {
	f.t.Helper()
	data, err := os.ReadFile(path)
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
	for _, kind := range []string{"datacenters", "peerings", "agents", "join-tokens", "api-tokens", "service-exports", "gateways", "peering-groups", "federations"} {
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
