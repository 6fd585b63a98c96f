package api

import (
	"context"
	"fmt"
	"maps"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/inventory"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/change"
	"isthmus/server/evidence"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// edit is one resource as it is and as it shall be.
type edit struct {
	kind resource.Kind
	// before is the resource as the snapshot has it; nil when it is created.
	before resource.Object
	// after is what it shall be; nil when its row goes.
	after resource.Object
	// action is the audit log's word for it.
	action  string
	message string
	// status: the status is written too.
	status bool
	// stepwise: it is on its way out, and what refers to it goes step by step.
	stepwise bool
	// draining: what it still names on its way out is taken out of it later.
	draining bool
	// byHand: its labels and spec are what an operator says they shall be.
	byHand bool
	// comparison of both, once somebody has asked for it.
	comparison *comparison
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
	return e.compared().differs
}

// comparison is what is told of an edit's two versions again and again; nobody changes their labels and specs once there is an edit.
type comparison struct {
	// differs: labels or spec do; respecified: the spec does.
	differs, respecified bool
}

// compared compares a resource as it is with what it shall be.
func (e *edit) compared() comparison {
	if e.comparison == nil {
		var c comparison
		if spec := proto.Equal(resource.Spec(e.before), resource.Spec(e.after)); !spec || !maps.Equal(e.before.GetLabels(), e.after.GetLabels()) {
			c.differs = len(resource.Diff(e.before, e.after)) > 0
			c.respecified = !spec && resource.SpecDigest(e.before) != resource.SpecDigest(e.after)
		}
		e.comparison = &c
	}
	return *e.comparison
}

// leaving tells that the resource is on its way out or gone after the edit.
func (e *edit) leaving() bool { return e.after == nil || e.after.GetDeleteTime() != nil }

// stillLeaving tells that the resource was on its way out before, and only its status is another.
func (e *edit) stillLeaving() bool {
	return e.status && e.before != nil && e.before.GetDeleteTime() != nil && e.after != nil && e.after.GetDeleteTime() != nil
}

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
	// requires are preconditions beyond those of the edits.
	requires []store.Require
	// expansions are what groups do because of the edits; filled in by the check.
	expansions []peering.Expansion
}

