package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// runAt is the CLI on the host of an agent, with that agent's Consul settings.
func (a *Agent) runAt(args ...string) string {
	f := a.dc.f
	f.t.Helper()
	out, problem, code := f.runEnv(a.dc.Env(a.dc.token), "", args...)
	if code != 0 {
		f.t.Fatalf("isthmus %s: exit code %d\n%s", strings.Join(args, " "), code, problem)
	}
	return out
}

// Another operator, without isthmus, dials: they get a token, sealed to their key or plain.
func TestExternalDialer(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, acme := f.Datacenter("dc1"), f.Bare("acme")
	f.Declare("dc1")
	f.Apply("kind: Peering\nname: dc1-acme\nspec: {acceptor: dc1, externalDialer: acme}\n")

	opener, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var sealed string
	f.Eventually("the token can be made", func() error {
		out, problem, code := f.runEnv(dc1.Env(dc1.token), "", "peering", "token", "dc1-acme",
			"--recipient", opener.Recipient().String(), "--data-dir", dc1.Agents[0].dir)
		if code != 0 {
			return errors.New(problem)
		}
		sealed = out
		return nil
	})
	acme.establish("dc1", decrypt(t, sealed, opener))
	f.Verdict("dc1-acme", "healthy")
	if s := f.Peering("dc1-acme").GetStatus(); !strings.Contains(s.GetMessage(), "only this end is seen") {
		t.Errorf("the verdict does not say that one end only is seen: %q", s.GetMessage())
	}

	t.Log("their cluster is reinstalled: they ask for another token, plain this time")
	if err := acme.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Must("peering", "rotate", "dc1-acme")
	f.Eventually("another token is asked for", func() error {
		if token := f.Peering("dc1-acme").GetStatus().GetToken(); token.GetGeneration() < 2 {
			return fmt.Errorf("generation %d", token.GetGeneration())
		}
		return nil
	})
	plain := strings.TrimSpace(dc1.Agents[0].runAt("peering", "token", "dc1-acme", "--plain", "--data-dir", dc1.Agents[0].dir))
	acme.establish("dc1", plain)
	f.Eventually("both sides are connected again", func() error {
		if state := acme.Peerings()["dc1"].State; state != "ACTIVE" {
			return errors.New("theirs is " + state)
		}
		if state := dc1.Peerings()["acme"].State; state != "ACTIVE" {
			return errors.New("ours is " + state)
		}
		return nil
	})
	if out := f.Must("events", "--kind", "Peering", "--target", "dc1-acme"); !strings.Contains(out, "in the clear") {
		t.Errorf("that a plain token was made is not in the audit log:\n%s", out)
	}
	f.Must("delete", "peering", "dc1-acme", "--wait", "60s")
	if err := absent(dc1, "acme"); err != nil {
		t.Error(err)
	}
}

// Another operator, without isthmus, accepts: their token is sealed by the CLI to the dialer's agents.
func TestExternalAcceptor(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, acme := f.Datacenter("dc1"), f.Bare("acme")
	f.Declare("dc1")
	f.Apply("kind: Peering\nname: acme-dc1\nspec: {externalAcceptor: acme, dialer: dc1}\n")
	var made struct{ PeeringToken string }
	acme.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "dc1"}, &made)
	token := f.write("acme.token", made.PeeringToken+"\n")
	f.Must("peering", "import", "acme-dc1", "--token-file", token)
	f.Verdict("acme-dc1", "healthy")
	if dc1.Peerings()["acme"].State != "ACTIVE" {
		t.Errorf("peerings of dc1: %v", dc1.Peerings())
	}
	p, err := client.Lookup[*isthmusv1.Peering](t.Context(), f.Client, "acme-dc1")
	if err != nil {
		t.Fatal(err)
	}
	if entry := p.GetStatus().GetToken().GetLedger()[0]; entry.GetUsedBy() != dc1.Agents[0].Name() {
		t.Errorf("ledger %v", entry)
	}
	if _, problem, code := f.RunWith("not a token", "peering", "import", "acme-dc1", "--token-file", "-"); code == 0 {
		t.Errorf("nonsense was taken for a token: %s", problem)
	}
}

func (d *Datacenter) establish(peer, token string) {
	d.f.t.Helper()
	d.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": peer, "PeeringToken": token}, nil)
}

func decrypt(t *testing.T, sealed string, opener age.Identity) string {
	t.Helper()
	var in io.Reader = strings.NewReader(sealed)
	if strings.HasPrefix(strings.TrimSpace(sealed), armor.Header) {
		in = armor.NewReader(strings.NewReader(strings.TrimSpace(sealed)))
	}
	r, err := age.Decrypt(in, opener)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := io.Copy(&out, r); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}
