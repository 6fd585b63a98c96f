package resource_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const fleet = `# a fleet
kind: Datacenter
name: dc1
labels: {env: demo, version: 1.10}
spec: {runtime: vm}
---
kind: PeeringGroup
name: demo
spec: {shape: full-mesh, selector: env=demo}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=demo}}
---
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, throughGateways: false, tokenGeneration: 2}
---
kind: Federation
name: global
spec:
  primary: dc1
  secondaries: [dc3]
  acceptDataLoss: [{datacenter: dc3, planDigest: 0a1b}]
`

func TestParseManifests(t *testing.T) {
	t.Parallel()
	manifests, err := resource.ParseManifests("fleet.yaml", []byte(fleet))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]proto.Message, 0, len(manifests))
	places := make([][2]int, 0, len(manifests))
	for _, m := range manifests {
		got = append(got, m.Object)
		places = append(places, [2]int{m.Document, m.Line})
	}
	want := []proto.Message{
		&isthmusv1.Datacenter{
			Name: "dc1", Labels: map[string]string{"env": "demo", "version": "1.10"},
			Spec: &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulDatacenter: "dc1", ConsulPartition: "default", Drift: "correct"},
		},
		&isthmusv1.PeeringGroup{Name: "demo", Spec: &isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Selector: "env=demo"}},
		&isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
			Service: "web", Namespace: "default", Datacenters: []string{"dc1"}, Consumers: &isthmusv1.ExportConsumers{Selector: "env=demo"},
		}},
		&isthmusv1.Peering{Name: "dc1-dc2", Spec: &isthmusv1.PeeringSpec{
			Acceptor: "dc1", Dialer: "dc2", AcceptorPeerName: "dc2", DialerPeerName: "dc1",
			ThroughGateways: new(false), TokenGeneration: 2,
		}},
		&isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{
			Primary: "dc1", Secondaries: []string{"dc3"}, Mode: "mesh-gateway", RetryIntervalWan: "2s",
			AcceptDataLoss: []*isthmusv1.AcceptedLoss{{Datacenter: "dc3", PlanDigest: "0a1b"}},
		}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][2]int{{1, 2}, {2, 7}, {3, 11}, {4, 15}, {5, 19}}, places); diff != "" {
		t.Error(diff)
	}
}

func TestParseManifestsForms(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"json":             `{"kind":"Datacenter","name":"dc1","spec":{"runtime":"vm"}}`,
		"json, tabs":       "{\n\t\"kind\": \"Datacenter\",\n\t\"name\": \"dc1\",\n\t\"spec\": {\"runtime\": \"v\\u006d\"}\n}\n",
		"json, with ---":   "---\n{\"kind\":\"Datacenter\",\"name\":\"dc1\",\"spec\":{\"runtime\":\"vm\"}}\n---\n",
		"bom and crlf":     "\ufeffkind: Datacenter\r\nname: dc1\r\nspec:\r\n  runtime: vm\r\n",
		"empty documents":  "---\n# nothing\n---\n\n---\nkind: Datacenter\nname: dc1\nspec: {runtime: vm}\n...\n",
		"output read over": "kind: Datacenter\nname: dc1\nuid: x\nindex: many\nstatus: {nonsense: [*none]}\nspec: {runtime: vm, drift: null}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifests, err := resource.ParseManifests("", []byte(text))
			if name == "output read over" {
				// An alias without its anchor does not parse as YAML at all.
				text = strings.Replace(text, "[*none]", "[]", 1)
				manifests, err = resource.ParseManifests("", []byte(text))
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(manifests) != 1 {
				t.Fatalf("%d manifests", len(manifests))
			}
			d, ok := manifests[0].Object.(*isthmusv1.Datacenter)
			if !ok || d.GetName() != "dc1" || d.GetSpec().GetRuntime() != "vm" || d.GetUid() != "" || d.GetStatus() != nil {
				t.Errorf("%v", d)
			}
		})
	}
}

