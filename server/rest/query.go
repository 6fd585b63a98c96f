package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// query lets parameters be written as flags are (?min-index= for minIndex), and refuses those that no request has: the
// gateway would pass over a mistyped one in silence.
func query(next http.Handler) http.Handler {
	known := parameters()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.URL.Query()
		for key, value := range r.URL.Query() {
			name := strings.ReplaceAll(key, "-", "_")
			field, _, _ := strings.Cut(name, ".")
			if !slices.Contains(known, field) {
				writeError(w, fault.Violated(fault.Violation{
					Field: key, Reason: "UnknownParameter",
					Message: fmt.Sprintf("is no query parameter; known ones are %s", strings.Join(shown(known), ", ")),
				}))
				return
			}
			delete(values, key)
			values[name] = value
		}
		r.URL.RawQuery = values.Encode()
		next.ServeHTTP(w, r)
	})
}

// parameters are the names, in both spellings, of all fields that requests of any RPC have, sorted. Agents' RPCs are not
// served here, and what a login sends has no place in a URL.
func parameters() []string {
	var names []string
	prefix := protoreflect.FullName("isthmus.v1.")
	protoregistry.GlobalFiles.RangeFilesByPackage(prefix.Parent(), func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			switch string(service.FullName()) {
			case isthmusv1.SyncService_ServiceDesc.ServiceName, isthmusv1.SessionService_ServiceDesc.ServiceName:
				continue
			}
			methods := service.Methods()
			for j := range methods.Len() {
				fields := methods.Get(j).Input().Fields()
				for k := range fields.Len() {
					names = append(names, string(fields.Get(k).Name()), fields.Get(k).JSONName())
				}
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// shown are the names in the spelling of JSON.
func shown(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.Contains(n, "_") })
}
