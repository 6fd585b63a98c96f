package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"isthmus/federation"
)

// A datacenter without an agent joins with a bundle that an administrator asks for, opens on its host, and starts Consul with: signed with the
// fleet key and as files, then allowed by a flag of the primary's agent and as HCL.
func TestBundleByHand(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{Fresh: true, NoAgent: true})
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f.write("me.key", key.String())
	f.Declare("dc1", "dc2")
	f.Apply(federationOf("global", "dc2", "", ""))
	f.Eventually("the gateway of dc2 is known", func() error {
		for _, g := range f.Member("global", "dc2").GetGateways() {
			if g.GetUsed() && g.GetLanAddress() == dc2.Gateways[0].LAN {
				return nil
			}
		}
		return errors.New("it is not")
	})
	joined := func() {
		t.Helper()
		f.Joined("global", dc1, dc2)
		dc2.Reads(dc1)
		dc1.Reads(dc2)
		dc1.Alive("s1.dc1", "s1.dc2")
	}
	ask := []string{"federation", "bundle", "global", "--datacenter", "dc2", "--recipient", key.Recipient().String(), "--out"}
	open := func(bundle string, more ...string) {
		t.Helper()
		fleet := f.key.ID()
		f.Must(append([]string{"bundle", "open", bundle, "--identity", f.path("me.key"), "--fleet-id", fleet, "--dir", dc2.ConfigDir}, more...)...)
	}

	f.Must(append(ask, f.path("signed.bundle"))...)
	open(f.path("signed.bundle"), "--format", "files")
	dropIn := filepath.Join(dc2.ConfigDir, federation.FileDropIn)
	if text, err := os.ReadFile(dropIn); err != nil || !strings.Contains(string(text), dc2.Gateways[0].LAN) {
		t.Errorf("its servers do not go through its own gateway: %v", err)
	}
	dc2.start()
	joined()

	t.Log("the same without the fleet key, which the primary's agent refuses until its flag allows it")
	ask = append(ask, f.path("allowed.bundle"), "--unsigned")
	if out, problem, code := f.Run(ask...); code != 1 || !strings.Contains(problem, "--allow-bundle-recipient="+key.Recipient().String()) {
		t.Fatalf("exit code %d\n%s%s", code, out, problem)
	}
	a := dc1.Agents[0]
	a.stop()
	a.more = append(a.more, "--allow-bundle-recipient="+key.Recipient().String())
	a.Restart()
	f.Must(ask...)
	if err := os.Remove(dropIn); err != nil {
		t.Fatal(err)
	}
	open(f.path("allowed.bundle"), "--format", "hcl", "--out", filepath.Join(dc2.ConfigDir, "federation.hcl"))
	before := dc2.pids()
	dc2.start()
	if err := dc2.running(before); err != nil {
		t.Error(err)
	}
	joined()
}

// start is what a person does who has written its configuration: systemctl restart consul.
func (d *Datacenter) start() {
	d.f.t.Helper()
	if out, err := exec.CommandContext(d.f.t.Context(), "sh", "-c", d.RestartCommand()).CombinedOutput(); err != nil {
		d.f.t.Fatalf("%v\n%s", err, out)
	}
}
