package resource_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Every kind has the same metadata fields, and manifests can hold every spec that is applied.
func TestKinds(t *testing.T) {
	t.Parallel()
	words := map[string]string{}
	for _, k := range resource.Kinds() {
		o := k.New()
		fields := o.ProtoReflect().Descriptor().Fields()
		for number, want := range map[protoreflect.FieldNumber]string{
			1: "name", 2: "labels", 3: "uid", 4: "generation", 5: "index", 6: "createTime", 7: "updateTime", 8: "deleteTime", 10: "spec", 11: "status",
		} {
			if field := fields.ByNumber(number); field == nil || field.JSONName() != want {
				t.Errorf("%s: field %d is not %s", k.Name, number, want)
			}
		}
		if got := resource.KindOf(o).Name; got != k.Name {
			t.Errorf("%s is of kind %s", k.Name, got)
		}
		if k.Datacenters == nil || k.Manifest == (k.Origin != "") {
			t.Errorf("%s: its row is not complete", k.Name)
		}
		for _, word := range []string{k.Plural, k.Singular, k.Short} {
			if other, taken := words[word]; word != "" && taken && other != k.Name {
				t.Errorf("%s: %s and %s", word, other, k.Name)
			}
			words[word] = k.Name
		}
		for _, column := range k.Columns {
			if column.Value(o) == "" || column.Title != strings.ToUpper(column.Title) {
				t.Errorf("%s: column %s", k.Name, column.Title)
			}
		}
		for _, fixed := range k.Fixed {
			if field := resource.Spec(o).ProtoReflect().Descriptor().Fields().ByJSONName(strings.TrimPrefix(fixed, "spec.")); field == nil {
				t.Errorf("%s: no field %s", k.Name, fixed)
			}
		}
		if k.Manifest {
			supported(t, resource.Spec(o).ProtoReflect().Descriptor())
		}
		// What has no spec at all is invalid, and says so without a panic.
		if err := resource.Validate(o); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}

// supported fails for a field that the manifest decoder does not read.
func supported(t *testing.T, m protoreflect.MessageDescriptor) {
	t.Helper()
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		switch field.Kind() {
		case protoreflect.StringKind, protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.DoubleKind:
		case protoreflect.MessageKind:
			if field.IsMap() {
				t.Errorf("%s: manifests have no maps of messages yet", field.FullName())
				continue
			}
			supported(t, field.Message())
		default:
			t.Errorf("%s: manifests have no %s yet", field.FullName(), field.Kind())
		}
	}
}

