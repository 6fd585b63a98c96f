package api

import (
	"context"

	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// The outcomes of a deletion.
const (
	outcomeDeleted  = "deleted"
	outcomeDeleting = "deleting"
)

// create stores a new resource.
func create[T resource.Object](ctx context.Context, c *Core, sent T) (T, error) {
	var none T
	if !sent.ProtoReflect().IsValid() {
		return none, fault.New(fault.Invalid, "there is no %s in the request", resource.KindOf(sent).Name)
	}
	return one[T](c.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		e, err := creation(v, sent)
		if err != nil {
			return nil, err
		}
		return &batch{edits: []*edit{e}}, nil
	}))
}

// one is the resource of a batch of one edit, as the store has it now.
func one[T resource.Object](b *batch, v *snapshot.View, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	e := b.edits[0]
	if o, ok := v.Get(e.kind.Name, e.name()); ok {
		return shown(o).(T), nil //nolint:forcetypeassert // the kind's type is fixed by the registry.
	}
	// Somebody deleted it right after: the answer is what was written.
	return shown(e.after).(T), nil //nolint:forcetypeassert // as above.
}

// updateRequest is what the Update requests of all kinds have in common.
type updateRequest interface {
	GetUpdateMask() *fieldmaskpb.FieldMask
	GetIndex() uint64
}

// update changes labels and spec: the fields of the mask, or all of them without one.
func update[T resource.Object](ctx context.Context, c *Core, sent T, r updateRequest) (T, error) {
	var none T
	if !sent.ProtoReflect().IsValid() {
		return none, fault.New(fault.Invalid, "there is no %s in the request", resource.KindOf(sent).Name)
	}
	force := false
	if f, ok := r.(interface{ GetForce() bool }); ok {
		force = f.GetForce()
	}
	kind := resource.KindOf(sent)
	return one[T](c.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, kind.Name, sent.GetName(), r.GetIndex())
		if err != nil {
			return nil, err
		}
		after, err := merged(before, sent, r.GetUpdateMask())
		if err != nil {
			return nil, err
		}
		return &batch{edits: []*edit{revised(before, after)}, force: force}, nil
	}))
}

// merged is before with the fields of the mask taken from sent; it has its defaults and is valid.
func merged(before, sent resource.Object, mask *fieldmaskpb.FieldMask) (resource.Object, error) {
	after := restated(before, sent)
	if len(mask.GetPaths()) > 0 {
		after = wanted(before)
		if err := applyMask(after, sent, mask.GetPaths()); err != nil {
			return nil, err
		}
		resource.Default(after)
	}
	if err := resource.Validate(after); err != nil {
		return nil, err
	}
	return after, nil
}

// remove deletes a resource, or begins to: what has ends in Consul goes when they are gone.
func remove(ctx context.Context, c *Core, kind string, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return removeIf(ctx, c, kind, r, func(*snapshot.View, resource.Object, *batch) error { return nil })
}

// removeIf is remove with a further look at what goes, which can refuse it or add to its batch.
func removeIf(
	ctx context.Context, c *Core, kind string, r *isthmusv1.DeleteRequest, look func(v *snapshot.View, before resource.Object, b *batch) error,
) (*isthmusv1.DeleteResponse, error) {
	outcome := outcomeDeleted
	_, _, err := c.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, kind, r.GetName(), r.GetIndex())
		if err != nil {
			return nil, err
		}
		b, err := c.deletion(v, before, r.GetForce())
		if err != nil {
			return nil, err
		}
		if err := look(v, before, b); err != nil {
			return nil, err
		}
		outcome = outcomeDeleted
		if b.edits[0].after != nil {
			outcome = outcomeDeleting
		}
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.DeleteResponse{Outcome: outcome}, nil
}

// deletion is the batch that deletes a resource; its first edit is about the resource itself.
func (c *Core) deletion(v *snapshot.View, before resource.Object, force bool) (*batch, error) {
	b := &batch{force: force, edits: []*edit{{kind: resource.KindOf(before), before: before, action: "delete"}}}
	if force {
		b.edits[0].message = "by force"
	}
	gradual, err := false, error(nil)
	switch o := before.(type) {
	case *isthmusv1.Peering:
		gradual, err = peeringGoesGradually(o, force)
	case *isthmusv1.PeeringGroup:
		// Always: only the controller, which makes the peerings of a group, knows that none is left.
		gradual = true
	case *isthmusv1.Federation:
		gradual = federationGoesGradually(o, force)
	case *isthmusv1.Datacenter:
		var along []*edit
		gradual, along = datacenterGoesGradually(v, o, force)
		if !gradual {
			b.edits = append(b.edits, along...)
		}
	}
	if err != nil {
		return nil, err
	}
	if gradual {
		b.edits[0].after = c.marked(before)
	}
	return b, nil
}

// marked is a resource that is on its way out.
func (c *Core) marked(before resource.Object) resource.Object {
	after := resource.Clone(before)
	if after.GetDeleteTime() == nil {
		m := resource.MetadataOf(after)
		m.DeleteTime = timestamppb.New(c.Now())
		resource.SetMetadata(after, m)
	}
	return after
}

// peeringGoesGradually tells whether ends in Consul have to go first.
func peeringGoesGradually(p *isthmusv1.Peering, force bool) (bool, error) {
	if group := p.GetStatus().GetGroup(); group != "" && (!force || p.GetDeleteTime() == nil) {
		return false, fault.New(fault.Refused, "Peering %q belongs to PeeringGroup %q, which would make it again: change the group or the labels "+
			"of its datacenters", p.GetName(), group)
	}
	// Before the first claim no agent has made anything.
	return !force && len(p.GetStatus().GetToken().GetLedger()) > 0, nil
}

// datacenterGoesGradually tells whether peerings that groups own, or that are going already, have to go first, or the federation that it
// has begun to join has to be left; force does not wait for what may never answer. along are the edits of what goes with the datacenter:
// such peerings, and gateways that were discovered.
func datacenterGoesGradually(v *snapshot.View, d *isthmusv1.Datacenter, force bool) (gradual bool, along []*edit) {
	leave := func(o resource.Object, message string) {
		along = append(along, &edit{kind: resource.KindOf(o), before: o, action: "delete", message: message})
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, d.GetName()) {
		switch {
		case force && p.GetDeleteTime() != nil:
			leave(p, "with its datacenter, by force: what is left of it in Consul stays there")
		case passing(p):
			gradual = true
		}
	}
	if m, ok := resource.MembershipOf(v, d.GetName()); ok && !force {
		gradual = gradual || resource.Engaged(resource.MemberOf(m.Federation, d.GetName()))
	}
	for g := range resource.AllTouching[*isthmusv1.Gateway](v, resource.KindGateway, d.GetName()) {
		if passing(g) {
			leave(g, "with its datacenter")
		}
	}
	return gradual, along
}

// passing tells that a resource goes by itself when the datacenter that it names goes.
func passing(o resource.Object) bool {
	switch o := o.(type) {
	case *isthmusv1.Peering:
		return o.GetStatus().GetGroup() != "" || o.GetDeleteTime() != nil
	case *isthmusv1.Gateway:
		return o.GetSpec().GetSource() == resource.SourceDiscovered
	}
	return false
}