// submit builds a batch out of a view, checks it, writes it, and tries anew when the view turned out to be old. A dry run
// stops before the write.
func (c *Core) submit(ctx context.Context, dryRun bool, build func(v *snapshot.View) (*batch, error)) (*batch, *snapshot.View, error) {
	var (
		b    *batch
		seen *snapshot.View
		// byStore: what this server checks was all right.
		byStore bool
	)
	err := change.Retry(ctx, c.Snapshot, func(err error, tried int) bool {
		return worthAnotherLook(err, byStore, tried)
	}, func(v *snapshot.View) (err error) {
		byStore, seen = false, v
		if b, err = checked(v, build); err != nil || dryRun {
			return err
		}
		byStore = true
		seen, err = c.write(ctx, v, b)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return b, seen, nil
}

// checked is what build makes of a view, when the rules have nothing against it.
func checked(v *snapshot.View, build func(v *snapshot.View) (*batch, error)) (*batch, error) {
	b, err := build(v)
	if err != nil {
		return nil, err
	}
	if err := check(v, b); err != nil {
		return nil, err
	}
	return b, nil
}

// worthAnotherLook tells whether a refusal may come from reading an old view rather than from what was asked: another
// replica may have written what is missed here. Of what this server refuses by itself, one newer view is enough to be sure;
// what only the store refused is a race, which can be lost more than once.
func worthAnotherLook(err error, byStore bool, tried int) bool {
	switch fault.CodeOf(err) { //nolint:exhaustive // the others stand whatever the view.
	case fault.Conflict:
		return byStore || tried == 0
	case fault.NotFound, fault.AlreadyExists, fault.Referenced, fault.Invalid, fault.Refused:
		return tried == 0
	}
	return false
}

// write stores what changes in a view.
func (c *Core) write(ctx context.Context, v *snapshot.View, b *batch) (*snapshot.View, error) {
	by := change.By(ctx, auth.CallerOf(ctx))
	w := store.Write{Requires: b.requires, Secrets: b.secrets, DeleteSecrets: b.spent}
	along := map[store.Key]bool{}
	for _, e := range b.edits {
		along[e.key()] = true
	}
	var put []*edit
	for _, e := range b.edits {
		if !e.changes() {
			continue
		}
		w.Requires = append(w.Requires, c.requires(e, along)...)
		w.Events = append(w.Events, by.SpecEvent(e.action, e.before, e.after, e.message, c.Now()))
		switch {
		case e.after == nil:
			w.Deletes = append(w.Deletes, e.key())
			continue
		case e.before == nil:
			c.born(e.after)
		default:
			c.advance(e)
		}
		put = append(put, e)
	}
	c.foretell(v, b, put)
	for _, e := range put {
		part := store.PartSpec
		if e.before == nil || e.status {
			part = store.PartAll
		}
		w.Puts = append(w.Puts, store.Put{Object: e.after, Given: true, Part: part})
	}
	if len(w.Puts)+len(w.Deletes) == 0 {
		v := c.Snapshot.View()
		request.At(ctx, v.Revision().Index)
		return v, nil
	}
	written, err := c.commit(ctx, w)
	if err == nil && c.Log.IsDebug() {
		c.Log.Debug("wrote", "actor", by.Actor, "puts", len(w.Puts), "deletes", len(w.Deletes),
			"index", written.Revision().Index, "request", by.Request)
	}
	return written, err
}

// born gives a new resource its metadata, and a datacenter the status that the controller would give it next: another write of each.
func (c *Core) born(o resource.Object) {
	change.Fresh(o, c.Now())
	if d, ok := o.(*isthmusv1.Datacenter); ok {
		d.Status = evidence.Datacenter(d, inventory.Evidence{}, nil, c.Now())
	}
}

// foretell gives policies the status that the controller would give them next, where that says no more than that agents have yet to act: another
// write of each, another change for all who watch, and a while in which their status is that of what was wanted before. It is found in the fleet as the edits
// leave it, and where somebody else has changed that meanwhile the controller finds another.
func (c *Core) foretell(v *snapshot.View, b *batch, put []*edit) {
	var next *prospect
	for _, e := range put {
		if e.status || !evidence.Foreseeable(e.after) {
			continue
		}
		if next == nil {
			next = newProspect(v, b.edits) // not that of the checks, which has what they found of resources without metadata
		}
		if status := evidence.PendingPolicy(next, e.after, c.Observations, c.Now()); status != nil {
			resource.SetStatus(e.after, status)
			e.status = true
		}
	}
}

// requires is what the check of an edit has read: the resource itself and what it refers to, but for what is edited along with it.
func (c *Core) requires(e *edit, along map[store.Key]bool) []store.Require {
	own := store.Require{Key: e.key(), Absent: e.before == nil}
	if e.before != nil {
		own.Index = e.before.GetIndex()
	}
	out := []store.Require{own}
	if e.after == nil || e.kind.References == nil {
		return out
	}
	for _, r := range e.kind.References(e.after) {
		if key := (store.Key{Kind: r.Kind, Name: r.Name}); !along[key] {
			out = append(out, store.Require{Key: key})
		}
	}
	return out
}

// advance moves the metadata of a changed resource on.
func (c *Core) advance(e *edit) {
	m := resource.MetadataOf(e.before)
	m.UpdateTime = timestamppb.New(c.Now())
	m.DeleteTime = e.after.GetDeleteTime()
	m.Index = 0 // the store's to give
	if e.compared().respecified {
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
	if spec := resource.Spec(sent); spec.ProtoReflect().IsValid() {
		resource.SetSpec(o, proto.Clone(spec))
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

// restated is wanted for a resource that there is: what a caller leaves unsaid of a peering's token does not take back what
// rotations have asked for.
func restated(before, sent resource.Object) resource.Object {
	after := wanted(sent)
	old, ok := before.(*isthmusv1.Peering)
	if !ok {
		return after
	}
	if p, ok := after.(*isthmusv1.Peering); ok && p.GetSpec() != nil && p.GetSpec().GetTokenGeneration() == 0 {
		p.Spec.TokenGeneration = old.GetSpec().GetTokenGeneration()
	}
	return after
}

// revised is the edit that gives a resource another labels and spec.
func revised(before, after resource.Object) *edit {
	resource.SetMetadata(after, resource.MetadataOf(before))
	resource.SetStatus(after, resource.Status(resource.Clone(before)))
	return &edit{kind: resource.KindOf(before), before: before, after: after, action: "update", byHand: true}
}
