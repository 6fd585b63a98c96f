package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const description = `The REST API of isthmus, a control plane for many Consul datacenters.

Every read answers with the header X-Isthmus-Index. A read with ?index=N&wait=60s is a blocking query as Consul's are: it
answers when what it covers is newer than N, or when the wait is over. Writes that take an index are check-and-set.

Who sends Accept: application/protobuf is answered with the messages of proto/isthmus/v1 themselves, which costs large lists less than JSON.
Bodies of requests and errors are JSON in any case.`

// describe says what the document is about and how to log in.
func describe(doc *openapi3.T) {
	doc.OpenAPI = "3.0.3"
	doc.Info = &openapi3.Info{
		Title:       "isthmus",
		Version:     "v1",
		Description: description,
		License:     &openapi3.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
	}
	doc.Servers = openapi3.Servers{{URL: "/"}}
	doc.Components.SecuritySchemes = openapi3.SecuritySchemes{
		"bearer": {Value: &openapi3.SecurityScheme{
			Type: "http", Scheme: "bearer",
			Description: "An API token: admin.token of a new server, or one made with `isthmus api-token create`.",
		}},
	}
	doc.Security = openapi3.SecurityRequirements{{"bearer": []string{}}}
}

// nested is a path parameter that is a field of the body's resource: {datacenter.name}.
var nested = regexp.MustCompile(`\{[A-Za-z]+\.([A-Za-z]+)\}`)

// joinPaths makes one path of /v1/datacenters/{name} and /v1/datacenters/{datacenter.name}: they are the same to HTTP, and
// OpenAPI forbids to have both. The body of an update is the resource itself.
func joinPaths(doc *openapi3.T) error {
	for _, path := range doc.Paths.Keys() {
		match := nested.FindStringSubmatch(path)
		if match == nil {
			continue
		}
		item, joined := doc.Paths.Value(path), nested.ReplaceAllString(path, "{$1}")
		for method, operation := range item.Operations() {
			for _, parameter := range operation.Parameters {
				if "{"+parameter.Value.Name+"}" == match[0] {
					parameter.Value.Name = match[1]
				}
			}
			if err := bodyByName(doc, operation); err != nil {
				return fmt.Errorf("%s %s: %w", method, path, err)
			}
			if target := doc.Paths.Value(joined); target != nil {
				target.SetOperation(method, operation)
				continue
			}
			doc.Paths.Set(joined, item)
		}
		doc.Paths.Delete(path)
	}
	return nil
}

// bodyByName replaces the copy of a resource, made because its name is in the path, by the resource that is answered.
func bodyByName(doc *openapi3.T, operation *openapi3.Operation) error {
	if operation.RequestBody == nil {
		return nil
	}
	answer := operation.Responses.Value("200").Value.Content.Get("application/json")
	if answer == nil || answer.Schema.Ref == "" {
		return fmt.Errorf("%s does not answer with a resource", operation.OperationID)
	}
	name := strings.TrimPrefix(answer.Schema.Ref, "#/components/schemas/")
	operation.RequestBody.Value.Content = openapi3.NewContentWithJSONSchemaRef(
		&openapi3.SchemaRef{Ref: answer.Schema.Ref, Value: doc.Components.Schemas[name].Value})
	return nil
}

// dropExtensions removes what the conversion left behind for a way back to Swagger.
func dropExtensions(doc *openapi3.T) {
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			if operation.RequestBody != nil {
				operation.RequestBody.Value.Extensions = nil
			}
		}
	}
}

// nameTags makes a tag of each service that REST has: the kind's noun.
func nameTags(doc *openapi3.T) {
	used := map[string]bool{}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			for i, tag := range operation.Tags {
				operation.Tags[i] = strings.TrimSuffix(tag, "Service")
				used[operation.Tags[i]] = true
			}
		}
	}
	tags := doc.Tags
	doc.Tags = nil
	for _, tag := range tags {
		tag.Name = strings.TrimSuffix(tag.Name, "Service")
		if used[tag.Name] {
			doc.Tags = append(doc.Tags, tag)
		}
	}
}

