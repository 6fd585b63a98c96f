package resource_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

func labelled(name, env string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"env": env}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
}

func row(dc, phase string) *isthmusv1.FederationMember {
	return &isthmusv1.FederationMember{Datacenter: dc, Role: resource.RoleSecondary, Phase: phase}
}

func of(name, primary, selector string, rows ...*isthmusv1.FederationMember) *isthmusv1.Federation {
	return &isthmusv1.Federation{
		Name: name, Spec: &isthmusv1.FederationSpec{Primary: primary, SecondarySelector: selector}, Status: &isthmusv1.FederationStatus{Members: rows},
	}
}

func TestMemberships(t *testing.T) {
	t.Parallel()
	datacenters := []resource.Object{labelled("dc1", "prod"), labelled("dc2", "prod"), labelled("dc3", "test"), labelled("dc4", "test")}
	going := of("a", "dc1", "env=prod", row("dc2", resource.PhaseLeaving))
	going.DeleteTime = timestamppb.Now()
	for _, tt := range []struct {
		name    string
		objects []resource.Object
		want    map[string]string
	}{
		{"none", nil, nil},
		{"by labels", []resource.Object{of("a", "dc1", "env=prod")}, map[string]string{"dc1": "a primary", "dc2": "a secondary"}},
		{"two want one", []resource.Object{of("b", "dc4", "env=prod"), of("a", "dc3", "env=prod")}, map[string]string{
			"dc3": "a primary", "dc4": "b primary", "dc1": "a secondary", "dc2": "a secondary",
		}},
		{"who has begun stays", []resource.Object{of("b", "dc4", "env=prod", row("dc2", resource.PhaseJoined)), of("a", "dc3", "env=prod", row("dc2", resource.PhaseBlocked))}, map[string]string{
			"dc3": "a primary", "dc4": "b primary", "dc1": "a secondary", "dc2": "b secondary",
		}},
		{"a primary is nobody's secondary", []resource.Object{of("b", "dc1", ""), of("a", "dc3", "env=prod")}, map[string]string{
			"dc3": "a primary", "dc1": "b primary", "dc2": "a secondary",
		}},
		{"no longer wanted", []resource.Object{of("a", "dc1", "", row("dc2", resource.PhaseJoined))}, map[string]string{"dc1": "a primary", "dc2": "a secondary leaving"}},
		{"no longer wanted, and never begun", []resource.Object{of("a", "dc1", "", row("dc2", resource.PhaseBlocked))}, map[string]string{"dc1": "a primary"}},
		{"being deleted", []resource.Object{going}, map[string]string{"dc1": "a primary leaving", "dc2": "a secondary leaving"}},
	} {
		got := resource.Memberships(resourcetest.New(append(tt.objects, datacenters...)...))
		if len(got) != len(tt.want) {
			t.Errorf("%s: %v", tt.name, got)
		}
		for dc, m := range got {
			text := m.Federation.GetName() + " " + m.Role
			if m.Leaving {
				text += " leaving"
			}
			if text != tt.want[dc] {
				t.Errorf("%s: %s is %q, want %q", tt.name, dc, text, tt.want[dc])
			}
			if m.Member != resource.MemberOf(m.Federation, dc) {
				t.Errorf("%s: %s has the row %v", tt.name, dc, m.Member)
			}
		}
	}
}