func TestKindNamed(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"Peering": "Peering", "peerings": "Peering", "PEERING": "Peering", "dc": "Datacenter", "pg": "PeeringGroup", "": "", "pe": "",
	} {
		if k, ok := resource.KindNamed(word); k.Name != want || ok != (want != "") {
			t.Errorf("%q: %q", word, k.Name)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	peering := func(spec *isthmusv1.PeeringSpec) resource.Object { return &isthmusv1.Peering{Name: "p", Spec: spec} }
	group := func(spec *isthmusv1.PeeringGroupSpec) resource.Object {
		return &isthmusv1.PeeringGroup{Name: "g", Spec: spec}
	}
	export := func(spec *isthmusv1.ServiceExportSpec) resource.Object {
		return &isthmusv1.ServiceExport{Name: "e", Spec: spec}
	}
	for _, c := range []struct {
		name   string
		object resource.Object
		want   []string
	}{
		{"datacenter", &isthmusv1.Datacenter{Name: "d", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}, nil},
		{"datacenter without spec", &isthmusv1.Datacenter{Name: "d"}, []string{"spec.runtime: is required: one of vm, kubernetes"}},
		{"datacenter on a VM with Kubernetes", &isthmusv1.Datacenter{Name: "d", Spec: &isthmusv1.DatacenterSpec{
			Runtime: "vm", Drift: "shout", ConsulDatacenter: "A b", Kubernetes: &isthmusv1.KubernetesSpec{ApiUrl: "http://x"},
		}}, []string{
			`spec.drift: "shout" is not one of correct, report`,
			`spec.consulDatacenter: "A b" is not a Consul datacenter's name: lower-case letters, digits, '-' and '_'`,
			`spec.kubernetes: is only for runtime: kubernetes`,
			`spec.kubernetes.apiUrl: "http://x" is not an https URL: for example https://api.example.com:6443`,
		}},
		{"gateway", &isthmusv1.Gateway{Name: "g", Spec: &isthmusv1.GatewaySpec{Datacenter: "d", WanAddress: "[::1]:1", LanAddress: "gw.example.com:8443"}}, nil},
		{"gateway without addresses", &isthmusv1.Gateway{Name: "g", Spec: &isthmusv1.GatewaySpec{WanAddress: "a", LanAddress: "h:0", Source: "x"}}, []string{
			`spec.datacenter: is required`,
			`spec.source: "x" is not one of static, discovered`,
			`spec.wanAddress: "a" is not host:port: for example gw.example.com:8443, 192.0.2.1:8443 or [2001:db8::1]:8443`,
			`spec.lanAddress: "h:0" is not host:port: the port must be a number from 1 to 65535`,
		}},
		{"peering", peering(&isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "b", ServerExternalAddresses: []string{"lb:1"}}), nil},
		{"external peering", peering(&isthmusv1.PeeringSpec{Acceptor: "a", ExternalDialer: "a"}), nil},
		{"peering of nobody", peering(&isthmusv1.PeeringSpec{TokenGeneration: -1}), []string{
			`spec.tokenGeneration: -1 is not allowed: must be at least 0`,
			`spec.acceptor: is required: exactly one of acceptor (a datacenter) and externalAcceptor (a cluster without isthmus)`,
			`spec.dialer: is required: exactly one of dialer (a datacenter) and externalDialer (a cluster without isthmus)`,
		}},
		{"peering of too many", peering(&isthmusv1.PeeringSpec{Acceptor: "a", ExternalAcceptor: "x", Dialer: "b"}), []string{
			`spec.externalAcceptor: stands beside acceptor: exactly one of acceptor (a datacenter) and externalAcceptor (a cluster without isthmus)`,
		}},
		{"peering with itself", peering(&isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "a"}), []string{
			`spec.dialer: "a" is the acceptor too: a datacenter cannot be peered with itself`,
		}},
		{"peering of others", peering(&isthmusv1.PeeringSpec{ExternalAcceptor: "a", ExternalDialer: "b"}), []string{
			`spec.externalDialer: stands beside externalAcceptor: at least one end must be a datacenter of this fleet`,
		}},
		{"peer names", peering(&isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "b", DialerPeerName: "A!", ServerExternalAddresses: []string{""}}), []string{
			`spec.dialerPeerName: "A!" is not a name: lower-case letters, digits and '-', beginning and ending with a letter or digit, at most 63 characters`,
			`spec.serverExternalAddresses[0]: is required: host:port`,
		}},
		{"group", group(&isthmusv1.PeeringGroupSpec{Shape: "hub-and-spoke", Selector: "a", Hub: "role=hub", MaxDeletions: proto.Int32(0)}), nil},
		{"group of nobody", group(&isthmusv1.PeeringGroupSpec{Shape: "star"}), []string{
			`spec.shape: "star" is not one of full-mesh, hub-and-spoke`,
			`spec.selector: is required: exactly one of datacenters (names) and selector (labels, for example env=prod)`,
		}},
		{"selector", group(&isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Selector: "(("}), []string{
			`spec.selector: "((" does not parse as a label selector: found '(', expected: !, identifier, or 'end of string'; for example env=prod,region in (eu,us),!old`,
		}},
		{"group of both", group(&isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Selector: "a=b", Datacenters: []string{"a", "a"}, Hub: "(("}), []string{
			`spec.selector: stands beside datacenters: exactly one of datacenters and selector`,
			`spec.datacenters[1]: "a" is there twice`,
			`spec.hub: is only for shape: hub-and-spoke`,
		}},
		{"hub without selector", group(&isthmusv1.PeeringGroupSpec{Shape: "hub-and-spoke", Datacenters: []string{"a"}}), []string{
			`spec.hub: is required: a selector that tells which members are hubs, for example role=hub`,
		}},
		{"export", export(&isthmusv1.ServiceExportSpec{Service: "*", Selector: "a", Consumers: &isthmusv1.ExportConsumers{Peers: []string{"x"}}}), nil},
		{"export of nothing", export(&isthmusv1.ServiceExportSpec{}), []string{
			`spec.service: is required`,
			`spec.consumers: is required`,
			`spec.selector: is required: exactly one of datacenters (names) and selector (labels, for example env=prod)`,
		}},
		{"export to nobody", export(&isthmusv1.ServiceExportSpec{Service: "consul", Datacenters: []string{"a"}, Consumers: &isthmusv1.ExportConsumers{}}), []string{
			`spec.service: Consul never exports its own service "consul"`,
			`spec.consumers.selector: is required: exactly one of datacenters (names) and selector (labels, for example env=prod)`,
		}},
		{"NUL", export(&isthmusv1.ServiceExportSpec{Service: "a\x00", Datacenters: []string{"a"}, Consumers: &isthmusv1.ExportConsumers{Selector: "\xff"}}), []string{
			`spec.service: must be UTF-8 text without NUL`,
			`spec.consumers.selector: must be UTF-8 text without NUL`,
		}},
		{"token", &isthmusv1.APIToken{Name: "t", Spec: &isthmusv1.APITokenSpec{Role: "root"}}, []string{
			`spec.role: "root" is not one of admin, operator, viewer`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := resource.Validate(c.object)
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			got := lines(t, err)
			// The order within one message is protobuf's, which is not fixed.
			less := func(a, b string) bool { return a < b }
			if diff := cmp.Diff(c.want, got, cmpopts.SortSlices(less)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateUpdate(t *testing.T) {
	t.Parallel()
	before := &isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "b"}}
	after := resource.Clone(before)
	after.Spec.TokenGeneration = 3
	if err := resource.ValidateUpdate(before, after); err != nil {
		t.Error(err)
	}
	before.Spec.TokenGeneration = 4
	lower := []string{"spec.tokenGeneration: cannot go down from 4 to 3: leave it out to keep it, or raise it to ask for a new token"}
	if diff := cmp.Diff(lower, lines(t, resource.ValidateUpdate(before, after))); diff != "" {
		t.Error(diff)
	}
	before.Spec.TokenGeneration = 3
	after.Spec.Dialer = "c"
	want := []string{`spec.dialer: cannot change from "b" to "c": delete Peering p and create another one`}
	if diff := cmp.Diff(want, lines(t, resource.ValidateUpdate(before, after))); diff != "" {
		t.Error(diff)
	}
}

func TestPeeringClaims(t *testing.T) {
	t.Parallel()
	claims := func(spec *isthmusv1.PeeringSpec) []resource.Claim {
		p := &isthmusv1.Peering{Name: "p", Spec: spec}
		resource.Default(p)
		return resource.KindOf(p).Claims(p)
	}
	ab, ba := claims(&isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "b"}), claims(&isthmusv1.PeeringSpec{Acceptor: "b", Dialer: "a"})
	if ab[0] != ba[0] || ab[0] != (resource.Claim{Scope: resource.ScopePeeringPair, Key: "a/b"}) {
		t.Errorf("%v %v", ab, ba)
	}
	want := []resource.Claim{
		{Scope: resource.ScopePeeringPair, Key: "a/external:b"},
		{Scope: resource.ScopePeerName, Key: "a/b"},
	}
	if diff := cmp.Diff(want, claims(&isthmusv1.PeeringSpec{Acceptor: "a", ExternalDialer: "b"})); diff != "" {
		t.Error(diff)
	}
}

