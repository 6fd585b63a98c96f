package kube_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isthmus/agent/kube"
	"isthmus/fault"
)

// What a broken API, or something on the way to it, answers. None of it may bring a secret into an error, even when what was sent is
// quoted.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	status := func(code int, reason, message string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
	}
	for name, tt := range map[string]struct {
		code   int
		body   string
		reason kube.Reason
		fault  fault.Code
	}{
		"a proxy without the API":   {http.StatusBadGateway, "<html>bad gateway</html>", kube.Unreachable, fault.Unavailable},
		"overloaded":                {http.StatusTooManyRequests, status(429, "TooManyRequests", "later"), kube.Unreachable, fault.Unavailable},
		"not the API":               {http.StatusOK, "<html>hello</html>", kube.Bad, fault.Unavailable},
		"too much":                  {http.StatusOK, strings.Repeat("x", 5<<20), kube.Bad, fault.Unavailable},
		"a quota":                   {http.StatusForbidden, status(403, "Forbidden", `secrets "x" is forbidden: exceeded quota`), kube.Rejected, fault.Refused},
		"an admission rule, loud":   {http.StatusForbidden, status(403, "Forbidden", "policy denied: $BODY"), kube.Rejected, fault.Refused},
		"an invalid object, quoted": {http.StatusUnprocessableEntity, status(422, "Invalid", "invalid: $BODY"), kube.Rejected, fault.Refused},
		"always somebody faster":    {http.StatusConflict, status(409, "Conflict", "the object has been modified"), kube.Raced, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sent, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				// A read finds nothing, so that the write is what fails; what fails always fails the read, too.
				if r.Method == http.MethodGet && tt.code != http.StatusOK && tt.code < http.StatusInternalServerError {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.WriteHeader(tt.code)
				if _, err := io.WriteString(w, strings.ReplaceAll(tt.body, "$BODY", strings.ReplaceAll(string(sent), `"`, `'`))); err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(server.Close)
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			text := "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a}}]\nclusters: [{name: a, cluster: {server: '" + server.URL + "'}}]\n"
			if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := kube.NewHost(kube.Config{Kubeconfig: kubeconfig})
			if err != nil {
				t.Fatal(err)
			}
			c := content(t, bundle(), 1)
			_, err = h.Put(t.Context(), c)
			refused(t, err, tt.reason)
			if code := fault.CodeOf(err); code != tt.fault {
				t.Errorf("code %s, want %s", code, tt.fault)
			}
			for _, encoded := range []string{"dGhlLXRva2Vu", "dGhlLWdvc3NpcC1rZXk"} { // base64, as it is sent
				if strings.Contains(err.Error(), encoded) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
		})
	}
}
