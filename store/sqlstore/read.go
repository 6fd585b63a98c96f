package sqlstore

import (
	"context"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key store.Key) (resource.Object, store.Revision, error) {
	var revision store.Revision
	var found resource.Object
	err := s.read(ctx, s.readRevision(&revision, nil), Statement{
		SQL: s.sql.get, Args: []any{key.Kind, key.Name}, Row: s.visit(func(o resource.Object) error {
			found = o
			return nil
		}),
	})
	if err != nil {
		return nil, store.Revision{}, err
	}
	if found == nil {
		return nil, revision, fault.New(fault.NotFound, "%s %s does not exist", key.Kind, key.Name)
	}
	return found, revision, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind, after string, limit int) (store.Page, error) {
	var page store.Page
	err := s.read(ctx, s.readRevision(&page.Revision, nil), Statement{
		SQL: s.sql.list, Args: []any{kind, after, int64(limit) + 1}, Row: s.visit(func(o resource.Object) error {
			page.Objects = append(page.Objects, o)
			return nil
		}),
	})
	if err != nil {
		return store.Page{}, err
	}
	if len(page.Objects) > limit {
		page.Objects = page.Objects[:limit]
		page.Next = page.Objects[limit-1].GetName()
	}
	return page, nil
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context) (store.Revision, error) {
	var revision store.Revision
	if err := s.read(ctx, s.readRevision(&revision, nil)); err != nil {
		return store.Revision{}, err
	}
	return revision, nil
}

// Changes implements store.Store.
func (s *Store) Changes(ctx context.Context, since store.Revision, limit int) (store.Feed, error) {
	var head store.Revision
	var compacted uint64
	var changes []store.Change
	had := s.horizon.now()
	objects := map[store.Key]resource.Object{}
	args := []any{int64(since.Index), int64(limit), int64(since.Index)}
	statements := []Statement{s.readRevision(&head, &compacted), {SQL: s.sql.feed, Args: args, Row: func(scan func(...any) error) error {
		var text []byte
		err := scan(&text)
		if err == nil {
			changes, err = parseFeed(changes, text, since.Index)
		}
		return err
	}}}
	if s.sql.byIndex != "" {
		statements = append(statements, Statement{SQL: s.sql.byIndex})
	}
	err := s.read(ctx, append(statements, Statement{SQL: s.sql.feedObjects, Args: args, Row: s.visit(func(o resource.Object) error {
		objects[store.Key{Kind: string(o.ProtoReflect().Descriptor().Name()), Name: o.GetName()}] = o
		return nil
	})})...)
	if err != nil {
		return store.Feed{}, err
	}
	if lacks(head, had) {
		head, err = s.readAnew(ctx, head, had)
		return store.Feed{Revision: head, Reload: true}, err
	}
	s.horizon.see(head)
	if since.Epoch != head.Epoch || since.Index < compacted || since.Index > head.Index {
		return store.Feed{Revision: head, Reload: true}, nil
	}
	feed := store.Feed{Revision: head}
	if changes = whole(changes, limit); len(changes) > 0 {
		// Each index has changes.
		feed.Revision.Index = changes[len(changes)-1].Index
		feed.More = feed.Revision.Index < head.Index
	}
	for _, c := range changes {
		if _, known := s.codec.kinds[c.Key.Kind]; known || c.Key.Kind == store.KindEvent {
			c.Object = objects[c.Key]
			feed.Changes = append(feed.Changes, c)
		}
	}
	return feed, nil
}

func (s *Store) readRevision(into *store.Revision, compacted *uint64) Statement {
	return Statement{SQL: s.sql.revision, Row: func(scan func(...any) error) error {
		var index, below int64
		err := scan(&into.Epoch, &index, &below)
		into.Index = uint64(index)
		if compacted != nil {
			*compacted = uint64(below)
		}
		return err
	}}
}

// visit decodes rows of resources. Those of kinds that this binary does not have are passed over.
func (s *Store) visit(visit func(resource.Object) error) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var r record
		if err := scan(r.destinations()...); err != nil {
			return err
		}
		o, known, err := s.codec.decode(&r)
		if err != nil || !known {
			return err
		}
		return visit(o)
	}
}