func TestParseManifestsSeveralJSON(t *testing.T) {
	t.Parallel()
	text := "{\"kind\":\"Datacenter\",\"name\":\"a\",\"spec\":{\"runtime\":\"vm\"}}\n\n{\"kind\":\"Datacenter\",\"name\":\"b\",\"spec\":{\"runtime\":\"vm\"}}"
	manifests, err := resource.ParseManifests("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(manifests) != 2 || manifests[1].Document != 2 || manifests[1].Line != 3 {
		t.Errorf("%+v", manifests)
	}
	if _, err := resource.ParseManifests("", []byte(text[:len(text)-1])); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a document that is cut short: %v", err)
	}
}

func TestParseManifestsErrors(t *testing.T) {
	t.Parallel()
	const dc = "kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", " \n# only words\n", []string{"f: no manifests: expected YAML or JSON documents with kind, name, labels and spec"}},
		{"scalar", "hello", []string{`f: document 1, line 1: expected a manifest with kind, name, labels and spec, got a single value ("hello"); a set is documents apart by ---`}},
		{"array", `[{"kind":"Datacenter"}]`, []string{`f: document 1, line 1: expected a manifest with kind, name, labels and spec, got a list; a set is documents apart by ---`}},
		{"not yaml", dc + "---\nkind: Datacenter\n  name: [\n", []string{`f: document 2, line 6: is neither YAML nor JSON: mapping values are not allowed in this context`}},
		{"binary", "\x00\x01\x02", []string{`f: document 1, line 1: is neither YAML nor JSON: control characters are not allowed`}},
		{"no kind", "name: x", []string{`f: document 1, line 1: kind: is required: one of Datacenter, Gateway, Federation, PeeringGroup, Peering, ServiceExport, Intention, TrafficPolicy`}},
		{"unknown kind", "kind: datacentre", []string{`f: document 1, line 1: kind: "datacentre" is not one of Datacenter, Gateway, Federation, PeeringGroup, Peering, ServiceExport, Intention, TrafficPolicy`}},
		{"kind in lower case", "kind: peering", []string{`f: document 1, line 1: kind: "peering" is not one of Datacenter, Gateway, Federation, PeeringGroup, Peering, ServiceExport, Intention, TrafficPolicy, did you mean Peering?`}},
		{"no manifest", "kind: APIToken\nname: x\nspec: {role: admin}", []string{
			`f: document 1, line 1: kind: APIToken cannot be applied: isthmus api-token create makes it; kinds that can: Datacenter, Gateway, Federation, PeeringGroup, Peering, ServiceExport, Intention, TrafficPolicy`,
		}},
		{"unknown fields", "kind: Peering\nnam: p\nspec:\n  acceptr: dc1\n", []string{
			`f: document 1, line 2: nam: unknown field, did you mean name? Expected one of kind, name, labels, spec`,
			`f: document 1, line 4: spec.acceptr: unknown field, did you mean acceptor? Expected one of acceptor, externalAcceptor, dialer, externalDialer, acceptorPeerName, dialerPeerName, throughGateways, serverExternalAddresses, tokenGeneration, heal`,
		}},
		{"types", "kind: Peering\nname: p\nlabels: []\nspec:\n  acceptor: [dc1]\n  dialer: {}\n  throughGateways: maybe\n  serverExternalAddresses: x\n  tokenGeneration: 1.5\n", []string{
			`f: document 1, line 3: labels: must be a mapping, not a list`,
			`f: document 1, line 5: spec.acceptor: must be a single value, not a list`,
			`f: document 1, line 6: spec.dialer: must be a single value, not a mapping`,
			`f: document 1, line 7: spec.throughGateways: "maybe" is not true or false`,
			`f: document 1, line 8: spec.serverExternalAddresses: must be a list, not a single value ("x")`,
			`f: document 1, line 9: spec.tokenGeneration: "1.5" is not a whole number from -2147483648 to 2147483647`,
		}},
		{"values", "kind: Datacenter\nname: DC_1\nlabels:\n  env: \"a b\"\nspec:\n  runtime: x\n", []string{
			`f: document 1, line 2: name: "DC_1" is not a name: lower-case letters, digits and '-', beginning and ending with a letter or digit, at most 63 characters`,
			`f: document 1, line 4: labels.env: "a b" is not a label value: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
			`f: document 1, line 6: spec.runtime: "x" is not one of vm, kubernetes`,
		}},
		{"twice", dc + "---\n" + dc, []string{`f: document 2, line 6: name: Datacenter dc1 is there twice: in document 1 too`}},
		{"key twice", dc + "name: dc2\n", []string{`f: document 1, line 2: name: is there twice`}},
		{"alias", "kind: Datacenter\nname: &n dc1\nspec: {runtime: vm, consulDatacenter: *n}\n", []string{
			`f: document 1, line 3: spec.consulDatacenter: YAML aliases (*name) and merge keys (<<) are not accepted: write the value out`,
		}},
		{"merge", "kind: Datacenter\nlabels: &n {a: b}\nname: dc1\nspec: {runtime: vm, <<: *n}\n", []string{
			`f: document 1, line 4: spec: YAML aliases (*name) and merge keys (<<) are not accepted: write the value out`,
		}},
		{"bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\nkind: Datacenter\nname: d\nspec: {runtime: vm}\n", []string{
			`f: document 1, line 1: a: unknown field; expected one of kind, name, labels, spec`,
			`f: document 1, line 2: b: unknown field; expected one of kind, name, labels, spec`,
			`f: document 1, line 3: c: unknown field; expected one of kind, name, labels, spec`,
		}},
		{"old line ends", "kind: Datacenter\r---\rkind: Datacenter\r", []string{
			`f: document 1, line 1: is neither YAML nor JSON: more than one document; put --- on a line of its own between them`,
		}},
		{"both", "kind: Foo\n---\nkind: Peering\nname: p\nspec: {acceptor: a, dialer: a}\n", []string{
			`f: document 1, line 1: kind: "Foo" is not one of Datacenter, Gateway, Federation, PeeringGroup, Peering, ServiceExport, Intention, TrafficPolicy`,
			`f: document 2, line 5: spec.dialer: "a" is the acceptor too: a datacenter cannot be peered with itself`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := resource.ParseManifests("f", []byte(c.text))
			if diff := cmp.Diff(c.want, lines(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// lines are an invalid error's violations, as a person reads them.
func lines(t *testing.T, err error) []string {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.Invalid {
		t.Fatalf("not an invalid error: %v", err)
	}
	if len(e.Violations) == 0 {
		return []string{e.Message}
	}
	var out []string
	for _, v := range e.Violations {
		if v.Reason == "" {
			t.Errorf("no reason: %+v", v)
		}
		out = append(out, v.Field+": "+v.Message)
	}
	return out
}

func TestParseManifestsLimits(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"garbage":      strings.Repeat("x", 10<<20),
		"one document": "kind: Datacenter\nname: " + strings.Repeat("x", resource.MaxDocument),
	} {
		if _, err := resource.ParseManifests("", []byte(text)); fault.CodeOf(err) != fault.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 1<<19),
		"braces":   strings.Repeat(`{"a":`, 1<<17),
		"dashes":   strings.Repeat("- ", 1<<18),
		"deep":     "kind: Datacenter\nname: a\nstatus: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"many":     strings.Repeat("---\nkind: X\n", 1<<10),
	} {
		_, err := resource.ParseManifests("", []byte(text))
		if fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if len(lines(t, err)) > 20 || len(err.Error()) > 1000 {
			t.Errorf("%s: an answer that is too long", name)
		}
	}
}

func TestManifestLocate(t *testing.T) {
	t.Parallel()
	manifests, err := resource.ParseManifests("f", []byte(fleet))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"spec.dialer":        "f: document 4, line 17: spec.dialer",
		"spec.dialer.deeper": "f: document 4, line 17: spec.dialer.deeper",
		"elsewhere":          "f: document 4, line 15: elsewhere",
	} {
		if got := manifests[3].Locate(fault.Violation{Field: field}).Field; got != want {
			t.Errorf("%s: %s", field, got)
		}
	}
}

func TestFormatManifestsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var objects []resource.Object
		for _, kind := range resource.Kinds() {
			if !kind.Manifest {
				continue
			}
			o := kind.New()
			resource.SetName(o, name().Draw(t, "name"))
			resource.SetLabels(o, rapid.MapOf(name(), name()).Draw(t, "labels"))
			resource.SetSpec(o, resource.Spec(o).ProtoReflect().New().Interface())
			fill(t, resource.Spec(o).ProtoReflect())
			resource.SetMetadata(o, resource.Metadata{UID: "u", Index: 7, Generation: 2, CreateTime: timestamppb.Now()})
			objects = append(objects, o)
		}
		text, err := resource.FormatManifests(objects...)
		if err != nil {
			t.Fatal(err)
		}
		// What is written may break rules; take the documents that keep them.
		for i, document := range strings.Split("\n"+string(text), "\n---\n") {
			manifests, err := resource.ParseManifests("", []byte(document))
			if err != nil {
				if resource.Validate(defaulted(objects[i])) == nil {
					t.Fatalf("%v\n%s", err, document)
				}
				continue
			}
			want := defaulted(objects[i])
			resource.SetMetadata(want, resource.Metadata{})
			if diff := cmp.Diff(want, manifests[0].Object, protocmp.Transform()); diff != "" {
				t.Fatalf("%s\n%s", diff, document)
			}
		}
	})
}

func defaulted(o resource.Object) resource.Object {
	o = resource.Clone(o)
	resource.Default(o)
	return o
}

func name() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?`),
		rapid.SampledFrom([]string{"true", "null", "no", "1", "1e3", "0x1", "a: b", "- x", "env=prod", "é\n\t", "~", "<<", "---"}))
}

