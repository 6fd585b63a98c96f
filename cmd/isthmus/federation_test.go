package main_test

import (
	"strings"
	"testing"
)

const federationManifest = `kind: Datacenter
name: dc1
spec: {runtime: vm}
---
kind: Datacenter
name: dc2
spec: {runtime: kubernetes, kubernetes: {apiUrl: 'https://dc2.example.com:6443'}}
---
kind: Federation
name: global
spec: {primary: dc1, secondaries: [dc2], mode: mesh-gateway}
`

func TestFederationCommands(t *testing.T) {
	t.Parallel()
	env := realServer(t)
	dry := must(t, env, federationManifest, "apply", "-f", "-", "--dry-run")
	for _, want := range []string{"Federation global to create", "\nFederation global\n", "  dc1: the primary\n", "  dc2: joins; not known yet what it would lose"} {
		if !strings.Contains(dry, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, dry)
		}
	}
	must(t, env, federationManifest, "apply", "-f", "-")
	if plan := must(t, env, "", "federation", "plan", "global"); !strings.Contains(plan, "  dc2: joins") || strings.Contains(plan, "acceptDataLoss") {
		t.Errorf("plan: %s", plan)
	}
	if plan := must(t, env, "", "federation", "plan", "global", "--delete", "-o", "json"); !strings.Contains(plan, `"federation": "global"`) {
		t.Errorf("plan of deleting: %s", plan)
	}
	if values := must(t, env, "", "federation", "values", "global", "--datacenter", "dc2"); !strings.Contains(values, "k8sAuthMethodHost: https://dc2.example.com:6443\n") {
		t.Errorf("values: %s", values)
	}
	if got := runNow(t, env, "", "members", "--federation", "global"); got.code != 0 || !strings.Contains(got.err, "Not known how dc1 sees it: ") || got.out != "" {
		t.Errorf("members: %+v", got)
	}
	if got := must(t, env, "", "reachability", "-o", "json"); !strings.Contains(got, `"cells"`) {
		t.Errorf("reachability: %s", got)
	}
	refused(t, env, "", []string{"nowhere"}, "members", "--federation", "nowhere")
	refused(t, env, "", []string{"nowhere"}, "reachability", "--federation", "nowhere")
	refused(t, env, "", []string{"nowhere"}, "federation", "plan", "nowhere")
	if list := must(t, env, "", "federation", "list"); !strings.Contains(list, "global") {
		t.Errorf("list: %s", list)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"federation", "plan", ""}, "global\n"},
		{[]string{"federation", "values", "g"}, "global\n"},
		{[]string{"federation", "values", "global", "--datacenter", ""}, "dc1\ndc2\n"},
		{[]string{"federation", "bundle", "global", "--datacenter", ""}, "dc1\ndc2\n"},
		{[]string{"members", "--federation", ""}, "global\n"},
		{[]string{"reachability", "--federation", ""}, "global\n"},
		{[]string{"bundle", "open", "x", "--format", ""}, "secret\nfiles\nvalues\nhcl\n"},
	} {
		got := run(t, env, "", append([]string{"__complete"}, test.args...)...)
		if !strings.HasPrefix(got.out, test.want) {
			t.Errorf("%v: %q", test.args, got.out)
		}
	}
}
