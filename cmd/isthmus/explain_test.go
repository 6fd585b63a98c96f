package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// explained is a server that has one answer to everything, and notes what it was asked.
func explained(t *testing.T, answer string) (environment map[string]string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path+" "+r.URL.Query().Get("source")+" "+r.URL.Query().Get("destination"))
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return map[string]string{"ISTHMUS_ADDR": server.URL, "ISTHMUS_TOKEN": "isthmus_test_secret"}, asked
}

// The two services are taken however a person or a shell writes them.
func TestExplainArguments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		says string // of what goes wrong
	}{
		"two":                  {args: []string{"web@dc1", "api@dc9"}},
		"an arrow of its own":  {args: []string{"web@dc1", "->", "api@dc9"}},
		"a real arrow":         {args: []string{"web@dc1", "→", "api@dc9"}},
		"quoted":               {args: []string{"web@dc1 -> api@dc9"}},
		"without spaces":       {args: []string{"web@dc1->api@dc9"}},
		"a flag behind":        {args: []string{"web@dc1", "->", "api@dc9", "-o", "table"}},
		"what the shell took":  {args: []string{"web@dc1", "-"}, says: "the shell took what comes after > for a file"},
		"one only":             {args: []string{"web@dc1"}, says: "1 services are named"},
		"nothing":              {args: nil, says: "expected: isthmus explain SOURCE [->] DESTINATION"},
		"more than two":        {args: []string{"web@dc1", "api@dc9", "x@dc2"}, says: "3 services are named"},
		"an arrow and nothing": {args: []string{"->", "api@dc9"}, says: "1 services are named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment, asked := explained(t, `{"verdict":"allowed"}`)
			got := run(t, environment, "", append([]string{"explain"}, tt.args...)...)
			if tt.says != "" {
				if got.code != 1 || !strings.Contains(got.err, tt.says) || len(*asked) > 0 {
					t.Errorf("code %d, asked %v: %s", got.code, *asked, got.err)
				}
				return
			}
			if got.code != 0 || len(*asked) != 1 || (*asked)[0] != "/v1/explain web@dc1 api@dc9" {
				t.Errorf("code %d, asked %v: %s", got.code, *asked, got.err)
			}
		})
	}
}

// Scripts tell the answers apart by the exit code, people by the last lines.
func TestExplainAnswers(t *testing.T) {
	t.Parallel()
	for verdict, code := range map[string]int{"allowed": 0, "denied": 2, "broken": 2, "unknown": 3} {
		answer := `{"source":"web@dc1","destination":"api@dc9","verdict":"` + verdict + `","message":"Intention: it is said why","fix":"isthmus apply","hops":[
			{"id":"Source","verdict":"pass","message":"web is there","evidence":["2 instances [dc1, 2s ago]","a line\nthat breaks"]},
			{"id":"Export","verdict":"skip","message":"not needed"},{"id":"Intention","verdict":"fail","message":"denied \u001b[2J"},{"id":"Gateway","verdict":"unknown","message":"nobody knows"}]}`
		environment, _ := explained(t, answer)
		got := run(t, environment, "", "explain", "web@dc1", "api@dc9")
		want := "web@dc1 → api@dc9: " + verdict + `

✓ Source       web is there
               2 instances [dc1, 2s ago]
               a line that breaks
· Export       not needed
✗ Intention    denied \x1b[2J
? Gateway      nobody knows
`
		if verdict != "allowed" {
			want += "\nIntention: it is said why\nFix: isthmus apply\n"
		}
		if got.code != code || got.out != want {
			t.Errorf("%s: code %d, want %d:\n%s\nwant\n%s", verdict, got.code, code, got.out, want)
		}
		for form, part := range map[string]string{"json": `"verdict": "` + verdict + `"`, "yaml": "verdict: " + verdict} {
			if got := run(t, environment, "", "explain", "web@dc1", "api@dc9", "-o", form); got.code != code || !strings.Contains(got.out, part) {
				t.Errorf("%s: code %d\n%s", form, got.code, got.out)
			}
		}
	}
}

// A server that has no such datacenter says which there are.
func TestExplainUnknownNames(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	// Not by a group: until that has made its peering, there is an answer of its own.
	must(t, environment, datacentersManifest+"---\nkind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n", "apply", "-f", "-")
	refused(t, environment, "", []string{"source", "dc99", "dc1"}, "explain", "web@dc99", "api@dc1")
	refused(t, environment, "", []string{"destination", "service@datacenter"}, "explain", "web@dc1", "api")
	if got := runNow(t, environment, "", "explain", "web@dc1", "api@dc2"); got.code != 3 || !strings.Contains(got.out, "no agent of dc1 has been heard of") {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
}
