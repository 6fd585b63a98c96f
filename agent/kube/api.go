package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"isthmus/fault"
)

// maxAnswer is what is read of an answer. The API keeps objects below 1.5 MiB.
const maxAnswer = 4 << 20

// api is the few calls of the Kubernetes API that there are. It is written on the HTTP client of client-go, which brings credentials
// and TLS, and not on its typed clients: those bring all kinds of Kubernetes along, some 16 MiB.
type api struct {
	client    *http.Client
	base      *url.URL
	namespace string
}

// secretObject is v1 Secret. All of its fields are here, so that an update loses none.
type secretObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Immutable         *bool             `json:"immutable,omitempty"`
	Data              map[string][]byte `json:"data,omitempty"`
	Type              string            `json:"type,omitempty"`
}

// request is one call.
type request struct {
	// verb is RBAC's: get, create, update, patch, delete.
	verb string
	// resource is secrets or statefulsets; group is its API.
	resource, group string
	name            string
	body            any
	contentType     string
}

func (a api) secret(ctx context.Context, name string) (*secretObject, error) {
	var s secretObject
	found, err := a.do(ctx, request{verb: "get", resource: "secrets", group: "api/v1", name: name}, &s)
	if err != nil || !found {
		return nil, err
	}
	return &s, nil
}

// writeSecret creates or updates. changed tells that somebody else was faster: look again.
func (a api) writeSecret(ctx context.Context, verb string, s *secretObject) (changed bool, err error) {
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
	found, err := a.do(ctx, request{verb: verb, resource: "secrets", group: "api/v1", name: s.Name, body: s}, nil)
	if isRaced(err) {
		return true, nil
	}
	if err == nil && !found { // deleted since it was looked at; a create finds no namespace
		if verb == "create" {
			return false, because(NoNamespace, fault.Refused, "there is no namespace %s: create it, or name the one that Consul is in", a.namespace)
		}
		return true, nil
	}
	return false, err
}

// deleteSecret deletes exactly the object that was looked at.
func (a api) deleteSecret(ctx context.Context, s *secretObject) (changed bool, err error) {
	uid, version := s.UID, s.ResourceVersion
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
	options.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}
	_, err = a.do(ctx, request{verb: "delete", resource: "secrets", group: "api/v1", name: s.Name, body: &options}, nil)
	if isRaced(err) {
		return true, nil
	}
	return false, err
}

func (a api) statefulSet(ctx context.Context, name string) (*statefulSet, error) {
	var s statefulSet
	found, err := a.do(ctx, request{verb: "get", resource: "statefulsets", group: "apis/apps/v1", name: name}, &s)
	if err != nil || !found {
		return nil, err
	}
	return &s, nil
}

func (a api) patchStatefulSet(ctx context.Context, name string, patch any) error {
	_, err := a.do(ctx, request{verb: "patch", resource: "statefulsets", group: "apis/apps/v1", name: name, body: patch, contentType: "application/merge-patch+json"}, nil)
	return err
}

// do calls and reads the answer into out, unless that is nil. found is false for what is not there.
func (a api) do(ctx context.Context, r request, out any) (found bool, err error) {
	call, err := a.newRequest(ctx, r)
	if err != nil {
		return false, err
	}
	answer, err := a.client.Do(call)
	if err != nil {
		return false, a.unreachable(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return false, a.unreachable(err)
	case answer.StatusCode == http.StatusNotFound:
		return false, nil
	case answer.StatusCode >= http.StatusBadRequest:
		return false, a.failure(r, answer.StatusCode, text)
	case len(text) > maxAnswer:
		return false, because(Bad, fault.Unavailable, "the Kubernetes API answers more than there can be in a %s", r.resource)
	case out == nil:
		return true, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		// The decoder's words quote what it read.
		return false, because(Bad, fault.Unavailable, "what answers at %s is not the Kubernetes API", a.base.Host)
	}
	return true, nil
}

func (a api) newRequest(ctx context.Context, r request) (*http.Request, error) {
	method := map[string]string{"get": http.MethodGet, "create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete}[r.verb]
	target := a.base.JoinPath(r.group, "namespaces", a.namespace, r.resource)
	if r.verb != "create" {
		target = target.JoinPath(r.name)
	}
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, wrap(Bad, fault.Internal, err, "encoding %s %s", r.resource, r.name)
		}
		body = bytes.NewReader(text)
	}
	call, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, wrap(Bad, fault.Internal, err, "calling the Kubernetes API")
	}
	call.Header.Set("Accept", "application/json")
	if r.body != nil {
		contentType := r.contentType
		if contentType == "" {
			contentType = "application/json"
		}
		call.Header.Set("Content-Type", contentType)
	}
	return call, nil
}

