package tree_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"isthmus/store"
	"isthmus/store/snapshot/tree"
)

// leaf is an item with a value.
type leaf struct {
	name  string
	value int
}

func (l *leaf) Key() store.Key {
	return store.Key{Kind: "Kind" + l.name[:1], Name: l.name[1:]}
}

func keyOf(name string) store.Key { return (&leaf{name: name}).Key() }

// drawName is of one of two kinds, of few names or of many.
func drawName(t *rapid.T, many int) string {
	return fmt.Sprintf("%d%03d", rapid.IntRange(0, 1).Draw(t, "kind"), rapid.IntRange(0, many).Draw(t, "number"))
}

// version is a tree, and what must be in it.
type version struct {
	tree  tree.Tree[*leaf]
	items map[string]*leaf
}

func (v version) check(t *rapid.T, many int) {
	var found, want []*leaf
	v.tree.From(store.Key{}, func(l *leaf) bool {
		found = append(found, l)
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(v.items)) {
		want = append(want, v.items[name])
	}
	if !slices.Equal(found, want) {
		t.Fatalf("the tree has %d items, want %d", len(found), len(want))
	}
	if v.tree.Empty() != (len(want) == 0) {
		t.Fatalf("empty: %v, with %d items", v.tree.Empty(), len(want))
	}
	from := drawName(t, many)
	after := slices.IndexFunc(want, func(l *leaf) bool { return l.name >= from })
	v.tree.From(keyOf(from), func(l *leaf) bool {
		if l != want[after] {
			t.Fatalf("from %s comes %s, want %s", from, l.name, want[after].name)
		}
		after++
		return after%3 != 0 // ends early, too
	})
	got, ok := v.tree.Get(keyOf(from))
	if item, has := v.items[from]; ok != has || got != item {
		t.Fatalf("%s is %v, want %v", from, got, item)
	}
}

// edit makes the next version at random; who watched where something comes, is told.
func (v version) edit(t *rapid.T, many int) version {
	next := version{v.tree, maps.Clone(v.items)}
	e := &tree.Edit{}
	came := map[string]bool{}
	growing := rapid.Bool().Draw(t, "growing")
	for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
		name := drawName(t, many)
		_, has := next.items[name]
		if put := rapid.IntRange(0, 3).Draw(t, "put") > 0; put == growing {
			l := &leaf{name, i}
			next.items[name], next.tree = l, next.tree.With(e, l)
			came[name] = true
		} else if has {
			next.tree = next.tree.Without(e, keyOf(name))
			delete(next.items, name)
		}
	}
	for name := range came {
		_, had := v.items[name]
		_, has := next.items[name]
		if gap := v.tree.Gap(keyOf(name)); !had && has && gap != nil && !slices.Contains(e.Superseded, gap) {
			t.Fatalf("nobody is told that %s has come", name)
		}
	}
	return next
}

// Every version stays what it was, whatever becomes of it later.
func TestVersions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		many := rapid.SampledFrom([]int{5, 99, 999}).Draw(t, "many")
		versions := []version{{items: map[string]*leaf{}}}
		for range rapid.IntRange(1, 12).Draw(t, "edits") {
			from := versions[rapid.IntRange(0, len(versions)-1).Draw(t, "from")]
			versions = append(versions, from.edit(t, many))
		}
		for _, v := range versions {
			v.check(t, many)
		}
	})
}

// A tree grows to some levels and goes again, in any order.
func TestGrowsAndGoes(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for what, order := range map[string]func(i int) int{
		"upwards":   func(i int) int { return i },
		"downwards": func(i int) int { return n - 1 - i },
		"mixed":     func(i int) int { return i * 7919 % n },
	} {
		var grown tree.Tree[*leaf]
		e := &tree.Edit{}
		for i := range n {
			grown = grown.With(e, &leaf{name: fmt.Sprintf("0%05d", order(i))})
		}
		if len(e.Superseded) != 0 {
			t.Errorf("%s: one edit superseded %d leaves of its own", what, len(e.Superseded))
		}
		left := grown
		for i := range n {
			if i%100 == 0 {
				e = &tree.Edit{}
			}
			left = left.Without(e, keyOf(fmt.Sprintf("0%05d", order(i))))
		}
		count := 0
		grown.From(store.Key{}, func(*leaf) bool { count++; return true })
		if count != n || !left.Empty() {
			t.Errorf("%s: %d of %d, and empty is %v", what, count, n, left.Empty())
		}
	}
}

// A signal is given to whoever waited before, and to whoever comes later.
func TestSignal(t *testing.T) {
	t.Parallel()
	var s tree.Signal
	opened := tree.NewOpenGate()
	before := s.Given()
	select {
	case <-before:
		t.Fatal("it is given before it is")
	default:
	}
	if s.Given() != before {
		t.Error("two who wait have two channels")
	}
	s.Give(opened)
	s.Give(opened)
	<-before
	<-s.Given()
	var quiet, other tree.Signal
	quiet.Give(opened)
	other.Give(opened)
	if quiet.Given() != other.Given() {
		t.Error("a signal that nobody waited for has a channel of its own")
	}
}
