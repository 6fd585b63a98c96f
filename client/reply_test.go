package client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// listOf is an empty answer to the RPC that lists a kind, and the field for its resources.
func listOf(t *testing.T, kind resource.Kind) (protoreflect.Message, protoreflect.FieldDescriptor) {
	t.Helper()
	item := kind.New().ProtoReflect().Descriptor()
	var found protoreflect.FieldDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(item.ParentFile().Package(), func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				fields := methods.Get(j).Output().Fields()
				for k := range fields.Len() {
					if f := fields.Get(k); f.IsList() && f.Message() == item && fields.ByName("next_page_token") != nil {
						found = f
					}
				}
			}
		}
		return true
	})
	if found == nil {
		t.Fatalf("no RPC lists %s", kind.Plural)
	}
	message, err := protoregistry.GlobalTypes.FindMessageByName(found.ContainingMessage().FullName())
	if err != nil {
		t.Fatal(err)
	}
	return message.New(), found
}

// future is an encoded message with fields that only a newer server has.
func future(t *testing.T, m proto.Message) []byte {
	t.Helper()
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	wire = protowire.AppendVarint(protowire.AppendTag(wire, 998, protowire.VarintType), 7)
	return protowire.AppendString(protowire.AppendTag(wire, 999, protowire.BytesType), "from the future")
}

// answered serves one answer in protobuf.
func answered(t *testing.T, wire []byte) *client.Client {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Accept"), "application/protobuf") {
			t.Errorf("Accept: %s", r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Type", "application/protobuf")
		_, _ = w.Write(wire)
	})
}

// The lists of all kinds are read in protobuf by the numbers of their fields, whatever else a newer server says.
func TestListsOfAllKindsInProtobuf(t *testing.T) {
	t.Parallel()
	for _, kind := range resource.Kinds() {
		list, field := listOf(t, kind)
		var want []resource.Object
		for _, name := range []string{"a", "b"} {
			o := kind.New()
			o.ProtoReflect().Set(o.ProtoReflect().Descriptor().Fields().ByName("name"), protoreflect.ValueOfString(name))
			want = append(want, o)
			// What is unknown of a message is kept when it is decoded, and encoded again.
			unknown := kind.New()
			if err := proto.Unmarshal(future(t, o), unknown); err != nil {
				t.Fatal(err)
			}
			list.Mutable(field).List().Append(protoreflect.ValueOfMessage(unknown.ProtoReflect()))
		}
		got, err := answered(t, future(t, list.Interface())).All(t.Context(), kind, client.ListOptions{})
		if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", kind.Plural, err, diff)
		}
	}
}

func TestPagesInProtobuf(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := &isthmusv1.ListDatacentersResponse{Datacenters: []*isthmusv1.Datacenter{{Name: "a"}}, NextPageToken: "b"}
		if r.URL.Query().Get("pageToken") == "b" {
			page = &isthmusv1.ListDatacentersResponse{Datacenters: []*isthmusv1.Datacenter{{Name: "b"}}}
		}
		w.Header().Set("Content-Type", "application/protobuf")
		_, _ = w.Write(future(t, page))
	})
	got, err := client.AllOf[*isthmusv1.Datacenter](t.Context(), c)
	if err != nil || len(got) != 2 || got[0].GetName() != "a" || got[1].GetName() != "b" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestOneResourceInProtobuf(t *testing.T) {
	t.Parallel()
	want := &isthmusv1.Datacenter{Name: "dc1", Labels: map[string]string{"env": "prod"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
	got, err := client.Lookup[*isthmusv1.Datacenter](t.Context(), answered(t, future(t, want)), "dc1")
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	none, err := answered(t, nil).All(t.Context(), kind(t, "Peering"), client.ListOptions{})
	if err != nil || len(none) != 0 {
		t.Errorf("an empty list: %v, %v", none, err)
	}
}

func TestWhatIsNoProtobufIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{"\xff", "\x0a\x05ab", "\x0a\x02\xff\xff", `{"datacenters":[]}`} {
		c := answered(t, []byte(wire))
		if got, err := c.All(t.Context(), kind(t, "Datacenter"), client.ListOptions{}); fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("%q as a list: %v, %v", wire, got, err)
		}
	}
	if got, err := answered(t, []byte("\x0a\x05ab")).Server(t.Context()); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("cut off: %v, %v", got, err)
	}
}

// An answer that is cut off at the client's own limit does not pass for a shorter one.
func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/protobuf")
		// Fields of which each is a message of its own.
		_, _ = io.CopyN(w, strings.NewReader(strings.Repeat("\x12\x02ab", 17<<20)), 68<<20)
	})
	if _, err := c.All(t.Context(), kind(t, "Datacenter"), client.ListOptions{}); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("got %v", err)
	}
}

// FuzzListInProtobuf: a list of any bytes is what protobuf makes of them, where it can.
func FuzzListInProtobuf(f *testing.F) {
	f.Add([]byte("\x0a\x03\x0a\x01a\x12\x01b"))
	f.Add([]byte("\x0a\x05ab"))
	f.Add([]byte("\x12\x01\xff"))
	kind, _ := resource.KindNamed(resource.KindDatacenter)
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/protobuf")
			if !r.URL.Query().Has("pageToken") {
				_, _ = w.Write(wire)
			}
		})
		got, err := c.All(t.Context(), kind, client.ListOptions{})
		list := &isthmusv1.ListDatacentersResponse{}
		if proto.Unmarshal(wire, list) == nil && (err != nil || len(got) != len(list.GetDatacenters())) {
			t.Errorf("%x: %d datacenters, %v; protobuf says %d", wire, len(got), err, len(list.GetDatacenters()))
		}
	})
}