func (a api) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return wrap(Unreachable, fault.Canceled, err, "calling the Kubernetes API")
	}
	return wrap(Unreachable, fault.Unavailable, err, "the Kubernetes API at %s does not answer", a.base.Host)
}

// failure is what an answer means. The text of the API goes no further where it may quote what was sent.
func (a api) failure(r request, code int, text []byte) error {
	var status metav1.Status
	if json.Unmarshal(text, &status) != nil {
		status = metav1.Status{} // a proxy on the way says something of its own
	}
	what := fmt.Sprintf("%s %s in namespace %s", strings.TrimSuffix(r.resource, "s"), r.name, a.namespace)
	cause := fmt.Errorf("%s %s: %d %s", r.verb, what, code, status.Reason)
	switch {
	case code == http.StatusUnauthorized:
		return wrap(Unauthenticated, fault.Refused, cause, "the Kubernetes API at %s does not know the agent's credentials: renew the kubeconfig, or see to the service account's token", a.base.Host)
	case code == http.StatusForbidden && strings.Contains(status.Message, "cannot "+r.verb+" resource"):
		return wrap(Forbidden, fault.Refused, cause, "%s may not %s %s: its Role needs the verb %q on %s%s (see deploy/kubernetes)",
			userOf(&status), r.verb, what, r.verb, r.resource, nameRule(r))
	case code == http.StatusForbidden && hasCause(&status, namespaceTerminating):
		return wrap(NoNamespace, fault.Refused, cause, "the namespace %s is being deleted", a.namespace)
	case code == http.StatusConflict:
		return wrap(Raced, fault.Conflict, cause, "%s was changed by somebody else at the same time", what)
	case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
		return wrap(Unreachable, fault.Unavailable, cause, "the Kubernetes API at %s does not manage to %s %s now", a.base.Host, r.verb, what)
	}
	return wrap(Rejected, fault.Refused, cause, "the Kubernetes API does not take the %s of %s (%s%s)", r.verb, what, status.Reason, fields(&status))
}

// namespaceTerminating is corev1.NamespaceTerminatingCause.
const namespaceTerminating metav1.CauseType = "NamespaceTerminating"

func hasCause(status *metav1.Status, of metav1.CauseType) bool {
	return status.Details != nil && slices.ContainsFunc(status.Details.Causes, func(c metav1.StatusCause) bool { return c.Type == of })
}

// userOf is whom the API took the agent for, out of its own words: User "system:serviceaccount:consul:isthmus-agent" cannot …
func userOf(status *metav1.Status) string {
	if _, rest, ok := strings.Cut(status.Message, `User "`); ok {
		if user, _, ok := strings.Cut(rest, `"`); ok {
			return user
		}
	}
	return "the agent"
}

// nameRule says that a verb is needed for one name only. Kubernetes cannot limit create to a name: it does not know it yet.
func nameRule(r request) string {
	if r.verb == "create" {
		return ""
	}
	return fmt.Sprintf(" with resourceName %q", r.name)
}

// fields names what the API does not like, without what was sent.
func fields(status *metav1.Status) string {
	if status.Details == nil {
		return ""
	}
	var out strings.Builder
	for _, c := range status.Details.Causes {
		fmt.Fprintf(&out, "; %s: %s", c.Field, c.Type)
	}
	return out.String()
}

func isRaced(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Reason == Raced
}
