package openapi_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"isthmus/openapi"
	_ "isthmus/proto/isthmus/v1" // the files that are looked at
)

// document is as much of OpenAPI as the tests look at.
type document struct {
	OpenAPI    string
	Security   []map[string][]string
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]schema
		SecuritySchemes map[string]struct{ Type, Scheme string }
	}
}

type operation struct {
	OperationID string `json:"operationId"`
	Parameters  []struct{ Name, In string }
	Responses   map[string]struct {
		Ref     string `json:"$ref"`
		Headers map[string]any
	}
}

type schema struct {
	Properties map[string]struct {
		Enum []string
	}
}

func load(t *testing.T) document {
	t.Helper()
	var doc document
	if err := json.Unmarshal(openapi.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	described := map[string]string{}
	for path, item := range load(t).Paths {
		for method, op := range item {
			described[strings.ToUpper(method)+" "+path] = op.OperationID
		}
	}
	if diff := cmp.Diff(routes(), described); diff != "" {
		t.Errorf("routes of the protos (-) and of the document (+); run make generate:\n%s", diff)
	}
}

// routes are the REST routes of the protos and the RPC that each calls.
func routes() map[string]string {
	nested := regexp.MustCompile(`\{[a-z_]+\.([a-z_]+)\}`)
	found := map[string]string{}
	protoregistry.GlobalFiles.RangeFilesByPackage("isthmus.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				method := methods.Get(j)
				rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
				if route := routeOf(rule); route != "" {
					found[nested.ReplaceAllString(route, "{$1}")] = string(method.Name())
				}
			}
		}
		return true
	})
	return found
}

func routeOf(rule *annotations.HttpRule) string {
	for method, path := range map[string]string{
		"GET": rule.GetGet(), "POST": rule.GetPost(), "PATCH": rule.GetPatch(), "PUT": rule.GetPut(), "DELETE": rule.GetDelete(),
	} {
		if path != "" {
			return method + " " + path
		}
	}
	return ""
}

func TestCommonPartsOfOperations(t *testing.T) {
	t.Parallel()
	doc := load(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") {
		t.Errorf("openapi: %s, expected 3.0", doc.OpenAPI)
	}
	if doc.Components.SecuritySchemes["bearer"].Scheme != "bearer" || len(doc.Security) != 1 {
		t.Error("an API token is not asked for")
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			if ref := op.Responses["default"].Ref; ref != "#/components/responses/Error" {
				t.Errorf("%s %s: errors are %q", method, path, ref)
			}
			if _, ok := op.Responses["200"].Headers["X-Isthmus-Index"]; ok != (method == "get") {
				t.Errorf("%s %s: has X-Isthmus-Index: %v", method, path, ok)
			}
			for _, parameter := range op.Parameters {
				if strings.ContainsAny(parameter.Name, "_.") {
					t.Errorf("%s %s: parameter %s is not lowerCamelCase", method, path, parameter.Name)
				}
			}
		}
	}
}

func TestChoicesAreListed(t *testing.T) {
	t.Parallel()
	doc := load(t)
	listed := map[string][]string{}
	for name, s := range doc.Components.Schemas {
		for field, property := range s.Properties {
			if len(property.Enum) > 0 {
				listed[name+"."+field] = property.Enum
			}
		}
	}
	for field, choices := range map[string][]string{
		"DatacenterSpec.runtime": {"vm", "kubernetes"},
		"PeeringGroupSpec.shape": {"full-mesh", "hub-and-spoke"},
		"APITokenSpec.role":      {"admin", "operator", "viewer"},
	} {
		if !slices.Equal(listed[field], choices) {
			t.Errorf("%s: %q, expected %q; listed are %q", field, listed[field], choices, slices.Sorted(maps.Keys(listed)))
		}
	}
}
