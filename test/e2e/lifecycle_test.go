package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// The life of a peering, as an operator sees it: made, rotated, broken at either end, deleted while an end is down.
func TestPeeringLifeCycle(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	f.Declare("dc1", "dc2")
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	f.Healthy("dc1-dc2")

	t.Log("the ledger says who made the token and who used it, and when")
	entry := f.Peering("dc1-dc2").GetStatus().GetToken().GetLedger()[0]
	if entry.GetMadeBy() != dc1.Agents[0].Name() || entry.GetDeliveredTo() != dc2.Agents[0].Name() ||
		entry.GetUsedBy() != dc2.Agents[0].Name() || entry.GetOutcome() != "used" || entry.GetUseTime() == nil {
		t.Errorf("ledger %v", entry)
	}

	t.Log("a rotation brings a new token without an interruption")
	before := dc2.Peerings()["dc1"].PeerID
	f.Must("peering", "rotate", "dc1-dc2")
	f.Eventually("the second token is used", func() error { return used(f, "dc1-dc2", 2) })
	f.Healthy("dc1-dc2")
	if after := dc2.Peerings()["dc1"].PeerID; after != before {
		t.Errorf("the peering was made anew: %s → %s", before, after)
	}

	t.Log("the dialer's Consul is reinstalled")
	if err := dc2.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Eventually("a token of a later generation is used", func() error { return used(f, "dc1-dc2", 3) })
	f.Healthy("dc1-dc2")

	t.Log("the acceptor's Consul is reinstalled")
	wiped := f.Peering("dc1-dc2").GetStatus().GetToken().GetGeneration()
	if err := dc1.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Eventually("a token of a later generation is used", func() error { return used(f, "dc1-dc2", wiped+1) })
	f.Healthy("dc1-dc2")

	t.Log("somebody deletes one end by hand: isthmus puts it back")
	wiped = f.Peering("dc1-dc2").GetStatus().GetToken().GetGeneration()
	dc1.Do(http.MethodDelete, "/v1/peering/dc2", nil, nil)
	f.Eventually("a token of a later generation is used", func() error { return used(f, "dc1-dc2", wiped+1) })
	f.Healthy("dc1-dc2")

	t.Log("the peering is deleted while the dialer is down: it is tracked until both ends are gone")
	if err := dc2.Kill(); err != nil {
		t.Fatal(err)
	}
	f.Must("delete", "peering", "dc1-dc2")
	f.Eventually("the acceptor's end is gone", func() error { return absent(dc1, "dc2") })
	if p := f.Peering("dc1-dc2"); p.GetDeleteTime() == nil || p.GetStatus().GetVerdict() != "deleting" {
		t.Errorf("with one end left it is %s, want deleting", p.GetStatus().GetVerdict())
	}
	if err := dc2.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Gone("Peering", "dc1-dc2")
	if err := absent(dc2, "dc1"); err != nil {
		t.Error(err)
	}
}

// used tells whether a token of a generation, or a later one, was used.
func used(f *Fleet, peering string, generation int32) error {
	token := f.Peering(peering).GetStatus().GetToken()
	for _, entry := range token.GetLedger() {
		if entry.GetGeneration() >= generation && entry.GetOutcome() == "used" {
			return nil
		}
	}
	return fmt.Errorf("generation %d (%s), ledger %v", token.GetGeneration(), token.GetReason(), token.GetLedger())
}

func absent(d *Datacenter, peer string) error {
	if p, there := d.Peerings()[peer]; there {
		return fmt.Errorf("%s still has a peering %s, %s", d.Cluster.Datacenter, peer, p.State)
	}
	return nil
}

// What people made in Consul themselves is shown and never touched, whatever isthmus is asked to do.
func TestForeignPeeringsAreShownAndLeftAlone(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Bare("dc1"), f.Bare("dc2")
	var made struct{ PeeringToken string }
	dc1.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "dc2", "Meta": map[string]string{"owner": "ops"}}, &made)
	dc2.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": "dc1", "PeeringToken": made.PeeringToken}, nil)
	dc1.Enrol()
	dc2.Enrol()
	f.Declare("dc1", "dc2")
	f.Eventually("it is shown as foreign", func() error {
		dc, err := client.Lookup[*isthmusv1.Datacenter](t.Context(), f.Client, "dc1")
		if err != nil {
			return err
		}
		for _, p := range dc.GetStatus().GetForeignPeerings() {
			if p.GetPeerName() == "dc2" && p.GetOrigin() == "foreign" && p.GetState() == "ACTIVE" {
				return nil
			}
		}
		return fmt.Errorf("foreign peerings: %v", dc.GetStatus().GetForeignPeerings())
	})

	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	f.Eventually("isthmus says that the name is taken", func() error {
		s := f.Peering("dc1-dc2").GetStatus()
		if s.GetAcceptor().GetErrorReason() == "NameTaken" && s.GetVerdict() == "failing" {
			return nil
		}
		return fmt.Errorf("%s: %s; acceptor %q", s.GetVerdict(), s.GetMessage(), s.GetAcceptor().GetErrorReason())
	})
	f.Must("delete", "peering", "dc1-dc2", "--wait", "60s")
	for dc, peer := range map[*Datacenter]string{dc1: "dc2", dc2: "dc1"} {
		if p := dc.Peerings()[peer]; p.State != "ACTIVE" || p.Meta["managed-by"] == "isthmus" {
			t.Errorf("the people's own peering is %s with meta %v now", p.State, p.Meta)
		}
	}
	if got := dc1.Peerings()["dc2"].Meta["owner"]; got != "ops" {
		t.Errorf("its owner is %q now", got)
	}
}

// A name of one's own at each end, and an operator who asks for more than there is.
func TestNamesOnEachSideAndAnUnknownDatacenter(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	f.Declare("dc1", "dc2", "dc3")
	f.Apply("kind: Peering\nname: atlantic\nspec: {acceptor: dc1, dialer: dc2, acceptorPeerName: west, dialerPeerName: east}\n")
	f.Apply("kind: Peering\nname: nowhere\nspec: {acceptor: dc1, dialer: dc3}\n")
	f.Healthy("atlantic")
	if dc1.Peerings()["west"].State != "ACTIVE" || dc2.Peerings()["east"].State != "ACTIVE" {
		t.Errorf("peerings %v and %v", dc1.Peerings(), dc2.Peerings())
	}
	s := f.Peering("nowhere").GetStatus()
	if s.GetVerdict() == "healthy" || s.GetToken().GetGeneration() != 0 {
		t.Errorf("nobody is in dc3, and yet the peering is %s with token %d", s.GetVerdict(), s.GetToken().GetGeneration())
	}
	if _, _, code := f.Run("status"); code != 2 {
		t.Errorf("isthmus status ends with %d, want 2: unknown is degraded", code)
	}
	f.Must("delete", "peering", "nowhere", "--force")
	f.Must("delete", "datacenter", "dc3")
	f.Eventually("all is well", func() error {
		if out, _, code := f.Run("status"); code != 0 {
			return errors.New(out)
		}
		return nil
	})
}
