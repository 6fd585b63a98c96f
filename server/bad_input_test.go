package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares an answer with testdata/<name>.json. What differs in each run is taken out.
func golden(t *testing.T, name string, a answer) {
	t.Helper()
	var body any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%s: the body is no JSON: %v\n%s", name, err, a.body)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any{"status": a.status, "body": body}); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`index \d+`).ReplaceAllString(out.String(), "index N")
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with go test ./server -run TestBadInput -update, and read it", err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
	}
}

const yaml = "application/yaml"

func TestBadInput(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2", "dc3") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	page := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters?pageSize=1", "")).fields(t)["nextPageToken"].(string)
	for _, c := range []struct {
		name, method, path, contentType, body string
	}{
		{"unknown-kind", "POST", "/v1/apply", yaml, "kind: Datacentre\nname: dc9\n"},
		{"unknown-field", "POST", "/v1/apply", yaml, datacenters("dc9") + "---\nkind: Peering\nname: p\nspec:\n  acceptr: dc1\n  dialer: dc2\n"},
		{"duplicate-name", "POST", "/v1/apply", yaml, datacenters("dc9", "dc9")},
		{"invalid-name", "POST", "/v1/apply", yaml, datacenters("Not_A_Label")},
		{"missing-datacenter", "POST", "/v1/apply", yaml, "kind: Peering\nname: p\nspec:\n  acceptor: dc1\n  dialer: dc7\n"},
		{"peering-with-itself", "POST", "/v1/apply", yaml, "kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc1}\n"},
		{"second-peering-of-a-pair", "POST", "/v1/apply", yaml, "kind: Peering\nname: p\nspec: {acceptor: dc2, dialer: dc1}\n"},
		{"two-peerings-of-a-pair", "POST", "/v1/apply", yaml, "kind: Peering\nname: p\nspec: {acceptor: dc2, dialer: dc3}\n---\nkind: Peering\nname: q\nspec: {acceptor: dc3, dialer: dc2}\n"},
		{"bad-selector", "POST", "/v1/apply", yaml, "kind: PeeringGroup\nname: g\nspec: {shape: full-mesh, selector: \"env in prod\"}\n"},
		{"bad-shape", "POST", "/v1/apply", yaml, "kind: PeeringGroup\nname: g\nspec: {shape: ring, selector: env=demo}\n"},
		{"not-yaml", "POST", "/v1/apply", yaml, "kind: [\n"},
		{"not-applicable", "POST", "/v1/apply", yaml, "kind: Agent\nname: a\n"},
		{"several-mistakes", "POST", "/v1/apply", yaml, "kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc8}\n---\nkind: Datacenter\nname: dc9\nspec: {runtime: cloud}\n"},
		{"fixed-field", "POST", "/v1/apply", yaml, "kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc3}\n"},
		{"empty-apply", "POST", "/v1/apply", yaml, ""},
		{"apply-parameter", "POST", "/v1/apply?dry=1", yaml, datacenters("dc9")},
		{"not-json", "POST", "/v1/apply", "application/json", "kind: Datacenter\n"},
		{"json-unknown-field", "POST", "/v1/datacenters", "application/json", "{\"name\":\"dc9\",\n \"spec\":{\"runtime\":\"vm\",\n  \"consulDc\":\"x\"}}"},
		{"json-wrong-type", "POST", "/v1/datacenters", "application/json", `{"name":"dc9","spec":{"runtime":7}}`},
		{"json-list", "POST", "/v1/datacenters", "application/json", `[]`},
		{"no-body", "POST", "/v1/datacenters", "application/json", ""},
		{"bad-runtime", "POST", "/v1/datacenters", "application/json", `{"name":"dc9","spec":{"runtime":"cloud"}}`},
		{"exists", "POST", "/v1/datacenters", "application/json", `{"name":"dc1","spec":{"runtime":"vm"}}`},
		{"claimed", "POST", "/v1/peerings", "application/json", `{"name":"p","spec":{"acceptor":"dc2","dialer":"dc1"}}`},
		{"stale-index", "PATCH", "/v1/datacenters/dc1?index=1", "application/json", `{"labels":{"a":"b"}}`},
		{"stale-delete", "DELETE", "/v1/datacenters/dc3?index=1", "", ""},
		{"referenced", "DELETE", "/v1/datacenters/dc1", "", ""},
		{"not-there", "GET", "/v1/datacenters/dc9", "", ""},
		{"page-token-of-another-list", "GET", "/v1/peerings?pageToken=" + page, "", ""},
		{"page-token-of-another-selector", "GET", "/v1/datacenters?selector=a%3Db&pageToken=" + page, "", ""},
		{"page-token-garbage", "GET", "/v1/datacenters?pageToken=garbage", "", ""},
		{"page-size", "GET", "/v1/datacenters?pageSize=5000", "", ""},
		{"list-selector", "GET", "/v1/datacenters?selector=env%20in%20prod", "", ""},
		{"wait", "GET", "/v1/datacenters/dc1?index=1&wait=soon", "", ""},
		{"index-not-a-number", "GET", "/v1/datacenters/dc1?index=soon", "", ""},
		{"unknown-parameter", "GET", "/v1/datacenters?pagesize=5", "", ""},
		{"mask", "PATCH", "/v1/datacenters/dc1?updateMask=spec.nothing", "application/json", `{"spec":{"runtime":"vm"}}`},
		{"no-such-path", "GET", "/v1/datacentres", "", ""},
		{"no-such-method", "PUT", "/v1/datacenters/dc1", "", ""},
		{"no-path-at-all", "GET", "/nothing", "", ""},
	} {
		before := n.specs()
		a := n.call(c.method, c.path, c.body, "Content-Type", c.contentType)
		if a.status < 400 || a.status > 499 {
			t.Errorf("%s: %d is no 4xx: %s", c.name, a.status, a.body)
		}
		golden(t, c.name, a)
		if after := n.specs(); before != after {
			t.Errorf("%s: something was written", c.name)
		}
	}
}