// addErrors says what an error looks like: google.rpc.Status with the fields that are wrong.
func addErrors(doc *openapi3.T) {
	text := func(description string) *openapi3.SchemaRef {
		schema := openapi3.NewStringSchema()
		schema.Description = description
		return schema.NewRef()
	}
	schemas := doc.Components.Schemas
	violation := openapi3.NewObjectSchema()
	violation.Description = "What is wrong with one field."
	violation.Properties = openapi3.Schemas{
		"field":       text("Path of the field, after the document when there are several: spec.dialer"),
		"description": text("What is wrong, and what would be right."),
		"reason":      text("One CamelCase word."),
	}
	schemas["FieldViolation"] = violation.NewRef()

	violations := openapi3.NewArraySchema()
	violations.Items = openapi3.NewSchemaRef("#/components/schemas/FieldViolation", violation)
	detail := schemas["Any"].Value
	detail.Description = "A detail of an error. type.googleapis.com/google.rpc.BadRequest has fieldViolations."
	detail.Properties["fieldViolations"] = violations.NewRef()
	schemas["ErrorDetail"] = schemas["Any"]
	delete(schemas, "Any")

	status := schemas["Status"].Value
	status.Description = "google.rpc.Status: every error of this API."
	status.Properties["code"].Value.Description = "The gRPC code."
	status.Properties["message"].Value.Description = "What went wrong, for people."
	status.Properties["details"].Value.Items = openapi3.NewSchemaRef("#/components/schemas/ErrorDetail", detail)

	failure := openapi3.NewResponse().WithDescription("An error.").
		WithJSONSchemaRef(openapi3.NewSchemaRef("#/components/schemas/Status", status))
	doc.Components.Responses = openapi3.ResponseBodies{"Error": &openapi3.ResponseRef{Value: failure}}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			operation.Responses.Set("default", &openapi3.ResponseRef{Ref: "#/components/responses/Error", Value: failure})
		}
	}
}

// addIndex says that each read has an index.
func addIndex(doc *openapi3.T) {
	index := &openapi3.Header{Parameter: openapi3.Parameter{
		Description: "The index at which the answer is true. Send it as ?index= to wait for something newer.",
		Schema:      openapi3.NewStringSchema().WithFormat("uint64").NewRef(),
	}}
	doc.Components.Headers = openapi3.Headers{"X-Isthmus-Index": {Value: index}}
	for _, item := range doc.Paths.Map() {
		if item.Get == nil {
			continue
		}
		item.Get.Responses.Value("200").Value.Headers = openapi3.Headers{
			"X-Isthmus-Index": {Ref: "#/components/headers/X-Isthmus-Index", Value: index},
		}
	}
}

// addYAML says that apply takes the manifests themselves, too.
func addYAML(doc *openapi3.T) {
	apply := doc.Paths.Value("/v1/apply").Post
	manifests := openapi3.NewStringSchema()
	manifests.Description = "The manifests themselves: YAML or JSON documents."
	apply.RequestBody.Value.Content["application/yaml"] = openapi3.NewMediaType().WithSchema(manifests)
	for _, p := range []struct{ name, description string }{
		{"dryRun", "With a YAML body: only tells what would change."},
		{"force", "With a YAML body: accepts that groups delete more peerings than their limit."},
	} {
		parameter := openapi3.NewQueryParameter(p.name).WithDescription(p.description).WithSchema(openapi3.NewBoolSchema())
		apply.Parameters = append(apply.Parameters, &openapi3.ParameterRef{Value: parameter})
	}
}

// addChoices puts the values of string fields that are choices into the schemas, out of the protos' validation rules.
func addChoices(doc *openapi3.T, files *protoregistry.Files) error {
	var failure error
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(file.Path(), "isthmus/") {
			return true
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			schema := doc.Components.Schemas[string(message.Name())]
			if schema == nil {
				continue
			}
			if failure = addMessageChoices(schema.Value, message); failure != nil {
				return false
			}
		}
		return true
	})
	return failure
}

func addMessageChoices(schema *openapi3.Schema, message protoreflect.MessageDescriptor) error {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		rules, ok := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		if !ok {
			continue
		}
		property := schema.Properties[field.JSONName()]
		if property == nil {
			return fmt.Errorf("%s: the document has no property %s", message.FullName(), field.JSONName())
		}
		if choices := rules.GetString().GetIn(); len(choices) > 0 {
			property.Value.Enum = enum(choices)
		}
		if choices := rules.GetRepeated().GetItems().GetString().GetIn(); len(choices) > 0 {
			property.Value.Items.Value.Enum = enum(choices)
		}
	}
	return nil
}

func enum(choices []string) []any {
	values := make([]any, 0, len(choices))
	for _, choice := range slices.Compact(choices) {
		values = append(values, choice)
	}
	return values
}