func TestSelector(t *testing.T) {
	t.Parallel()
	s, err := resource.ParseSelector("env in (b,a),!old")
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != "!old,env in (a,b)" && s.String() != "env in (a,b),!old" {
		t.Error(s.String())
	}
	if !s.Matches(map[string]string{"env": "a"}) || s.Matches(map[string]string{"env": "a", "old": ""}) || s.Matches(nil) {
		t.Error("matches")
	}
	if (resource.Selector{}).Matches(nil) {
		t.Error("the zero selector matches")
	}
	for _, bad := range []string{"", "  ", "a=b=c", "a in", "-"} {
		if _, err := resource.ParseSelector(bad); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	before := &isthmusv1.Peering{Name: "p", Labels: map[string]string{"a": "1", "example.com/x": "<"}, Spec: &isthmusv1.PeeringSpec{
		Acceptor: "a", Dialer: "b", ServerExternalAddresses: []string{"x:1"},
	}}
	after := resource.Clone(before)
	after.Labels = map[string]string{"a": "2"}
	after.Spec.ServerExternalAddresses = nil
	after.Spec.ThroughGateways = new(false)
	want := []*isthmusv1.FieldChange{
		{Field: "labels.a", Before: `"1"`, After: `"2"`},
		{Field: `labels["example.com/x"]`, Before: `"<"`},
		{Field: "spec.serverExternalAddresses", Before: `["x:1"]`},
		{Field: "spec.throughGateways", After: "false"},
	}
	if diff := cmp.Diff(want, resource.Diff(before, after), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if n := len(resource.Diff(nil, after)); n != 4 {
		t.Errorf("%d fields of a creation", n)
	}
	if n := len(resource.Diff(after, nil)); n != 4 {
		t.Errorf("%d fields of a deletion", n)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	p := &isthmusv1.Peering{Name: "p", Index: 1 << 60, Spec: &isthmusv1.PeeringSpec{Dialer: "b<", Acceptor: "a"}}
	text, err := resource.CanonicalJSON(p)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"index":"1152921504606846976","name":"p","spec":{"acceptor":"a","dialer":"b<"}}`; string(text) != want {
		t.Error(string(text))
	}
	other := resource.Clone(p)
	other.Index = 2
	if resource.SpecDigest(p) != resource.SpecDigest(other) || resource.Digest(p) == resource.Digest(other) {
		t.Error("digests")
	}
}

// gRPC lets times in that are none; they have no JSON, and so no digest.
func TestTimesThatAreNone(t *testing.T) {
	t.Parallel()
	never := &timestamppb.Timestamp{Seconds: 1 << 60}
	grant := &isthmusv1.JoinGrant{
		Name: "t", Kind: resource.AgentKindAgent, Datacenter: "dc1", OneTimeKey: make([]byte, 32), ExpireTime: never, MaxUses: 1,
	}
	for want, o := range map[string]resource.Object{
		"spec.expireTime: is not a time between the years 1 and 9999": &isthmusv1.APIToken{
			Name: "t", Spec: &isthmusv1.APITokenSpec{Role: resource.RoleViewer, ExpireTime: never},
		},
		"spec.grant.expireTime: is not a time between the years 1 and 9999": &isthmusv1.JoinToken{Name: "t", Spec: &isthmusv1.JoinTokenSpec{Grant: grant}},
		"spec.attestation.grant.expireTime: is not a time between the years 1 and 9999": &isthmusv1.Agent{
			Name: "t", Spec: &isthmusv1.AgentSpec{Datacenter: "dc1", Kind: resource.AgentKindAgent, Attestation: &isthmusv1.Attestation{Grant: grant}},
		},
	} {
		if diff := cmp.Diff([]string{want}, lines(t, resource.Validate(o))); diff != "" {
			t.Error(diff)
		}
	}
}

// What passes CheckMessage has JSON.
func TestCheckMessage(t *testing.T) {
	t.Parallel()
	never := &timestamppb.Timestamp{Nanos: -1}
	for _, tt := range []struct {
		name string
		m    *isthmusv1.ReportRequest
		want []string
	}{
		{name: "empty", m: &isthmusv1.ReportRequest{}},
		{name: "without some parts", m: &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Host: "ü"}}},
		{
			name: "times that are none", m: &isthmusv1.ReportRequest{Inventory: &isthmusv1.InventoryReport{CaExpireTime: never}},
			want: []string{"inventory.caExpireTime: is not a time between the years 1 and 9999"},
		},
		{
			name: "no text", m: &isthmusv1.ReportRequest{
				Agent:    &isthmusv1.AgentReport{UnknownItems: []string{"fine", "\xff"}},
				Peerings: &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{{PeerName: "\xff"}}},
			},
			want: []string{"agent.unknownItems[1]: must be UTF-8 text without NUL", "peerings.peerings[0].peerName: must be UTF-8 text without NUL"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := resource.CheckMessage(tt.m)
			if (err != nil) != (tt.want != nil) {
				t.Fatal(err)
			}
			if err != nil {
				if diff := cmp.Diff(tt.want, lines(t, err)); diff != "" {
					t.Error(diff)
				}
			}
			if _, jsonErr := resource.CanonicalJSON(tt.m); (jsonErr == nil) != (err == nil) {
				t.Errorf("as JSON: %v", jsonErr)
			}
		})
	}
}

func TestSetCondition(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	dc := &isthmusv1.Datacenter{Generation: 1}
	first := resource.SetCondition(dc, nil, &isthmusv1.Condition{Type: "Ready", Status: "false", Reason: "A"}, start)
	same := resource.SetCondition(dc, first, &isthmusv1.Condition{Type: "Ready", Status: "false", Reason: "B"}, start.Add(time.Hour))
	if c := resource.FindCondition(same, "Ready"); c.GetReason() != "B" || !c.GetLastTransitionTime().AsTime().Equal(start) {
		t.Error(c)
	}
	dc.Generation = 2
	turned := resource.SetCondition(dc, same, &isthmusv1.Condition{Type: "Ready", Status: "true"}, start.Add(time.Hour))
	if c := turned[0]; len(turned) != 1 || c.GetObservedGeneration() != 2 || !c.GetLastTransitionTime().AsTime().Equal(start.Add(time.Hour)) {
		t.Error(turned)
	}
	if first[0].GetReason() != "A" {
		t.Error("the old conditions changed")
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, k := range resource.Kinds() {
		o := k.New()
		want := resource.Metadata{UID: "u", Generation: 3, Index: 4, CreateTime: timestamppb.New(time.Unix(1, 0)), DeleteTime: timestamppb.New(time.Unix(2, 0))}
		resource.SetMetadata(o, want)
		if diff := cmp.Diff(want, resource.MetadataOf(o), protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", k.Name, diff)
		}
		resource.SetMetadata(o, resource.Metadata{})
		if diff := cmp.Diff(k.New(), o, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", k.Name, diff)
		}
	}
}