// fill draws any value for every field.
func fill(t *rapid.T, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		label := string(field.Name())
		if rapid.Bool().Draw(t, label+" unset") {
			continue
		}
		switch {
		case field.IsList() && field.Message() != nil:
			for range rapid.IntRange(0, 3).Draw(t, label) {
				fill(t, m.Mutable(field).List().AppendMutable().Message())
			}
		case field.IsList() && field.Kind() == protoreflect.Int32Kind:
			for range rapid.IntRange(0, 3).Draw(t, label) {
				m.Mutable(field).List().Append(protoreflect.ValueOfInt32(rapid.Int32().Draw(t, label)))
			}
		case field.IsList():
			for _, v := range rapid.SliceOfN(name(), 0, 3).Draw(t, label) {
				m.Mutable(field).List().Append(protoreflect.ValueOfString(v))
			}
		case field.Message() != nil:
			fill(t, m.Mutable(field).Message())
		case field.Kind() == protoreflect.BoolKind:
			m.Set(field, protoreflect.ValueOfBool(rapid.Bool().Draw(t, label)))
		case field.Kind() == protoreflect.Int32Kind:
			m.Set(field, protoreflect.ValueOfInt32(rapid.Int32().Draw(t, label)))
		case field.Kind() == protoreflect.DoubleKind:
			m.Set(field, protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, label)))
		default:
			choices := []string{"vm", "kubernetes", "full-mesh", "static", "10.0.0.1:8443", "correct"}
			m.Set(field, protoreflect.ValueOfString(rapid.OneOf(name(), rapid.SampledFrom(choices)).Draw(t, label)))
		}
	}
}

