package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// intention makes one out of a destination (service@where) and sources (service@where=action); where is datacenters (dc1,dc2), labels
// ([env=prod]), a peer (peer:acme) or nothing.
func intention(name, destination string, sources ...string) *isthmusv1.Intention {
	service, at, _ := strings.Cut(destination, "@")
	d := &isthmusv1.IntentionDestination{Service: service}
	d.Datacenters, d.Selector, _ = where(at)
	spec := &isthmusv1.IntentionSpec{Destination: d}
	for _, text := range sources {
		who, action, _ := cutLast(text, "=")
		service, at, _ := strings.Cut(who, "@")
		s := &isthmusv1.IntentionSource{Service: service, Action: action}
		s.Datacenters, s.Selector, s.Peer = where(at)
		if action == "get" {
			s.Action = ""
			s.Permissions = []*isthmusv1.IntentionPermission{{Action: "allow", Http: &isthmusv1.HTTPMatch{Methods: []string{"get"}}}}
		}
		spec.Sources = append(spec.Sources, s)
	}
	return &isthmusv1.Intention{Name: name, Spec: spec}
}

func cutLast(text, at string) (before, after string, found bool) {
	i := strings.LastIndex(text, at)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(at):], true
}

func where(at string) (datacenters []string, selector, peer string) {
	switch {
	case at == "":
	case strings.HasPrefix(at, "["):
		selector = strings.Trim(at, "[]")
	case strings.HasPrefix(at, "peer:"):
		peer = strings.TrimPrefix(at, "peer:")
	default:
		datacenters = strings.Split(at, ",")
	}
	return datacenters, selector, peer
}

func widely(i *isthmusv1.Intention) *isthmusv1.Intention {
	i.Spec.Scope = resource.ScopeFederation
	return i
}

func named(p *isthmusv1.Peering, acceptorsName, dialersName string) *isthmusv1.Peering {
	p.Spec.AcceptorPeerName, p.Spec.DialerPeerName = acceptorsName, dialersName
	return p
}

// parts are what a datacenter's Consul shall hold, one a line: entry, part, value.
func parts(r resource.Reader, datacenter string) []string {
	var out []string
	for _, e := range policy.Entries(r, datacenter).GetEntries() {
		for _, p := range e.GetParts() {
			out = append(out, fmt.Sprintf("%s/%s %s %s %s", e.GetKind(), e.GetName(), p.GetKey(), p.GetValue(), strings.Join(p.GetPolicies(), ",")))
		}
	}
	return out
}

