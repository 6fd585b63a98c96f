package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Target is a resource to wait for.
type Target struct {
	Kind resource.Kind
	Name string
	// Gone: wait until it is deleted; otherwise until it is ready.
	Gone bool
	// Group is the PeeringGroup that makes it; empty when an operator does.
	Group string
}

// Observer is told how each target is, whenever that changes. Calls do not overlap.
type Observer func(Target, Readiness)

// Wait waits until all targets are ready (or gone) at one time, and with each PeeringGroup all peerings that it owns. When
// ctx ends before, the error is Timeout or Canceled. A server that cannot be reached for a while is waited for.
func (c *Client) Wait(ctx context.Context, targets []Target, observe Observer) error {
	w := &waiter{
		targets: targets, observe: observe, shown: map[string]Readiness{}, owned: map[string]Target{},
		lists: map[string]map[string]resource.Object{},
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watches sync.WaitGroup
	for _, kind := range w.kinds() {
		watches.Go(func() {
			defer stop()
			w.watch(watching, c, kind)
		})
	}
	watches.Wait()
	switch {
	case w.failure != nil:
		return w.failure
	case w.reached:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Timeout, "not everything is ready in time")
	}
	return fault.Wrap(fault.Canceled, ctx.Err(), "stopped waiting")
}

// waiter puts together what the watches of several kinds see.
type waiter struct {
	targets []Target
	observe Observer

	mu sync.Mutex
	// lists are the resources of each kind by name; a kind that has not been listed yet is missing.
	lists map[string]map[string]resource.Object
	// shown is what the observer knows.
	shown map[string]Readiness
	// owned are the peerings of groups that are targets.
	owned   map[string]Target
	reached bool
	failure error
}

// kinds are those to watch: a group is judged by its peerings too.
func (w *waiter) kinds() []resource.Kind {
	wanted := map[string]bool{}
	for _, t := range w.targets {
		wanted[t.Kind.Name] = true
		if t.Kind.Name == resource.KindPeeringGroup {
			wanted[resource.KindPeering] = true
		}
	}
	return slices.DeleteFunc(resource.Kinds(), func(k resource.Kind) bool { return !wanted[k.Name] })
}

// watch follows one kind until ctx ends or all targets are reached.
func (w *waiter) watch(ctx context.Context, c *Client, kind resource.Kind) {
	for objects, err := range c.Watch(ctx, kind, ListOptions{}) {
		w.mu.Lock()
		if err == nil {
			byName := make(map[string]resource.Object, len(objects))
			for _, o := range objects {
				byName[o.GetName()] = o
			}
			w.lists[kind.Name] = byName
			w.reached = w.judge()
		} else if !Retriable(err) {
			w.failure = err
		}
		over := w.reached || w.failure != nil
		w.mu.Unlock()
		if over {
			return
		}
	}
}

// judge looks at all targets, tells the observer what is new, and returns whether all are reached. Before every kind was
// listed once, it says nothing, so that observers hear of targets in their order.
func (w *waiter) judge() bool {
	if len(w.lists) < len(w.kinds()) {
		return false
	}
	all := true
	for _, t := range w.withOwned() {
		r := judgeTarget(t, w.lists[t.Kind.Name][t.Name])
		all = all && r.Ready
		key := t.Kind.Name + "/" + t.Name
		if shown, ok := w.shown[key]; !ok || shown != r {
			w.shown[key] = r
			w.observe(t, r)
		}
	}
	return all
}

// withOwned are the targets, and the peerings of those that are groups. One that goes meanwhile stays a target.
func (w *waiter) withOwned() []Target {
	targets := slices.Clone(w.targets)
	for name, o := range w.lists[resource.KindPeering] {
		peering, ok := o.(*isthmusv1.Peering)
		if ok && w.isTarget(resource.KindPeeringGroup, peering.GetStatus().GetGroup()) && !w.isTarget(resource.KindPeering, name) {
			w.owned[name] = Target{Kind: resource.KindOf(peering), Name: name, Group: peering.GetStatus().GetGroup()}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.owned)) {
		t := w.owned[name]
		o := w.lists[resource.KindPeering][name]
		t.Gone = o == nil || o.GetDeleteTime() != nil
		targets = append(targets, t)
	}
	return targets
}

func (w *waiter) isTarget(kind, name string) bool {
	return slices.ContainsFunc(w.targets, func(t Target) bool { return t.Kind.Name == kind && t.Name == name })
}

func judgeTarget(t Target, o resource.Object) Readiness {
	switch {
	case t.Gone && o == nil:
		return Readiness{Ready: true, State: Deleted}
	case t.Gone:
		return Readiness{State: Deleting, Message: Judge(o).Message}
	case o == nil:
		return Readiness{State: "missing", Message: "it is not there yet"}
	}
	return Judge(o)
}
