package federation_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func TestStored(t *testing.T) {
	t.Parallel()
	good := federation.StoredBundle{Datacenter: "dc2", Generation: 1, SecretDigest: "d1", InputDigest: "i1", Recipients: []string{"age-dc2-a"}, Agent: "dc1-a"}
	with := func(edit func(*federation.StoredBundle)) federation.StoredBundle {
		b := good
		edit(&b)
		return b
	}
	for _, tt := range []struct {
		name   string
		change func(*world)
		bundle federation.StoredBundle
		code   fault.Code
	}{
		{"wanted", func(*world) {}, good, ""},
		{"somebody else was faster", func(w *world) { w.bundle(t, "dc2") }, good, fault.Conflict},
		{"a generation left out", func(*world) {}, with(func(b *federation.StoredBundle) { b.Generation = 2 }), fault.Conflict},
		{"no member", func(*world) {}, with(func(b *federation.StoredBundle) { b.Datacenter = "dc9" }), fault.Refused},
		{"the primary", func(*world) {}, with(func(b *federation.StoredBundle) { b.Datacenter = "dc1" }), fault.Refused},
		{"by hand, not asked for", func(*world) {}, with(func(b *federation.StoredBundle) { b.Recipient = "age1x" }), fault.Refused},
		{"blocked", func(w *world) {
			w.see("dc2", func(s *federation.Seen) { s.Inventory.TlsEnabled = new(false) })
			w.settle(t)
		}, good, fault.Refused},
		{"leaving", func(w *world) {
			w.edit(func(f *isthmusv1.Federation) { f.Spec.Secondaries = nil })
			w.settle(t)
		}, good, fault.Refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2")
			w.settle(t)
			tt.change(w)
			status, err := federation.Stored(w.f, tt.bundle, w.now)
			if tt.code != "" {
				if fault.CodeOf(err) != tt.code {
					t.Errorf("error %v, want %s", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w.edit(func(f *isthmusv1.Federation) { f.Status = status })
			b := w.member("dc2").GetBundle()
			if b.GetSecretDigest() != "d1" || b.GetMadeBy() != "dc1-a" || b.GetGeneration() != 1 || b.GetMakeTime() == nil {
				t.Errorf("%v", b)
			}
		})
	}
}

func TestRequested(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.settle(t)
	ask := func(datacenter, recipient string) error {
		status, err := federation.Requested(w.f, &isthmusv1.BundleRequest{Datacenter: datacenter, Recipient: recipient})
		if err == nil {
			w.edit(func(f *isthmusv1.Federation) { f.Status = status })
		}
		return err
	}
	for _, dc := range []string{"dc1", "dc9"} {
		if err := ask(dc, "age1x"); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v", dc, err)
		}
	}
	for i := range 20 {
		if err := ask("dc2", fmt.Sprint("age", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask("dc2", "age10"); err != nil {
		t.Fatal(err)
	}
	requests := w.f.GetStatus().GetBundleRequests()
	if len(requests) != 16 || requests[0].GetRecipient() != "age10" || requests[1].GetRecipient() != "age19" {
		t.Errorf("%d requests, the newest %v", len(requests), requests[0])
	}
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", Recipient: "age10", ErrorReason: "RecipientNotAllowed", Error: "no"}}
	})
	w.settle(t)
	if got := w.f.GetStatus().GetBundleRequests()[0].GetError(); got != "no" {
		t.Errorf("error %q", got)
	}
	for _, request := range w.primaryItem(t).GetRequests() {
		if request.GetRecipient() == "age10" {
			t.Error("what was refused is asked for again")
		}
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	member := func(phase, digest string) *isthmusv1.FederationMember {
		return &isthmusv1.FederationMember{Datacenter: "dc2", Role: resource.RoleSecondary, Phase: phase, Bundle: &isthmusv1.BundleEntry{Generation: 1, SecretDigest: digest}}
	}
	of := func(m *isthmusv1.FederationMember, requests ...*isthmusv1.BundleRequest) *isthmusv1.Federation {
		return &isthmusv1.Federation{Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{m}, BundleRequests: requests}}
	}
	for phase, fetch := range map[string]bool{
		resource.PhaseBlocked: false, resource.PhaseWaiting: false, resource.PhaseTrusting: false, resource.PhaseBundling: false,
		resource.PhaseDelivering: true, resource.PhaseJoining: true, resource.PhaseJoined: true, resource.PhaseLeaving: false,
	} {
		if got := federation.Digests(of(member(phase, "d")), "dc2"); (len(got) == 1) != fetch {
			t.Errorf("%s: %v", phase, got)
		}
	}
	byHand := &isthmusv1.BundleRequest{Datacenter: "dc2", Recipient: "age1x", SecretDigest: "h"}
	before, after := of(member(resource.PhaseJoined, "d1"), byHand), of(member(resource.PhaseJoined, "d2"))
	if diff := cmp.Diff([]string{"d1", "h"}, federation.Stores(before, "dc2")); diff != "" {
		t.Error(diff)
	}
	if got := federation.Digests(before, "dc2"); len(got) != 1 || got[0] != "d1" {
		t.Errorf("agents may fetch %v", got)
	}
	if diff := cmp.Diff([]string{"d1", "h"}, federation.SpentBundles(before.GetStatus(), after.GetStatus())); diff != "" {
		t.Error(diff)
	}
	if got := federation.SpentBundles(after.GetStatus(), after.GetStatus()); len(got) != 0 {
		t.Errorf("spent: %v", got)
	}
}
