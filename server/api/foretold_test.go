package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/api"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// foretelling is a server without controllers: a test does what they do, when it likes.
type foretelling struct {
	*api.Core
	clock *clock
}

func newForetelling(t *testing.T) *foretelling {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	f := &foretelling{clock: &clock{at: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}}
	f.Core = &api.Core{Store: st, Snapshot: s, Stopping: make(chan struct{}), Log: hclog.NewNullLogger(), Now: f.clock.now}
	if f.Observations, err = observation.Open(t.Context(), st, false, f.Now, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = f.Observations.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// policies are all there are.
func (f *foretelling) policies() []resource.Object {
	v := f.Snapshot.View()
	return slices.AppendSeq(slices.Collect(v.List(resource.KindIntention)), v.List(resource.KindTrafficPolicy))
}

// next is the status that the controller gives a policy next, from nothing; it is the one that the policy has when nothing is to be written.
func (f *foretelling) next(o resource.Object) *isthmusv1.PolicyStatus {
	return policy.StatusOf(f.Snapshot.View(), o, evidence.PolicyReports(f.Observations, f.Now()), f.Now())
}

func statusOf(o resource.Object) *isthmusv1.PolicyStatus {
	s, _ := resource.Status(o).(*isthmusv1.PolicyStatus)
	return s
}

// An Intention that names its datacenters is answered with the status that it has from then on, and an update is one write; one that chooses them is
// left to the controller, as is what is not pending.
func TestForetoldStatus(t *testing.T) {
	t.Parallel()
	f := newForetelling(t)
	made := func(name string, datacenters []string, selector string) *isthmusv1.Intention {
		return &isthmusv1.Intention{Name: name, Spec: &isthmusv1.IntentionSpec{
			Destination: &isthmusv1.IntentionDestination{Service: name, Datacenters: datacenters, Selector: selector},
			Sources:     []*isthmusv1.IntentionSource{{Service: "web", Action: resource.ActionAllow}},
		}}
	}
	var nine []string
	for n := range 9 {
		nine = append(nine, fmt.Sprint("dc", n))
		if _, err := (&api.DatacenterService{Core: f.Core}).CreateDatacenter(t.Context(), &isthmusv1.CreateDatacenterRequest{Datacenter: datacenter(nine[n], "a")}); err != nil {
			t.Fatal(err)
		}
	}
	service := &api.IntentionService{Core: f.Core}
	for name, c := range map[string]struct {
		datacenters []string
		selector    string
		foretold    bool
	}{"one": {nine[:1], "", true}, "eight": {nine[:8], "", true}, "nine": {nine, "", false}, "chosen": {nil, "key=a", false}} {
		got, err := service.CreateIntention(t.Context(), &isthmusv1.CreateIntentionRequest{Intention: made(name, c.datacenters, c.selector)})
		if err != nil {
			t.Fatal(err)
		}
		if ready := resource.FindCondition(got.GetStatus().GetConditions(), resource.ConditionReady); c.foretold != (ready.GetReason() == resource.ReasonPending && ready.GetObservedGeneration() == 1) {
			t.Errorf("%s: created with %v", name, got.GetStatus())
		}
		if left := f.next(got) != got.GetStatus(); left == c.foretold {
			t.Errorf("%s: what the controller has to write: %v", name, f.next(got))
		}
		before := f.Snapshot.View().Revision().Index
		changed := made(name, c.datacenters, c.selector)
		changed.Spec.Sources[0].Action = resource.ActionDeny
		got, err = service.UpdateIntention(t.Context(), &isthmusv1.UpdateIntentionRequest{Intention: changed})
		if err != nil {
			t.Fatal(err)
		}
		ready := resource.FindCondition(got.GetStatus().GetConditions(), resource.ConditionReady)
		if got.GetGeneration() != 2 || got.GetIndex() != before+1 || c.foretold != (ready.GetObservedGeneration() == 2) {
			t.Errorf("%s: updated from index %d: %v", name, before, got)
		}
		if left := f.next(got) != got.GetStatus(); left == c.foretold {
			t.Errorf("%s: what the controller has to write after the update: %v", name, f.next(got))
		}
	}
}

// Whatever a fleet is like, what is stored with a policy is what the controller would find from nothing, and what it would tell the audit log of is
// left to it.
func TestForetoldStatusesAreTheControllers(t *testing.T) {
	t.Parallel()
	f := newForetelling(t)
	rapid.Check(t, func(r *rapid.T) {
		f.clear(t.Context(), r)
		for range rapid.IntRange(5, 20).Draw(r, "steps") {
			f.clock.pass(time.Duration(rapid.IntRange(1, 40).Draw(r, "seconds")) * time.Second)
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0:
				f.reports(t.Context(), r)
			case 1:
				f.controls(t.Context(), r)
			default:
				f.applies(t.Context(), r)
			}
		}
	})
}

// clear takes out all there is.
func (f *foretelling) clear(ctx context.Context, r *rapid.T) {
	var w store.Write
	for _, kind := range []string{resource.KindDatacenter, resource.KindPeering, resource.KindIntention, resource.KindTrafficPolicy} {
		for o := range f.Snapshot.View().List(kind) {
			w.Deletes = append(w.Deletes, store.Key{Kind: kind, Name: o.GetName()})
		}
	}
	revision, err := f.Store.Write(ctx, w)
	if err == nil {
		_, err = f.Snapshot.Reach(ctx, revision)
	}
	for _, dc := range []string{"dc1", "dc2", "dc3"} {
		err = errors.Join(err, f.Observations.Forget(ctx, dc, ""))
	}
	if err != nil {
		r.Fatal(err)
	}
}

// applies has something of a fleet written, and compares.
func (f *foretelling) applies(ctx context.Context, r *rapid.T) {
	dc := func(label string) string { return rapid.SampledFrom([]string{"dc1", "dc2", "dc3"}).Draw(r, label) }
	manifest := func() string {
		where := rapid.SampledFrom([]string{"datacenters: [dc1]", "datacenters: [dc2, dc3]", "datacenters: [dc3, dc3, dc1]", "selector: env"}).Draw(r, "where")
		switch rapid.IntRange(0, 4).Draw(r, "kind") {
		case 0:
			return fmt.Sprintf("kind: Datacenter\nname: %s\nlabels: {env: %s}\nspec: {runtime: vm}\n", dc("datacenter"), dc("env"))
		case 1:
			return "kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc2}\n"
		case 2:
			return fmt.Sprintf("kind: TrafficPolicy\nname: t%s\nspec: {service: api, %s, redirect: {service: %s}}\n",
				dc("traffic"), where, rapid.SampledFrom([]string{"web, datacenter: dc2", "db", "api"}).Draw(r, "to"))
		}
		return fmt.Sprintf("kind: Intention\nname: i%s\nspec:\n  destination: {service: %s, %s}\n  sources: [{service: %s, action: %s}]\n", dc("intention"),
			rapid.SampledFrom([]string{"api", "API", "web"}).Draw(r, "service"), where, rapid.SampledFrom([]string{"db", "db, datacenters: [dc2]", "'*'"}).Draw(r, "source"),
			rapid.SampledFrom([]string{"allow", "deny"}).Draw(r, "action"))
	}
	text := manifest()
	for range rapid.IntRange(0, 2).Draw(r, "more") {
		text += "---\n" + manifest()
	}
	before := map[string]resource.Object{}
	for _, o := range f.policies() {
		before[o.GetUid()] = o
	}
	if _, err := (&api.ServerService{Core: f.Core}).Apply(ctx, &isthmusv1.ApplyRequest{Manifests: text}); err != nil {
		return // such a fleet cannot be; most can
	}
	for _, o := range f.policies() {
		was := before[o.GetUid()]
		if was != nil && was.GetGeneration() == o.GetGeneration() {
			continue
		}
		next := f.next(o)
		if was == nil && statusOf(o) == nil || was != nil && cmp.Equal(resource.Status(was), resource.Status(o), protocmp.Transform()) {
			if found := evidence.PendingPolicy(f.Snapshot.View(), o, f.Observations, f.Now()); found != nil && evidence.Foreseeable(o) {
				r.Fatalf("%v was left without\n%v", o, found)
			}
			continue
		}
		if d := cmp.Diff(next, statusOf(o), protocmp.Transform()); d != "" {
			r.Fatalf("%v (-from nothing +stored):\n%s", o, d)
		}
		ready := resource.FindCondition(statusOf(o).GetConditions(), resource.ConditionReady)
		if ready.GetReason() != resource.ReasonPending || ready.GetObservedGeneration() != o.GetGeneration() {
			r.Fatalf("%v was stored with %v", o, ready)
		}
	}
}

// reports has an agent say something of its config entries.
func (f *foretelling) reports(ctx context.Context, r *rapid.T) {
	dc := rapid.SampledFrom([]string{"dc1", "dc2", "dc3"}).Draw(r, "reporting")
	report := &isthmusv1.PolicyReport{}
	for _, e := range policy.Entries(f.Snapshot.View(), dc).GetEntries() {
		report.Entries = append(report.Entries, &isthmusv1.ObservedEntry{
			Kind: e.GetKind(), Name: e.GetName(), WantedDigest: resource.Digest(e),
			State: rapid.SampledFrom([]string{resource.PolicyApplied, resource.PolicyApplied, resource.PolicyConflict, resource.PolicyDrifted}).Draw(r, "state"),
		})
		if rapid.Bool().Draw(r, "drifts") {
			report.Drifts = append(report.Drifts, &isthmusv1.Drift{Entry: e.GetKind() + "/" + e.GetName(), Part: e.GetParts()[0].GetKey()})
		}
	}
	if err := f.Observations.Report(ctx, dc, "agent-of-"+dc, &isthmusv1.ReportRequest{Policy: report}); err != nil {
		r.Fatal(err)
	}
}

// controls writes some statuses, as a controller does.
func (f *foretelling) controls(ctx context.Context, r *rapid.T) {
	for _, o := range f.policies() {
		next := f.next(o)
		if next == statusOf(o) || rapid.Bool().Draw(r, "not yet") {
			continue
		}
		after := resource.Clone(o)
		resource.SetStatus(after, next)
		revision, err := f.Store.Write(ctx, store.Write{
			Puts: []store.Put{{Object: after, Part: store.PartStatus}}, Requires: []store.Require{{Key: store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()}, Index: o.GetIndex()}},
		})
		if err != nil {
			r.Fatal(err)
		}
		if _, err := f.Snapshot.Reach(ctx, revision); err != nil {
			r.Fatal(err)
		}
	}
}
