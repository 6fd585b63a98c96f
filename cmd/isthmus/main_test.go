package main_test

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	isthmus "isthmus/cmd/isthmus"
)

var update = flag.Bool("update", false, "write golden files and docs/cli.md instead of comparing")

// result is what a run of the program left.
type result struct {
	code     int
	out, err string
}

// run runs one command line in surroundings that the test gives, at a time that stands still.
func run(t *testing.T, environment map[string]string, stdin string, args ...string) result {
	t.Helper()
	return runAt(t, func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, environment, stdin, args...)
}

// runNow is run at the present time, for what a real server judges.
func runNow(t *testing.T, environment map[string]string, stdin string, args ...string) result {
	t.Helper()
	return runAt(t, time.Now, environment, stdin, args...)
}

func runAt(t *testing.T, now func() time.Time, environment map[string]string, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	program := isthmus.Program{
		In: strings.NewReader(stdin), Out: &out, Err: &errs,
		Env: func(name string) (string, bool) {
			value, ok := environment[name]
			return value, ok
		},
		Now: now,
	}
	// A command that should have refused, and serves instead, must not do so until the test binary times out.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := program.Run(ctx, args)
	return result{code: code, out: out.String(), err: errs.String()}
}

// golden compares with testdata/golden/<name>, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update writes it anew):\n%s", name, diff)
	}
}

// canned serves testdata/api: GET /v1/a/b/c is a_b_c.json. Its address is what ISTHMUS_ADDR shall be.
func canned(t *testing.T) map[string]string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/v1/"), "/", "_") + ".json"
		data, err := os.ReadFile(filepath.Join("testdata", "api", filepath.Base(name)))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code":5,"message":"there is no such thing"}`))
			return
		}
		w.Header().Set("X-Isthmus-Index", "20")
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)
	return map[string]string{"ISTHMUS_ADDR": server.URL, "ISTHMUS_TOKEN": "isthmus_test_secret"}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"get-datacenters":      {args: []string{"get", "datacenters"}},
		"get-datacenters-wide": {args: []string{"get", "dc", "-o", "wide"}},
		"get-datacenters-json": {args: []string{"get", "Datacenter", "-o", "json"}},
		"get-datacenters-yaml": {args: []string{"get", "datacenters", "-o", "yaml"}},
		"get-datacenter-json":  {args: []string{"get", "datacenter", "dc2", "-o", "json"}},
		"get-peerings":         {args: []string{"get", "peerings"}},
		"get-none":             {args: []string{"get", "api-tokens"}},
		"get-none-json":        {args: []string{"get", "api-tokens", "-o", "json"}},
		"get-unknown-kind":     {args: []string{"get", "clusters"}, code: 1},
		"get-missing":          {args: []string{"get", "peerings", "nowhere"}, code: 1},
		"get-nothing":          {args: []string{"get"}, code: 1},
		"get-bad-form":         {args: []string{"get", "peerings", "-o", "xml"}, code: 1},
		"peering-list":         {args: []string{"peering", "list"}},
		"connections":          {args: []string{"connections"}, code: 2},
		"connections-wide":     {args: []string{"connections", "-o", "wide", "--verdict", "stale"}, code: 2},
		"describe-peering":     {args: []string{"describe", "peering", "demo-dc1-dc2"}},
		"describe-intention":   {args: []string{"describe", "intention", "api-from-web"}},
		"describe-posture":     {args: []string{"describe", "datacenter", "dc1"}},
		"adopt-intention":      {args: []string{"adopt", "intention", "api-from-web"}, code: 2},
		"adopt-export":         {args: []string{"adopt", "service-export", "web"}},
		"adopt-nothing":        {args: []string{"adopt", "datacenter", "dc1"}, code: 1},
		"adopt-missing":        {args: []string{"adopt", "traffic-policy", "nowhere"}, code: 1},
		"describe-datacenter":  {args: []string{"describe", "datacenter", "dc2"}},
		"export":               {args: []string{"export"}},
		"export-peerings":      {args: []string{"export", "peerings"}},
		"status":               {args: []string{"status"}, code: 2},
		"status-json":          {args: []string{"status", "-o", "json"}, code: 2},
		"events":               {args: []string{"events"}},
		"events-json":          {args: []string{"events", "-o", "json"}},
		"services":             {args: []string{"services", "--datacenter", "dc2"}},
		"services-json":        {args: []string{"services", "--datacenter", "dc2", "-o", "json"}},
		"services-yaml":        {args: []string{"services", "--datacenter", "dc2", "-o", "yaml"}},
		"services-everywhere":  {args: []string{"services"}},
		"services-search":      {args: []string{"services", "api", "--datacenter", "dc2", "-o", "yaml"}},

		"members":                        {args: []string{"members"}},
		"members-json":                   {args: []string{"members", "--federation", "global", "-o", "json"}},
		"reachability":                   {args: []string{"reachability"}},
		"reachability-wide":              {args: []string{"reachability", "-o", "wide"}},
		"reachability-yaml":              {args: []string{"reachability", "-o", "yaml"}},
		"federation-list":                {args: []string{"federation", "list"}},
		"federation-plan":                {args: []string{"federation", "plan", "global"}},
		"federation-plan-json":           {args: []string{"federation", "plan", "global", "-o", "json"}},
		"federation-values":              {args: []string{"federation", "values", "global", "--datacenter", "k8s"}},
		"federation-values-primary":      {args: []string{"federation", "values", "cloud", "--datacenter", "k8s"}},
		"federation-values-without-url":  {args: []string{"federation", "values", "cloud", "--datacenter", "k8s0"}, code: 1},
		"federation-values-of-vm":        {args: []string{"federation", "values", "global", "--datacenter", "dc1"}, code: 1},
		"federation-values-of-another":   {args: []string{"federation", "values", "global", "--datacenter", "k8s0"}, code: 1},
		"federation-bundle-no-recipient": {args: []string{"federation", "bundle", "global", "--datacenter", "k8s", "--recipient", "bob", "--unsigned"}, code: 1},
		"describe-federation":            {args: []string{"describe", "federation", "global"}},
		"apply-dry-run-federation":       {args: []string{"apply", "-f", "testdata/federation.yaml", "--dry-run"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := canned(t)
			got := run(t, environment, "", test.args...)
			if got.code != test.code {
				t.Errorf("exit code %d, expected %d", got.code, test.code)
			}
			text := got.out
			if got.err != "" {
				text += "--- standard error\n" + got.err
			}
			golden(t, name, strings.ReplaceAll(text, environment["ISTHMUS_ADDR"], "http://server"))
		})
	}
}
