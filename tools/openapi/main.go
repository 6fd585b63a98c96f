// Command openapi makes the OpenAPI 3 document of isthmus's REST API.
//
//	openapi SWAGGER DESCRIPTORS OUT
//
// SWAGGER is what protoc-gen-openapiv2 made of the protos (Swagger 2.0), DESCRIPTORS the protos themselves, as buf builds
// them. What the protos say and Swagger loses is put back: choices. What every operation has in common is added: how to
// log in, the index of a read, the form of an error. The result is validated before it is written.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	// Linked in so that the rules in the descriptors can be read.
	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: openapi SWAGGER DESCRIPTORS OUT")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, swagger, descriptors, out string) error {
	doc, err := convert(swagger)
	if err != nil {
		return err
	}
	files, err := readDescriptors(descriptors)
	if err != nil {
		return err
	}
	describe(doc)
	if err := joinPaths(doc); err != nil {
		return err
	}
	dropExtensions(doc)
	nameTags(doc)
	addErrors(doc)
	addIndex(doc)
	addYAML(doc)
	if err := addChoices(doc, files); err != nil {
		return err
	}
	return write(ctx, doc, out)
}

// convert reads the Swagger 2.0 document and makes OpenAPI 3 of it.
func convert(path string) (*openapi3.T, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc openapi2.T
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	converted, err := openapi2conv.ToV3(&doc)
	if err != nil {
		return nil, fmt.Errorf("converting %s: %w", path, err)
	}
	return converted, nil
}

// readDescriptors reads a FileDescriptorSet.
func readDescriptors(path string) (*protoregistry.Files, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("linking %s: %w", path, err)
	}
	return files, nil
}

// write validates the document as a reader of the file would see it, and writes it: one line per value, keys in order,
// so that a change of the API is a short diff.
func write(ctx context.Context, doc *openapi3.T, path string) error {
	compact, err := doc.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encoding the document: %w", err)
	}
	loaded, err := openapi3.NewLoader().LoadFromData(compact)
	if err != nil {
		return fmt.Errorf("reading the document back: %w", err)
	}
	if err := loaded.Validate(ctx); err != nil {
		return fmt.Errorf("the document is not valid: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, compact, "", "  "); err != nil {
		return fmt.Errorf("laying out the document: %w", err)
	}
	text.WriteByte('\n')
	return os.WriteFile(path, text.Bytes(), 0o644)
}
