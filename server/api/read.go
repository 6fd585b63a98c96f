package api

import (
	"context"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// Pages of lists: what a request gets that does not say, and the most that one may ask for.
const (
	defaultPage = 100
	maxPage     = 1000
	// maxListBytes is where a page ends before it has as many as were asked for: well below what clients take as one message.
	maxListBytes = 4 << 20
	// tagSize is the most that stands before one resource in an answer.
	tagSize = 1 + 5
)

// get reads one resource of a kind.
func get[T resource.Object](ctx context.Context, c *Core, kind string, r *isthmusv1.GetRequest) (T, error) {
	var none T
	q, err := queryOf(r)
	if err != nil {
		return none, err
	}
	o, err := ask(ctx, c, q, oneResource{kind: kind, name: r.GetName()})
	if err != nil {
		return none, err
	}
	return shown(o).(T), nil //nolint:forcetypeassert // the kind's type is fixed by the registry.
}

// shown is the resource as clients see it: without what is stored but never shown.
func shown(o resource.Object) resource.Object {
	if token, ok := o.(*isthmusv1.APIToken); ok && len(token.GetStatus().GetSecretHash()) > 0 {
		token = resource.Clone(token)
		token.Status.SecretHash = nil
		return token
	}
	return o
}

// oneResource is the answer to Get.
type oneResource struct{ kind, name string }

func (a oneResource) read(_ context.Context, v *snapshot.View) (resource.Object, <-chan struct{}, error) {
	changed := v.WatchName(a.kind, a.name)
	o, ok := v.Get(a.kind, a.name)
	if !ok {
		return nil, changed, notFound(a.kind, a.name)
	}
	return o, changed, nil
}

// newer: of a resource that is not there, only its kind knows when it went.
func (a oneResource) newer(v *snapshot.View, o resource.Object, index uint64) bool {
	if o == nil {
		return v.KindIndex(a.kind) > index
	}
	return o.GetIndex() > index
}

func (a oneResource) same(x, y resource.Object) bool {
	return x.GetUid() == y.GetUid() && x.GetIndex() == y.GetIndex()
}

// list reads a page of a kind into an answer: a message with the resources in field 1, and the token of the next page in field 2. The resources
// are put there as they are kept, encoded, so the answer knows none of its fields; who it is sent to sees no difference.
func list[R proto.Message](ctx context.Context, c *Core, kind string, r *isthmusv1.ListRequest, into R) (R, error) {
	var none R
	q, err := queryOf(r)
	if err != nil {
		return none, err
	}
	a := listPage{kind: kind}
	if a.size, err = pageSize(r); err != nil {
		return none, err
	}
	if r.GetSelector() != "" {
		selector, err := resource.ParseSelector(r.GetSelector())
		if err != nil {
			return none, fault.Violated(fault.Violation{Field: "selector", Reason: "Invalid", Message: err.Error()})
		}
		a.selector = &selector
	}
	scope := listScope{Kind: kind, Selector: canonicalSelector(a.selector)}
	if a.after, err = scope.open(r.GetPageToken()); err != nil {
		return none, err
	}
	page, err := ask(ctx, c, q, a)
	if err != nil {
		return none, err
	}
	raw := make([]byte, 0, page.bytes+len(page.kept)*tagSize)
	for _, k := range page.kept {
		encoded := k.Encoded()
		if kind == resource.KindAPIToken {
			if encoded, err = proto.Marshal(shown(k.Object())); err != nil {
				return none, fault.Wrap(fault.Internal, err, "encoding an APIToken")
			}
		}
		raw = protowire.AppendBytes(protowire.AppendTag(raw, 1, protowire.BytesType), encoded)
	}
	if token := scope.token(page.next); token != "" {
		raw = protowire.AppendString(protowire.AppendTag(raw, 2, protowire.BytesType), token)
	}
	into.ProtoReflect().SetUnknown(raw)
	return into, nil
}

// pageSize is how many a page has.
func pageSize(r interface{ GetPageSize() int32 }) (int, error) {
	switch size := int(r.GetPageSize()); {
	case size < 0 || size > maxPage:
		return 0, fault.Violated(fault.Violation{Field: "pageSize", Reason: "Invalid", Message: "must be from 0 (which is 100) to 1000"})
	case size == 0:
		return defaultPage, nil
	default:
		return size, nil
	}
}

func canonicalSelector(s *resource.Selector) string {
	if s == nil {
		return ""
	}
	return s.String()
}

// listPage is the answer to List.
type listPage struct {
	kind     string
	after    string
	size     int
	selector *resource.Selector
}

// kept is a page of resources.
type kept struct {
	kept []snapshot.Kept
	// bytes is how long they are, encoded.
	bytes int
	// next is the last name of the page when there are more.
	next string
}

func (a listPage) read(_ context.Context, v *snapshot.View) (kept, <-chan struct{}, error) {
	changed := v.Watch(a.kind)
	var page kept
	for k := range v.ListAfter(a.kind, a.after) {
		if a.selector != nil && !a.selector.Matches(k.Object().GetLabels()) {
			continue
		}
		if n := len(page.kept); n == a.size || n > 0 && page.bytes+len(k.Encoded()) > maxListBytes {
			page.next = page.kept[n-1].Name()
			break
		}
		page.kept = append(page.kept, k)
		page.bytes += len(k.Encoded())
	}
	return page, changed, nil
}

func (a listPage) newer(v *snapshot.View, _ kept, index uint64) bool {
	return v.KindIndex(a.kind) > index
}

func (a listPage) same(x, y kept) bool {
	return x.next == y.next && slices.Equal(x.kept, y.kept)
}