func TestFederationsOf(t *testing.T) {
	t.Parallel()
	f := resourcetest.New(
		labelled("dc1", "prod"), labelled("dc2", "prod"), labelled("dc3", "test"), labelled("dc4", "test"), labelled("dc5", "test"),
		of("a", "dc1", "env=prod", row("dc3", resource.PhaseLeaving)), of("b", "dc4", ""),
	)
	for of, want := range map[string][]string{"": nil, "dc1": {"a"}, "dc2": {"a"}, "dc3": {"a"}, "dc4": {"b"}, "dc5": nil, "dc2 dc4": {"a", "b"}} {
		asked := map[string]bool{}
		for dc := range strings.FieldsSeq(of) {
			asked[dc] = true
		}
		var got []string
		for federation, members := range resource.FederationsOf(f, asked) {
			got = append(got, federation.GetName())
			if !slices.Equal(members, resource.MembersOf(f, federation)) {
				t.Errorf("members of %s: %v", federation.GetName(), members)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %q: %v, want %v", of, got, want)
		}
	}
}

func TestTrustedAgents(t *testing.T) {
	t.Parallel()
	enrolled := func(name, dc, kind, trust, fleet string) *isthmusv1.Agent {
		return &isthmusv1.Agent{
			Name: name, Spec: &isthmusv1.AgentSpec{Datacenter: dc, Kind: kind, Attestation: &isthmusv1.Attestation{
				Agent: name, Grant: &isthmusv1.JoinGrant{FleetKey: []byte(fleet)},
			}},
			Status: &isthmusv1.AgentStatus{Trust: trust},
		}
	}
	f := resourcetest.New(
		enrolled("a", "dc1", "agent", resource.TrustFleet, "ours"), enrolled("b", "dc2", "agent", resource.TrustFleet, "ours"),
		enrolled("c", "dc2", "agent", resource.TrustNone, "ours"), enrolled("d", "dc2", "gateway", resource.TrustFleet, "ours"),
		enrolled("e", "dc2", "agent", resource.TrustFleet, "theirs"),
	)
	names := func(agents []*isthmusv1.TrustedAgent) string {
		out := ""
		for _, a := range agents {
			out += a.GetAttestation().GetAgent()
		}
		return out
	}
	if got := names(resource.TrustedAgents(f, "dc2")); got != "be" {
		t.Errorf("trusted: %s", got)
	}
	if got := names(resource.Recipients(f, "dc1", "dc2")); got != "b" {
		t.Errorf("sealed to: %s", got)
	}
	if got := names(resource.Recipients(f, "dc9", "dc2")); got != "" {
		t.Errorf("sealed by nobody to: %s", got)
	}
}

func TestValidateFederation(t *testing.T) {
	t.Parallel()
	for field, edit := range map[string]func(*isthmusv1.FederationSpec){
		"":                       func(*isthmusv1.FederationSpec) {},
		"spec.primary":           func(s *isthmusv1.FederationSpec) { s.Primary = "" },
		"spec.secondarySelector": func(s *isthmusv1.FederationSpec) { s.SecondarySelector = "env=prod" },
		"spec.secondaries[0]":    func(s *isthmusv1.FederationSpec) { s.Secondaries = []string{"dc1"} },
		"spec.secondaries[1]":    func(s *isthmusv1.FederationSpec) { s.Secondaries = []string{"dc2", "dc2"} },
		"spec.mode":              func(s *isthmusv1.FederationSpec) { s.Mode = "other" },
		"spec.meshGatewayMode":   func(s *isthmusv1.FederationSpec) { s.Mode, s.MeshGatewayMode = resource.ModeTraditional, "local" },
		"spec.retryIntervalWAN":  func(s *isthmusv1.FederationSpec) { s.RetryIntervalWan = "1ms" },
		"spec.acceptDataLoss[1].datacenter": func(s *isthmusv1.FederationSpec) {
			s.AcceptDataLoss = []*isthmusv1.AcceptedLoss{{Datacenter: "dc2", PlanDigest: "a"}, {Datacenter: "dc2", PlanDigest: "b"}}
		},
	} {
		f := &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc2"}}}
		resource.Default(f)
		edit(f.GetSpec())
		err := resource.Validate(f)
		if field == "" {
			if err != nil || f.GetSpec().GetMode() != resource.ModeMeshGateway || f.GetSpec().GetRetryIntervalWan() != "2s" {
				t.Errorf("%v: %v", f, err)
			}
			continue
		}
		var e *fault.Error
		if !errors.As(err, &e) || len(e.Violations) == 0 || e.Violations[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// The federations of some datacenters are those that have one of them among their members.
func TestFederationsOfAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := resourcetest.New()
		names := []string{"dc1", "dc2", "dc3", "dc4", "dc5"}
		for _, name := range names {
			f.Put(&isthmusv1.Datacenter{Name: name, Labels: map[string]string{"env": rapid.SampledFrom([]string{"prod", "test"}).Draw(t, "env")}})
		}
		some := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID)
		for _, name := range []string{"a", "b"} {
			fed := &isthmusv1.Federation{Name: name, Spec: &isthmusv1.FederationSpec{Primary: rapid.SampledFrom(names).Draw(t, "primary")}, Status: &isthmusv1.FederationStatus{}}
			switch rapid.IntRange(0, 2).Draw(t, "wanted") {
			case 0:
				fed.Spec.Secondaries = some.Draw(t, "secondaries")
			case 1:
				fed.Spec.SecondarySelector = rapid.SampledFrom([]string{"env=prod", "env=none"}).Draw(t, "selector")
			}
			for _, m := range some.Draw(t, "members") {
				fed.Status.Members = append(fed.Status.Members, &isthmusv1.FederationMember{Datacenter: m, Role: resource.RoleSecondary})
			}
			if rapid.IntRange(0, 3).Draw(t, "going") == 0 {
				fed.DeleteTime = timestamppb.New(time.Unix(1, 0))
			}
			f.Put(fed)
		}
		of := map[string]bool{}
		for _, name := range some.Draw(t, "of") {
			of[name] = true
		}
		var got, want []string
		for fed, members := range resource.FederationsOf(f, of) {
			got = append(got, fed.GetName()+fmt.Sprint(members))
		}
		for fed := range resource.All[*isthmusv1.Federation](f, resource.KindFederation) {
			if members := resource.MembersOf(f, fed); slices.ContainsFunc(members, func(dc string) bool { return of[dc] }) {
				want = append(want, fed.GetName()+fmt.Sprint(members))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the federations of %v are %q, want %q", of, got, want)
		}
	})
}
