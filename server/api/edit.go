package api

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// maxAttempts is how often a write is tried anew when somebody else wrote what it had read. Controllers write statuses
// all the time, so a second attempt is common and a fifth is a sign of a storm.
const maxAttempts = 8

// edit is one resource as it is and as it shall be.
type edit struct {
	kind resource.Kind
	// before is the resource as the snapshot has it; nil when it is created.
	before resource.Object
	// after is what it shall be; nil when its row goes.
	after resource.Object
	// index is the caller's precondition; 0 is none.
	index uint64
	// action is the audit log's word for it.
	action  string
	message string
	// status: the status is written too.
	status bool
	// document and locate say where it stands in a set of manifests.
	document int
	locate   func(fault.Violation) fault.Violation
}

func (e *edit) name() string {
	if e.after != nil {
		return e.after.GetName()
	}
	return e.before.GetName()
}

func (e *edit) key() store.Key { return store.Key{Kind: e.kind.Name, Name: e.name()} }

// changes is false when the resource stays as it is.
func (e *edit) changes() bool {
	switch {
	case e.before == nil || e.after == nil || e.status:
		return true
	case (e.before.GetDeleteTime() == nil) != (e.after.GetDeleteTime() == nil):
		return true
	}
	return len(resource.Diff(e.before, e.after)) > 0
}

// leaving tells that the resource is on its way out or gone after the edit.
func (e *edit) leaving() bool { return e.after == nil || e.after.GetDeleteTime() != nil }

// at gives a violation its place in the manifests.
func (e *edit) at(v fault.Violation) fault.Violation {
	if e.locate != nil {
		return e.locate(v)
	}
	return v
}

// batch is a set of edits that happen together or not at all.
type batch struct {
	edits []*edit
	// force accepts what a limit stands against.
	force bool
	// secrets are stored and spent ones deleted, together with the edits.
	secrets []store.Secret
	spent   []string
	// expansion is what groups do because of the edits; filled in by the check.
	expansion []*isthmusv1.Change
}

// submit builds a batch out of a view, checks it, writes it, and tries anew when the view turned out to be old. A dry run
// stops before the write.
func (c *Core) submit(ctx context.Context, dryRun bool, build func(v *snapshot.View) (*batch, error)) (*batch, *snapshot.View, error) {
	var err error
	for attempt := range maxAttempts {
		v := c.Snapshot.View()
		var b *batch
		if b, err = build(v); err != nil {
			return nil, nil, err
		}
		if err = check(v, b); err == nil {
			if dryRun {
				return b, v, nil
			}
			var written *snapshot.View
			if written, err = c.write(ctx, b); err == nil {
				return b, written, nil
			}
		}
		if !worthAnotherLook(err, b, attempt) {
			return nil, nil, err
		}
		if catchup := c.Snapshot.Catchup(ctx); catchup != nil {
			return nil, nil, catchup
		}
		if c.Snapshot.View().Revision() == v.Revision() {
			// What refused it is not news to the snapshot: it stands.
			return nil, nil, err
		}
	}
	return nil, nil, err
}

// worthAnotherLook tells whether a refusal may come from reading an old view rather than from what was asked. Of what the
// rules refuse, one newer view is enough to be sure.
func worthAnotherLook(err error, b *batch, attempt int) bool {
	switch fault.CodeOf(err) { //nolint:exhaustive // the others stand whatever the view.
	case fault.Conflict:
		for _, e := range b.edits {
			if e.index != 0 && e.before.GetIndex() != e.index {
				return false
			}
		}
		return true
	case fault.NotFound, fault.AlreadyExists, fault.Referenced, fault.Invalid, fault.Refused:
		return attempt == 0
	}
	return false
}