// In the fleet dc1 (prod) is peered with dc2 (prod) and with dc3 (test).
func TestIntentions(t *testing.T) {
	t.Parallel()
	gone := intention("i", "api@dc1", "web@dc2=allow")
	gone.DeleteTime = timestamppb.New(noon)
	leaving := peering("dc1", "dc2")
	leaving.DeleteTime = timestamppb.New(noon)
	described := intention("i", "api@dc1", "web=allow")
	described.Spec.Sources[0].Description = "because"
	described.Spec.Adopt = true
	described.Spec.Sources[0].Namespace = "team"
	for _, tt := range []struct {
		name string
		also []resource.Object
		in   string
		want []string
	}{
		{"nothing", nil, "dc1", nil},
		{
			"as in the manual: a selector for sources",
			[]resource.Object{intention("api-from-web", "api@dc1", "web@[env=prod]=allow")},
			"dc1",
			[]string{
				`service-intentions/api source/default/web {"Name":"web","Action":"allow"} Intention/api-from-web`,
				`service-intentions/api source/default/web@dc2 {"Name":"web","Peer":"dc2","Action":"allow"} Intention/api-from-web`,
			},
		},
		{"elsewhere nothing of it", []resource.Object{intention("i", "api@dc1", "web@[env=prod]=allow")}, "dc2", nil},
		{
			"without a place: where the destination is",
			[]resource.Object{intention("i", "api@[env]", "web=deny")},
			"dc3",
			[]string{`service-intentions/api source/default/web {"Name":"web","Action":"deny"} Intention/i`},
		},
		{
			"the name that the destination has for its peer",
			[]resource.Object{named(peering("dc1", "dc2"), "west", "east"), intention("i", "api@dc1", "web@dc2=allow")},
			"dc1",
			[]string{`service-intentions/api source/default/web@west {"Name":"web","Peer":"west","Action":"allow"} Intention/i`},
		},
		{
			"the same at the other end",
			[]resource.Object{named(peering("dc1", "dc2"), "west", "east"), intention("i", "api@dc2", "web@dc1=allow")},
			"dc2",
			[]string{`service-intentions/api source/default/web@east {"Name":"web","Peer":"east","Action":"allow"} Intention/i`},
		},
		{"a datacenter that is not connected", []resource.Object{intention("i", "api@dc2", "web@dc3=allow")}, "dc2", nil},
		{"a peering that is being deleted", []resource.Object{leaving, intention("i", "api@dc1", "web@dc2=allow")}, "dc1", nil},
		{"an intention that is being deleted", []resource.Object{gone}, "dc1", nil},
		{
			"an external peer",
			[]resource.Object{intention("i", "*@dc1", "*@peer:acme=deny")},
			"dc1",
			[]string{`service-intentions/* source/default/*@acme {"Name":"*","Peer":"acme","Action":"deny"} Intention/i`},
		},
		{
			"permissions, in Consul's words",
			[]resource.Object{intention("i", "api@dc1", "web=get")},
			"dc1",
			[]string{`service-intentions/api source/default/web {"Name":"web","Permissions":[{"Action":"allow","HTTP":{"Methods":["GET"]}}]} Intention/i`},
		},
		{
			"a namespace and a description",
			[]resource.Object{described},
			"dc1",
			[]string{`service-intentions/api source/team/web {"Name":"web","Namespace":"team","Action":"allow","Description":"because"} Intention/i`},
		},
		{
			"two that agree",
			[]resource.Object{intention("a", "api@dc1", "web=allow"), intention("b", "api@[env=prod]", "web=allow", "app=deny")},
			"dc1",
			[]string{
				`service-intentions/api source/default/app {"Name":"app","Action":"deny"} Intention/b`,
				`service-intentions/api source/default/web {"Name":"web","Action":"allow"} Intention/a,Intention/b`,
			},
		},
		{
			"two that do not: nobody gets in whom one keeps out",
			[]resource.Object{intention("a", "api@dc1", "web=allow"), intention("b", "api@[env=prod]", "web=deny")},
			"dc1",
			[]string{`service-intentions/api source/default/web {"Name":"web","Action":"deny"} Intention/a,Intention/b`},
		},
		{
			"two that let in otherwise",
			[]resource.Object{intention("a", "api@dc1", "web=allow"), intention("b", "api@[env=prod]", "web=get")},
			"dc1",
			[]string{`service-intentions/api source/default/web {"Name":"web","Action":"deny"} Intention/a,Intention/b`},
		},
		{
			"one that does not agree with itself, by labels",
			[]resource.Object{intention("a", "api@dc1", "web@dc2=allow", "web@[env=prod]=deny")},
			"dc1",
			[]string{
				`service-intentions/api source/default/web {"Name":"web","Action":"deny"} Intention/a`,
				`service-intentions/api source/default/web@dc2 {"Name":"web","Peer":"dc2","Action":"deny"} Intention/a`,
			},
		},
		{
			"names that Consul takes for one",
			[]resource.Object{intention("a", "api@dc1", "web=allow"), intention("b", "API@dc1", "app=deny")},
			"dc1",
			[]string{`service-intentions/api source/default/web {"Name":"web","Action":"allow"} Intention/a`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Put(tt.also...)
			if diff := cmp.Diff(tt.want, parts(f, tt.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// In the fleet dc1 (prod) is the primary of dc2 (prod), and dc1 is peered with dc3 (test), dc2 with dc4 (test).
func TestIntentionsOfAFederation(t *testing.T) {
	t.Parallel()
	const allow = `source/default/web {"Name":"web","Action":"allow"} Intention/i`
	const deny = `source/default/web {"Name":"web","Action":"deny"} Intention/i`
	for _, tt := range []struct {
		name string
		also []resource.Object
		want []string
		// reasons are those of the problems in its status, and whether they refuse it when it is written.
		reasons []string
		refused bool
	}{
		{"all of it", []resource.Object{intention("i", "api@dc1,dc2", "web@[env=prod]=allow")}, []string{allow}, nil, false},
		{"all of it, without a word", []resource.Object{intention("i", "api@[env=prod]", "web=allow")}, []string{allow}, nil, false},
		{"a part of the destination", []resource.Object{intention("i", "api@dc2", "web=allow")}, nil, []string{"ScopeTooNarrow spec.destination"}, true},
		{"a part of the destination, said to be wider", []resource.Object{widely(intention("i", "api@dc2", "web=allow"))}, []string{allow}, nil, false},
		{"what denies fails closed", []resource.Object{intention("i", "api@dc2", "web=deny")}, []string{deny}, []string{"ScopeTooNarrow spec.destination"}, true},
		{"a part of the sources", []resource.Object{intention("i", "api@dc1,dc2", "web@dc1=allow")}, nil, []string{"ScopeTooNarrow spec.sources[0]"}, true},
		{"a part of the sources, said to be wider", []resource.Object{widely(intention("i", "api@dc1,dc2", "web@dc1=allow"))}, []string{allow}, nil, false},
		{"all sources, in two items", []resource.Object{intention("i", "api@dc1,dc2", "web@dc1=allow", "web@dc2=allow")}, []string{allow}, nil, false},
		{
			"all sources, in two items that differ",
			[]resource.Object{intention("i", "api@dc1,dc2", "web@dc1=allow", "web@dc2=deny")},
			[]string{deny},
			[]string{"ScopeTooNarrow spec.sources[0]", "ScopeTooNarrow spec.sources[1]"},
			true,
		},
		{
			"a peer of the primary",
			[]resource.Object{intention("i", "api@dc1,dc2", "web@dc3=allow")},
			[]string{`source/default/web@dc3 {"Name":"web","Peer":"dc3","Action":"allow"} Intention/i`},
			nil, false,
		},
		{
			"a peer of a secondary",
			[]resource.Object{intention("i", "api@dc1,dc2", "web@[env=test]=allow")},
			[]string{
				`source/default/web@dc3 {"Name":"web","Peer":"dc3","Action":"allow"} Intention/i`,
				`source/default/web@dc4 {"Name":"web","Peer":"dc4","Action":"allow"} Intention/i`,
			},
			nil, false,
		},
		{
			"one name for two peers",
			[]resource.Object{named(peering("dc1", "dc3"), "far", "dc1"), named(peering("dc2", "dc4"), "far", "dc2"), intention("i", "api@dc1,dc2", "web@dc3=allow")},
			nil,
			[]string{"PeerAmbiguous spec.sources[0]"},
			true,
		},
		{
			"one name for two peers, denied",
			[]resource.Object{named(peering("dc1", "dc3"), "far", "dc1"), named(peering("dc2", "dc4"), "far", "dc2"), intention("i", "api@dc1,dc2", "web@peer:far=deny")},
			[]string{`source/default/web@far {"Name":"web","Peer":"far","Action":"deny"} Intention/i`},
			[]string{"PeerAmbiguous spec.sources[0]"},
			true,
		},
		{"not connected", []resource.Object{datacenter("dc5", "test"), intention("i", "api@dc1,dc2", "web@dc5=allow")}, nil, []string{"NotConnected spec.sources[0]"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Delete(resource.KindPeering, "dc1-dc2")
			f.Delete(resource.KindPeering, "dc3-dc1")
			f.Put(datacenter("dc4", "test"), peering("dc1", "dc3"), peering("dc2", "dc4"), federated("dc1", "dc2"))
			f.Put(tt.also...)
			var want []string
			for _, part := range tt.want {
				want = append(want, "service-intentions/api "+part)
			}
			if diff := cmp.Diff(want, parts(f, "dc1")); diff != "" {
				t.Errorf("the primary (-want +got):\n%s", diff)
			}
			if got := parts(f, "dc2"); len(got) > 0 {
				t.Errorf("the secondary has its own: %v", got)
			}
			i, _ := f.Get(resource.KindIntention, "i")
			var reasons []string
			for _, p := range policy.StatusOf(f, i, silence, noon).GetProblems() {
				reasons = append(reasons, p.GetReason()+" "+p.GetField())
			}
			slices.Sort(reasons)
			if diff := cmp.Diff(tt.reasons, reasons); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if violations := policy.Check(f, i); (len(violations) > 0) != tt.refused {
				t.Errorf("it is refused: %v; want %v", violations, tt.refused)
			}
		})
	}
}

// silence: no agent has said anything.
func silence(string) (*isthmusv1.PolicyReport, bool) { return nil, false }

// What is refused says who else would be meant, and both cures; what is about to be a federation counts as one.
func TestScopeTooNarrow(t *testing.T) {
	t.Parallel()
	planned := &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc3"}}}
	narrow := intention("i", "api@dc1", "web@dc3=allow")
	f := fleet()
	f.Put(planned, narrow)
	violations := policy.Check(f, narrow)
	if len(violations) != 2 {
		t.Fatalf("violations: %v", violations)
	}
	for _, want := range []string{"web in dc1 would be meant", "scope: federation", "choose all of the federation's datacenters"} {
		if !strings.Contains(violations[0].Message, want) {
			t.Errorf("%s: %q is not said", violations[0].Message, want)
		}
	}
	if violations[0].Field != "spec.sources[0]" || violations[1].Field != "spec.destination" || violations[1].Reason != policy.ReasonScopeTooNarrow {
		t.Errorf("violations: %v", violations)
	}
	// As long as it is not one, what counts is the peering.
	want := []string{`service-intentions/api source/default/web@dc3 {"Name":"web","Peer":"dc3","Action":"allow"} Intention/i`}
	if diff := cmp.Diff(want, parts(f, "dc1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// And so the Federation itself is refused, for what it would make of the Intention.
	against := policy.Check(f, planned)
	if len(against) != 2 || against[0].Field != "spec.secondaries" || !strings.Contains(against[0].Message, "Intention/i") {
		t.Errorf("against the Federation: %v", against)
	}
	widely(narrow)
	if violations := append(policy.Check(f, narrow), policy.Check(f, planned)...); len(violations) > 0 {
		t.Errorf("with scope: federation: %v", violations)
	}
}

// What stood against a policy before, also in the federation as it was, is not the fault of what the federation is to be.
func TestFederationIsNotToBlameForWhatWas(t *testing.T) {
	t.Parallel()
	planned := func(secondaries ...string) *isthmusv1.Federation {
		return &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: secondaries}}
	}
	narrow := intention("i", "api@dc1", "web@dc1=allow")
	fleetOf := func(f *isthmusv1.Federation) *resourcetest.Fleet {
		out := fleet()
		out.Put(f, narrow)
		return out
	}
	was, less, other := planned("dc2", "dc3"), planned("dc2"), planned("dc3")
	if v := policy.Check(fleetOf(less), less); len(v) == 0 {
		t.Error("a new Federation that makes an Intention too narrow is not refused")
	}
	for _, is := range []*isthmusv1.Federation{was, less, other} {
		if v := policy.CheckFederation(fleetOf(is), is, fleetOf(was), was); len(v) > 0 {
			t.Errorf("with %v: %v", is.GetSpec().GetSecondaries(), v)
		}
	}
	if v := policy.CheckFederation(fleetOf(less), less, fleetOf(planned()), planned()); len(v) == 0 {
		t.Error("what comes with a secondary is not refused")
	}
	f := fleet()
	f.Put(less, intention("a", "db@dc1,dc2", "web@dc1,dc2=allow"), intention("b", "db@dc1,dc2", "web@dc1,dc2=deny"))
	if v := policy.Check(f, less); len(v) > 0 {
		t.Errorf("two Intentions that contradict each other in the primary: %v", v)
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		a, b *isthmusv1.Intention
		want string
	}{
		{"another action", intention("a", "api@dc1", "web=allow"), intention("b", "api@dc1", "app=allow", "web@dc1=deny"), "Contradicts spec.sources[1] Intention/a says otherwise of web calling api in its spec.sources[0]"},
		{"another spelling", intention("a", "api@dc1", "web=allow"), intention("b", "Api@dc1", "web=allow"), "Contradicts spec.destination.service Intention/a is about api"},
		{"itself", intention("a", "other@dc1", "web=allow"), intention("b", "api@dc1", "web=allow", "web@dc1=deny"), "Contradicts spec.sources[0] Intention/b says otherwise"},
		{"the same", intention("a", "api@dc1", "web=allow"), intention("b", "api@dc1", "web@dc1=allow"), ""},
		{"elsewhere", intention("a", "api@dc1", "web=allow"), intention("b", "api@dc2", "web=deny"), ""},
		{"another destination", intention("a", "api@dc1", "web=allow"), intention("b", "*@dc1", "web=deny"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Put(tt.a, tt.b)
			got := ""
			if v := policy.Check(f, tt.b); len(v) > 0 {
				got = v[0].Reason + " " + v[0].Field + " " + v[0].Message
			}
			if !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("refused: %s; want %s", got, tt.want)
			}
		})
	}
}

// A federation has one trust domain: a peer that is in one lets callers of all its members in.
func TestSharedTrust(t *testing.T) {
	t.Parallel()
	f := fleet()
	f.Delete(resource.KindPeering, "dc1-dc2")
	f.Put(datacenter("dc4", "test"), federated("dc2", "dc4"), peering("dc1", "dc2"))
	narrow := intention("i", "api@dc1", "web@dc2=allow")
	f.Put(narrow)
	status := policy.StatusOf(f, narrow, silence, noon)
	if p := status.GetProblems(); len(p) != 1 || p[0].GetReason() != policy.ReasonTrustShared || !strings.Contains(p[0].GetMessage(), "web in dc4") {
		t.Errorf("problems: %v", p)
	}
	if v := policy.Check(f, narrow); len(v) > 0 || len(parts(f, "dc1")) != 1 {
		t.Errorf("it is left out: %v", v)
	}
	if p := policy.StatusOf(f, widely(narrow), silence, noon).GetProblems(); len(p) > 0 {
		t.Errorf("with scope: federation: %v", p)
	}
}

// The Community Edition has no namespaces; what an agent has not told yet is left to Consul.
func TestNamespacesNeedEnterprise(t *testing.T) {
	t.Parallel()
	for version, refused := range map[string]bool{"": false, "1.20.6": true, "1.20.6+ent": false} {
		f := fleet()
		dc1 := datacenter("dc1", "prod")
		dc1.Status = &isthmusv1.DatacenterStatus{ConsulVersion: version}
		teams := intention("i", "api@dc1", "web=allow", "app=allow")
		teams.Spec.Sources[1].Namespace = "team"
		f.Put(dc1, teams)
		v := policy.Check(f, teams)
		if (len(v) == 1 && v[0].Reason == policy.ReasonNeedsEnterprise && v[0].Field == "spec.sources[1].namespace") != refused || len(v) > 1 {
			t.Errorf("%q: %v", version, v)
		}
		if got := parts(f, "dc1"); (len(got) == 1) != refused {
			t.Errorf("%q: %v", version, got)
		}
		teams.Spec.Destination.Namespace = "team"
		if got := parts(f, "dc1"); (len(got) == 0) != refused {
			t.Errorf("%q: %v", version, got)
		}
	}
}

// An entry holds as many sources as can be marked: one more is refused.
func TestTooManySourcesAreRefused(t *testing.T) {
	t.Parallel()
	for n, refused := range map[int]bool{1800: false, 1801: true} {
		var sources []string
		for i := range n {
			sources = append(sources, fmt.Sprintf("web%d=allow", i))
		}
		a, b := intention("a", "api@dc1", sources[:1000]...), intention("b", "api@dc1", sources[1000:]...)
		f := fleet()
		f.Put(a, b)
		v := policy.Check(f, b)
		if (len(v) == 1 && v[0].Reason == policy.ReasonTooMany) != refused || len(v) > 1 {
			t.Errorf("%d sources: %v", n, v)
		}
	}
}
