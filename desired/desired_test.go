package desired_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"isthmus/desired"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// made is a tree of these items, which are put in a random order.
func made(items map[string]desired.Sum) *desired.Tree {
	var out desired.Tree
	ids := slices.Collect(maps.Keys(items))
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		out.Put(id, items[id])
	}
	return &out
}

// A tree's sum is that of its items, however they came, changed and went; and another one for any other items.
func TestTreeIsOfItsItems(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var tree desired.Tree
		items := map[string]desired.Sum{}
		sums := map[desired.Sum]string{}
		// Enough to make branches of leaves, and leaves of branches again.
		for i := range rapid.SampledFrom([]int{0, 31, 33, 100}).Draw(t, "at first") {
			id := fmt.Sprint("item/", i)
			items[id] = desired.Sum{byte(i), byte(i >> 8)}
			tree.Put(id, items[id])
		}
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			id := fmt.Sprint("item/", rapid.IntRange(0, 80).Draw(t, "id"))
			old, had := items[id]
			if rapid.Bool().Draw(t, "delete") {
				delete(items, id)
				if tree.Delete(id) != had {
					t.Fatalf("deleting %s says it was there: %v", id, !had)
				}
			} else {
				items[id] = desired.Sum{rapid.Byte().Draw(t, "sum"), 0, 1}
				if tree.Put(id, items[id]) != (!had || old != items[id]) {
					t.Fatalf("putting %s does not tell whether it is another", id)
				}
			}
			if _, has := items[id]; tree.Has(id) != has || tree.Size() != len(items) {
				t.Fatalf("has %s: %v, size %d of %d", id, tree.Has(id), tree.Size(), len(items))
			}
			if rapid.Bool().Draw(t, "look") {
				text := fmt.Sprint(items)
				if known, again := sums[tree.Sum()]; again && known != text {
					t.Fatalf("%s and %s have one sum", known, text)
				}
				sums[tree.Sum()] = text
			}
		}
		if tree.Sum() != made(items).Sum() {
			t.Fatalf("the sum depends on how the %d items came about", len(items))
		}
		for id := range items {
			tree.Delete(id)
		}
		if tree.Sum() != (&desired.Tree{}).Sum() {
			t.Fatal("the sum of nothing depends on what was there")
		}
	})
}

// A tree of many items has branches below branches.
func TestTreeOfMany(t *testing.T) {
	t.Parallel()
	items := map[string]desired.Sum{}
	for i := range 5000 {
		items[fmt.Sprint("item/", i)] = desired.Sum{byte(i), byte(i >> 8)}
	}
	tree := made(items)
	if tree.Size() != len(items) || tree.Sum() != made(items).Sum() {
		t.Error("the sum depends on how the items came about")
	}
	for i := range 4990 {
		id := fmt.Sprint("item/", i)
		delete(items, id)
		if !tree.Delete(id) || tree.Has(id) {
			t.Fatalf("%s stays", id)
		}
	}
	if tree.Size() != 10 || tree.Sum() != made(items).Sum() {
		t.Error("the sum depends on what was there")
	}
}

func state(datacenter string, items ...string) *isthmusv1.DesiredState {
	out := &isthmusv1.DesiredState{Datacenter: datacenter}
	for _, id := range items {
		out.Items = append(out.Items, &isthmusv1.DesiredItem{Id: id, Type: "t"})
	}
	return out
}

func TestDigest(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	for name, s := range map[string]*isthmusv1.DesiredState{
		"empty": state("dc1"), "another datacenter": state("dc2"), "a": state("dc1", "a"), "a b": state("dc1", "a", "b"),
		"confirmed": {Datacenter: "dc1", ConfirmedEpoch: "e"}, "partition": {Datacenter: "dc1", ConsulPartition: "e"},
		"consul": {Datacenter: "dc1", ConsulDatacenter: "e"}, "drift": {Datacenter: "dc1", Drift: "e"},
	} {
		digest := desired.Digest(s)
		if other, again := digests[digest]; again {
			t.Errorf("%s and %s have one digest", name, other)
		}
		digests[digest] = name
	}
	if desired.Digest(state("dc1", "b", "a")) != desired.Digest(state("dc1", "a", "b")) {
		t.Error("the digest depends on the order of items")
	}
}

// Who does not know a new field of a state, or of an item, comes to the digest of who does.
func TestDigestWithUnknownFields(t *testing.T) {
	t.Parallel()
	newer := state("dc1", "a")
	newer.ProtoReflect().SetUnknown(protoreflect.RawFields{0xfa, 0x3f, 1, 'x'}) // field 1023, one byte
	newer.Items[0].ProtoReflect().SetUnknown(protoreflect.RawFields{0xfa, 0x3f, 1, 'y'})
	if desired.Digest(newer) == desired.Digest(state("dc1", "a")) {
		t.Error("what is not known does not count")
	}
	merged := desired.Merge(state("dc1", "z"), &isthmusv1.StateDelta{State: desired.Header(newer), Items: newer.GetItems(), Removed: []string{"z"}})
	if desired.Digest(merged) != desired.Digest(newer) {
		t.Errorf("merged %v", merged)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	before := state("dc1", "a", "b", "c")
	other := &isthmusv1.DesiredItem{Id: "b", Type: "u"}
	added := &isthmusv1.DesiredItem{Id: "aa", Type: "t"}
	after := desired.Merge(before, &isthmusv1.StateDelta{
		State: &isthmusv1.DesiredState{Datacenter: "dc1", Drift: "report"}, Items: []*isthmusv1.DesiredItem{other, added}, Removed: []string{"c", "unknown"},
	})
	want := &isthmusv1.DesiredState{Datacenter: "dc1", Drift: "report", Items: []*isthmusv1.DesiredItem{before.GetItems()[0], added, other}}
	if !proto.Equal(after, want) {
		t.Errorf("%v, want %v", after, want)
	}
	if !proto.Equal(before, state("dc1", "a", "b", "c")) {
		t.Errorf("the state before is another now: %v", before)
	}
}
