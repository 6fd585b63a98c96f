package kubetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

// manifestNamespace is the one that manifests in deploy/kubernetes are written for.
const manifestNamespace = "consul"

// Call makes a call of the API as an administrator, or with the given token, and reads the answer into out. The body is JSON, unless
// it is []byte, which is sent as a YAML apply.
func (c *Cluster) Call(t testing.TB, token, method, path string, body, out any) (status int) {
	t.Helper()
	if token == "" {
		token = c.adminToken
	}
	contentType := "application/json"
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text, contentType = b, "application/apply-patch+yaml"
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPatch {
			contentType = "application/merge-patch+json"
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", contentType)
	answer, err := c.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if out == nil || answer.StatusCode >= http.StatusBadRequest {
		return answer.StatusCode
	}
	if err := json.Unmarshal(got, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode
}

// Do is Call as an administrator that fails the test unless it works.
func (c *Cluster) Do(t testing.TB, method, path string, body, out any) {
	t.Helper()
	if status := c.Call(t, "", method, path, body, out); status >= http.StatusBadRequest {
		t.Fatalf("%s %s: %d", method, path, status)
	}
}

// Namespace makes a namespace.
func (c *Cluster) Namespace(t testing.TB, name string) {
	t.Helper()
	c.Do(t, http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": map[string]string{"name": name}}, nil)
}

// Apply gives the API all objects of a manifest file, moved into a namespace.
func (c *Cluster) Apply(t testing.TB, file, namespace string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		move(object, namespace)
		path, err := pathOf(object, namespace)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		body, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		c.Do(t, http.MethodPatch, path+"?fieldManager=kubetest&fieldValidation=Strict", body, nil)
	}
}

// move puts an object, and all that it names, into another namespace.
func move(value any, namespace string) {
	switch v := value.(type) {
	case map[string]any:
		if v["namespace"] == manifestNamespace {
			v["namespace"] = namespace
		}
		for _, inner := range v {
			move(inner, namespace)
		}
	case []any:
		for _, inner := range v {
			move(inner, namespace)
		}
	}
}

// plurals are the kinds that manifests here have.
func plurals() map[string]string {
	return map[string]string{
		"ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings", "StatefulSet": "statefulsets",
		"Secret": "secrets",
	}
}

func pathOf(object map[string]any, namespace string) (string, error) {
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	plural := plurals()[kind]
	if version == "" || plural == "" || name == "" {
		return "", fmt.Errorf("%s %s %q is nothing that this harness knows", version, kind, name)
	}
	group := "/apis/"
	if version == "v1" {
		group = "/api/"
	}
	return fmt.Sprintf("%s%s/namespaces/%s/%s/%s", group, version, namespace, plural, name), nil
}

// Token is one of a service account's, as its pods have it.
func (c *Cluster) Token(t testing.TB, namespace, serviceAccount string) string {
	t.Helper()
	var answer struct {
		Status struct{ Token string }
	}
	request := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": 3600}}
	c.Do(t, http.MethodPost, fmt.Sprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, serviceAccount), request, &answer)
	return answer.Status.Token
}

// Kubeconfig writes a file for whoever has the token.
func (c *Cluster) Kubeconfig(t testing.TB, token string) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{map[string]any{"name": "test", "cluster": map[string]any{"server": c.URL, "certificate-authority-data": base64.StdEncoding.EncodeToString(c.CA)}}},
		"users":    []any{map[string]any{"name": "test", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "test", "context": map[string]any{"cluster": "test", "user": "test"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// AdminToken is the administrator's.
func (c *Cluster) AdminToken() string { return c.adminToken }
