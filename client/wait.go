package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxFollowed is how many targets of a kind are followed each by its name; of more the whole list is.
const maxFollowed = 8

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
			w.watch(watching, c, kind)
			if w.over() {
				stop()
			}
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

// watch follows one kind until ctx ends, all targets are reached, or those of the kind are gone.
func (w *waiter) watch(ctx context.Context, c *Client, kind resource.Kind) {
	if names := w.named(kind); len(names) <= maxFollowed && !w.ownsAny(kind) && !w.follow(ctx, c, kind, names) {
		return
	}
	for objects, err := range c.Watch(ctx, kind, ListOptions{}) {
		over := w.take(err, func() {
			byName := make(map[string]resource.Object, len(objects))
			for _, o := range objects {
				byName[o.GetName()] = o
			}
			w.lists[kind.Name] = byName
		})
		if over {
			return
		}
	}
}

// named are the targets of a kind.
func (w *waiter) named(kind resource.Kind) []string {
	var names []string
	for _, t := range w.targets {
		if t.Kind.Name == kind.Name {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ownsAny tells whether a kind's resources may be targets without being named: peerings of a group.
func (w *waiter) ownsAny(kind resource.Kind) bool {
	return kind.Name == resource.KindPeering && slices.ContainsFunc(w.targets, func(t Target) bool { return t.Kind.Name == resource.KindPeeringGroup })
}

// follow follows some resources of a kind by their names, at a cost that the others have no part in, until ctx ends or all targets are reached.
// True: one of them is not there that should be, and the list tells when it comes.
func (w *waiter) follow(ctx context.Context, c *Client, kind resource.Kind, names []string) (missing bool) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	found := make(map[string]resource.Object, len(names))
	var absent atomic.Bool
	var follows sync.WaitGroup
	for _, name := range names {
		follows.Go(func() {
			for o, err := range c.WatchName(ctx, kind, name) {
				if err == nil && o == nil || fault.CodeOf(err) == fault.NotFound {
					o, err = nil, nil
					if !w.goes(kind, name) {
						absent.Store(true)
					}
				}
				over := w.take(err, func() {
					found[name] = o
					if len(found) == len(names) {
						w.lists[kind.Name] = found
					}
				})
				if over || absent.Load() {
					stop()
					return
				}
			}
		})
	}
	follows.Wait()
	return absent.Load()
}

// goes tells whether a target is to be gone.
func (w *waiter) goes(kind resource.Kind, name string) bool {
	return slices.ContainsFunc(w.targets, func(t Target) bool { return t.Kind.Name == kind.Name && t.Name == name && t.Gone })
}

// take takes in what a watch brought, or why it brought nothing, and tells whether the wait is over.
func (w *waiter) take(err error, note func()) (over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		note()
		w.reached = w.judge()
	} else if !Retriable(err) {
		w.failure = err
	}
	return w.reached || w.failure != nil
}

// over tells whether there is nothing to wait for any more.
func (w *waiter) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached || w.failure != nil
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
