package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Profiles are for admins, stand in the audit log, and hold nothing that is secret.
func TestProfiles(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, role := range []string{"viewer", "operator"} {
		for _, name := range []string{"heap", "goroutine", "profile", "nothing"} {
			a := n.want(http.StatusForbidden, n.callAs(n.apiToken(role), http.MethodGet, "/debug/pprof/"+name+"?seconds=1", ""))
			if a.header.Get("X-Isthmus-Fault") != "denied" {
				t.Errorf("%s, %s: %v", role, name, a.header)
			}
		}
	}
	n.want(http.StatusUnauthorized, n.callAs("", http.MethodGet, "/debug/pprof/heap", ""))
	b := n.browse(n.token)
	n.want(http.StatusOK, b.call(http.MethodGet, "/debug/pprof/goroutine", ""))
	n.want(http.StatusForbidden, n.callAs("", http.MethodGet, "/debug/pprof/goroutine", "", "Cookie", b.cookie))
	for path, status := range map[string]int{
		"cmdline": 404, "symbol": 404, "trace": 404, "mutex": 404, "profile?seconds=0": 400, "profile?seconds=121": 400, "profile?seconds=x": 400,
		"profile?seconds=9223372036854775807": 400,
	} {
		n.want(status, n.call(http.MethodGet, "/debug/pprof/"+path, ""))
	}
	for _, name := range []string{"heap", "goroutine", "goroutine?debug=2", "profile?seconds=1"} {
		a := n.want(http.StatusOK, n.call(http.MethodGet, "/debug/pprof/"+name, ""))
		unzip, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s is no profile: %v", name, err)
		}
		data, err := io.ReadAll(unzip)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{n.token, strings.SplitN(n.token, "_", 3)[2], n.dir, b.cookie, b.csrf} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds a secret", name)
			}
		}
	}
	var taken []string
	for _, e := range n.events() {
		if e["action"] == "profile" {
			taken = append(taken, e["actor"].(string)+" "+e["message"].(string))
		}
	}
	want := "api-token/admin goroutine,api-token/admin heap,api-token/admin goroutine,api-token/admin goroutine,api-token/admin profile, 1s"
	if got := strings.Join(taken, ","); got != want {
		t.Errorf("the audit log has %q, want %q", got, want)
	}
	oneAtATime(t, n)
}

// oneAtATime: who wants another profile is told when.
func oneAtATime(t *testing.T, n *node) {
	t.Helper()
	answers := make(chan answer, 4)
	for range cap(answers) {
		go func() { answers <- n.call(http.MethodGet, "/debug/pprof/profile?seconds=1", "") }()
	}
	taken := 0
	for range cap(answers) {
		a := <-answers
		if a.status == http.StatusOK {
			taken++
			continue
		}
		n.busy(a, "another profile")
	}
	if taken == 0 {
		t.Error("none is taken")
	}
}