// write stores what changes.
func (c *Core) write(ctx context.Context, b *batch) (*snapshot.View, error) {
	w := store.Write{Secrets: b.secrets, DeleteSecrets: b.spent}
	for _, e := range b.edits {
		if !e.changes() {
			continue
		}
		w.Requires = append(w.Requires, c.requires(e, b)...)
		w.Events = append(w.Events, c.event(ctx, e.action, e.before, e.after, e.message))
		switch {
		case e.after == nil:
			w.Deletes = append(w.Deletes, e.key())
			continue
		case e.before == nil:
			c.fresh(e.after)
			w.Puts = append(w.Puts, store.Put{Object: e.after, Part: store.PartAll})
			continue
		}
		c.advance(e)
		part := store.PartSpec
		if e.status {
			part = store.PartAll
		}
		w.Puts = append(w.Puts, store.Put{Object: e.after, Part: part})
	}
	if len(w.Puts)+len(w.Deletes) == 0 {
		v := c.Snapshot.View()
		setIndex(ctx, v.Revision().Index)
		return v, nil
	}
	v, err := c.commit(ctx, w)
	if err == nil {
		c.Log.Info("wrote", "actor", auth.CallerOf(ctx).Actor(), "puts", len(w.Puts), "deletes", len(w.Deletes),
			"index", v.Revision().Index, "request", request.ID(ctx))
	}
	return v, err
}

// requires is what the check of an edit has read: the resource itself and what it refers to.
func (c *Core) requires(e *edit, b *batch) []store.Require {
	own := store.Require{Key: e.key(), Absent: e.before == nil}
	if e.before != nil {
		own.Index = e.before.GetIndex()
	}
	out := []store.Require{own}
	if e.after == nil || e.kind.References == nil {
		return out
	}
	for _, r := range e.kind.References(e.after) {
		if !b.has(r.Kind, r.Name) {
			out = append(out, store.Require{Key: store.Key{Kind: r.Kind, Name: r.Name}})
		}
	}
	return out
}

func (b *batch) has(kind, name string) bool {
	for _, e := range b.edits {
		if e.kind.Name == kind && e.name() == name {
			return true
		}
	}
	return false
}

// advance moves the metadata of a changed resource on.
func (c *Core) advance(e *edit) {
	m := resource.MetadataOf(e.before)
	m.UpdateTime = timestamppb.New(c.Now())
	m.DeleteTime = e.after.GetDeleteTime()
	if resource.SpecDigest(e.before) != resource.SpecDigest(e.after) {
		m.Generation++
	}
	resource.SetMetadata(e.after, m)
}

// creation is the edit that makes a resource of what a caller sent: name, labels and spec, nothing else of it.
func creation(v *snapshot.View, sent resource.Object) (*edit, error) {
	o := wanted(sent)
	if err := resource.Validate(o); err != nil {
		return nil, err
	}
	kind := resource.KindOf(o)
	if _, exists := v.Get(kind.Name, o.GetName()); exists {
		return nil, fault.New(fault.AlreadyExists, "there is a %s named %q already", kind.Name, o.GetName())
	}
	return &edit{kind: kind, after: o, action: "create"}, nil
}

// wanted is a new resource with what an operator may say, and the defaults.
func wanted(sent resource.Object) resource.Object {
	o := resource.KindOf(sent).New()
	resource.SetName(o, sent.GetName())
	resource.SetLabels(o, sent.GetLabels())
	if spec := resource.Spec(resource.Clone(sent)); spec.ProtoReflect().IsValid() {
		resource.SetSpec(o, spec)
	}
	resource.Default(o)
	return o
}

// existing finds the resource that an edit is about, and checks the caller's precondition.
func existing(v *snapshot.View, kind, name string, index uint64) (resource.Object, error) {
	o, ok := v.Get(kind, name)
	if !ok {
		return nil, notFound(kind, name)
	}
	if index != 0 && o.GetIndex() != index {
		return nil, &fault.Error{
			Code:    fault.Conflict,
			Message: fmt.Sprintf("%s %q is at index %d, not at %d: somebody changed it; read it again", kind, name, o.GetIndex(), index),
			Violations: []fault.Violation{{
				Field: "index", Reason: "Stale",
				Message: fmt.Sprintf("is %d; the resource is at index %d", index, o.GetIndex()),
			}},
		}
	}
	return o, nil
}

// revised is the edit that gives a resource another labels and spec.
func revised(before, after resource.Object) *edit {
	resource.SetMetadata(after, resource.MetadataOf(before))
	resource.SetStatus(after, resource.Status(resource.Clone(before)))
	return &edit{kind: resource.KindOf(before), before: before, after: after, action: "update"}
}
