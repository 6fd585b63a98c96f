package api

import (
	"context"
	"slices"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// Pages of lists: what a request gets that does not say, and the most that one may ask for.
const (
	defaultPage = 100
	maxPage     = 1000
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

// list reads a page of a kind. The second result is the token of the next page.
func list[T resource.Object](ctx context.Context, c *Core, kind string, r *isthmusv1.ListRequest) ([]T, string, error) {
	q, err := queryOf(r)
	if err != nil {
		return nil, "", err
	}
	a := listPage{kind: kind}
	if a.size, err = pageSize(r); err != nil {
		return nil, "", err
	}
	if r.GetSelector() != "" {
		selector, err := resource.ParseSelector(r.GetSelector())
		if err != nil {
			return nil, "", fault.Violated(fault.Violation{Field: "selector", Reason: "Invalid", Message: err.Error()})
		}
		a.selector = &selector
	}
	scope := listScope{Kind: kind, Selector: canonicalSelector(a.selector)}
	if a.after, err = scope.open(r.GetPageToken()); err != nil {
		return nil, "", err
	}
	page, err := ask(ctx, c, q, a)
	if err != nil {
		return nil, "", err
	}
	items := make([]T, 0, len(page.objects))
	for _, o := range page.objects {
		items = append(items, shown(o).(T)) //nolint:forcetypeassert // the kind's type is fixed by the registry.
	}
	return items, scope.token(page.next), nil
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

type objects struct {
	objects []resource.Object
	// next is the last name of the page when there are more.
	next string
}

func (a listPage) read(_ context.Context, v *snapshot.View) (objects, <-chan struct{}, error) {
	changed := v.Watch(a.kind)
	var page objects
	for o := range v.ListAfter(a.kind, a.after) {
		if a.selector != nil && !a.selector.Matches(o.GetLabels()) {
			continue
		}
		if len(page.objects) == a.size {
			page.next = page.objects[a.size-1].GetName()
			break
		}
		page.objects = append(page.objects, o)
	}
	return page, changed, nil
}

func (a listPage) newer(v *snapshot.View, _ objects, index uint64) bool {
	return v.KindIndex(a.kind) > index
}

func (a listPage) same(x, y objects) bool {
	return x.next == y.next && slices.EqualFunc(x.objects, y.objects, func(a, b resource.Object) bool {
		return a.GetUid() == b.GetUid() && a.GetIndex() == b.GetIndex()
	})
}