func TestFormatManifestsRefuses(t *testing.T) {
	t.Parallel()
	if _, err := resource.FormatManifests(&isthmusv1.Agent{Name: "a"}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("%v", err)
	}
}

func FuzzParseManifests(f *testing.F) {
	f.Add([]byte(fleet))
	f.Add([]byte(`{"kind":"Peering","name":"a","spec":{"acceptor":"a"}}{"kind":"x"}`))
	f.Add([]byte("a: &a [*a]\n<<: *a"))
	f.Add([]byte("kind: Datacenter\u2028---\u0085name: x\r"))
	f.Add([]byte("? {a: b}\n: c\n!!binary x: !!map y"))
	f.Fuzz(func(t *testing.T, data []byte) {
		manifests, err := resource.ParseManifests("f", data)
		if err != nil {
			if code := fault.CodeOf(err); code != fault.Invalid && code != fault.TooLarge {
				t.Fatalf("%s: %v", code, err)
			}
			return
		}
		objects := make([]resource.Object, 0, len(manifests))
		for _, m := range manifests {
			if err := resource.Validate(m.Object); err != nil {
				t.Fatal(err)
			}
			objects = append(objects, m.Object)
		}
		text, err := resource.FormatManifests(objects...)
		if err != nil {
			t.Fatal(err)
		}
		again, err := resource.ParseManifests("f", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for i, m := range again {
			if diff := cmp.Diff(objects[i], m.Object, protocmp.Transform()); diff != "" {
				t.Fatal(fmt.Sprint(diff, "\n", string(text)))
			}
		}
	})
}