// specs is all that operators have said so far.
func (n *node) specs() string {
	n.t.Helper()
	out := ""
	for _, plural := range []string{"datacenters", "peerings", "peeringGroups", "federations", "serviceExports"} {
		path := "/v1/" + strings.NewReplacer("G", "-g", "E", "-e").Replace(plural)
		for _, item := range n.want(http.StatusOK, n.call(http.MethodGet, path, "")).fields(n.t)[plural].([]any) {
			o := item.(map[string]any)
			out += fmt.Sprint(o["name"], o["uid"], o["generation"], o["labels"], o["spec"], "\n")
		}
	}
	return out
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	n := start(t)
	garbage := strings.Repeat("\x00\xff{[garbage: ", 10<<20/12)
	for _, contentType := range []string{yaml, "application/json", "text/plain", ""} {
		a := n.call(http.MethodPost, "/v1/apply", garbage, "Content-Type", contentType)
		if a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, "8 MiB") {
			t.Errorf("10 MiB of garbage as %q: %d %.200s", contentType, a.status, a.body)
		}
		a = n.call(http.MethodPost, "/v1/apply", garbage[:7<<20], "Content-Type", contentType)
		if a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("7 MiB of garbage as %q: %d %.200s", contentType, a.status, a.body)
		}
	}
	_, err := isthmusv1.NewServerServiceClient(n.shared()).Apply(n.as(n.token), &isthmusv1.ApplyRequest{Manifests: strings.Repeat("garbage: [", 1<<20)})
	if c := status.Code(err); c != codes.ResourceExhausted && c != codes.InvalidArgument {
		t.Errorf("10 MiB of garbage over gRPC: %v", err)
	}
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters", ""))
}

// The same mistakes over gRPC have the codes that belong to their HTTP statuses.
func TestBadInputOverGRPC(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2") + "---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	d, p := isthmusv1.NewDatacenterServiceClient(n.shared()), isthmusv1.NewPeeringServiceClient(n.shared())
	ctx := n.as(n.token)
	for name, c := range map[string]struct {
		want codes.Code
		call func() error
	}{
		"nothing to create": {codes.InvalidArgument, func() error {
			_, err := d.CreateDatacenter(ctx, &isthmusv1.CreateDatacenterRequest{})
			return err
		}},
		"exists": {codes.AlreadyExists, func() error {
			_, err := d.CreateDatacenter(ctx, &isthmusv1.CreateDatacenterRequest{Datacenter: &isthmusv1.Datacenter{Name: "dc1", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}})
			return err
		}},
		"claimed": {codes.AlreadyExists, func() error {
			_, err := p.CreatePeering(ctx, &isthmusv1.CreatePeeringRequest{Peering: &isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc2", Dialer: "dc1"}}})
			return err
		}},
		"stale": {codes.Aborted, func() error {
			_, err := d.UpdateDatacenter(ctx, &isthmusv1.UpdateDatacenterRequest{Index: 1, Datacenter: &isthmusv1.Datacenter{Name: "dc1", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}})
			return err
		}},
		"referenced": {codes.FailedPrecondition, func() error {
			_, err := d.DeleteDatacenter(ctx, &isthmusv1.DeleteRequest{Name: "dc1"})
			return err
		}},
		"not there": {codes.NotFound, func() error {
			_, err := d.GetDatacenter(ctx, &isthmusv1.GetRequest{Name: "dc7"})
			return err
		}},
		"no name": {codes.NotFound, func() error {
			_, err := d.GetDatacenter(ctx, &isthmusv1.GetRequest{})
			return err
		}},
		"behind": {codes.Unavailable, func() error {
			_, err := d.GetDatacenter(ctx, &isthmusv1.GetRequest{Name: "dc1", MinIndex: 1 << 40})
			return err
		}},
	} {
		if err := c.call(); status.Code(err) != c.want {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}
