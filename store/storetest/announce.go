package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// listen collects what a store announces. Each commit is compared with the feed while its writers still wait, so that
// nothing of this process comes between.
func (f *fixture) listen() *[]store.Commit {
	var told []store.Commit
	f.Announce(func(c store.Commit) {
		told = append(told, c)
		if err := sameAsFeed(f, c); err != nil {
			f.t.Error(err)
		}
	})
	return &told
}

// sameAsFeed compares a commit with what the feed gives of it, object for object.
func sameAsFeed(f *fixture, c store.Commit) error {
	feed, err := f.Changes(f.ctx, c.Before, 1_000_000)
	if err != nil {
		return err
	}
	if feed.Reload || feed.More || feed.Revision != c.After || len(feed.Changes) != len(c.Changes) {
		return fmt.Errorf("announced %+v to %+v with %d changes, the feed goes to %+v with %d (reload %v)",
			c.Before, c.After, len(c.Changes), feed.Revision, len(feed.Changes), feed.Reload)
	}
	for i, want := range feed.Changes {
		got := c.Changes[i]
		if d := difference(want.Object, got.Object); d != "" {
			return fmt.Errorf("%v at %d (-feed +announced):\n%s", got.Key, got.Index, d)
		}
		if got.Encoded != nil {
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(want.Object)
			if err != nil || !bytes.Equal(got.Encoded, encoded) {
				return fmt.Errorf("%v at %d: encoded as %x, not %x: %w", got.Key, got.Index, got.Encoded, encoded, err)
			}
		}
		got.Object, want.Object, got.Encoded = nil, nil, nil
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			return fmt.Errorf("announced %+v, the feed has %+v", got, want)
		}
	}
	return nil
}

// testAnnounce has random writes, many at a time: what is announced is what the feed gives, whatever was put of a
// resource and however often in one group; and all of it, without gaps, is told before it is acknowledged.
func testAnnounce(f *fixture) {
	t := f.t
	const seed, rounds, perRound = 21, 60, 16
	start := f.revision()
	told := f.listen()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same writes each time
	for range rounds {
		writes := make([]store.Write, perRound)
		for i := range writes {
			writes[i] = randomWrite(f, random)
		}
		var newest uint64
		for _, r := range writeInOrder(f, writes) {
			newest = max(newest, r.index)
		}
		if n := len(*told); n > 0 && (*told)[n-1].After.Index < newest {
			t.Fatalf("%d is acknowledged and only %d told of", newest, (*told)[n-1].After.Index)
		}
	}
	at, encoded := start, 0
	for _, c := range *told {
		for i := range c.Changes {
			if c.Changes[i].Encoded != nil {
				encoded++
			}
		}
		if c.Before != at || c.After.Index <= at.Index || c.After.Epoch != at.Epoch {
			t.Fatalf("told of %+v to %+v after %+v", c.Before, c.After, at)
		}
		at = c.After
	}
	if encoded < rounds {
		t.Fatalf("%d resources were told of encoded: the test does not test much", encoded)
	}
	if at != f.revision() {
		t.Fatalf("told up to %+v, the store is at %+v", at, f.revision())
	}
}

// testAnnounceOdd has what a store does not give back as it got it, and writers that go on with what they wrote.
func testAnnounceOdd(f *fixture) {
	t := f.t
	told := f.listen()
	dc := datacenter("dc1")
	dc.Labels = map[string]string{"text": "<&>\u2028 \"quoted\" ünï", "empty": ""}
	dc.Spec.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 20_000, protowire.VarintType), 7))
	dc.Status = &isthmusv1.DatacenterStatus{}
	dc.UpdateTime.Nanos = 5
	dc.CreateTime = nil
	f.put(dc)
	dc.Labels["text"], dc.Spec.Runtime, dc.UpdateTime.Nanos = "later", "later", 9
	if (*told)[0].Changes[0].Encoded != nil {
		t.Error("what has unknown fields is announced as it was encoded with them")
	}
	first := (*told)[0].Changes[0].Object.(*isthmusv1.Datacenter)
	if first.GetLabels()["text"] == "later" || first.GetSpec().GetRuntime() == "later" || first.GetUpdateTime().GetNanos() == 9 {
		t.Fatal("what was announced is the writer's own")
	}
	// A part of what was there before; nothing at all; no object.
	f.write(store.Write{Puts: []store.Put{{Object: &isthmusv1.Datacenter{Name: "dc1", Uid: "dc1"}, Part: store.PartStatus}}})
	f.write(store.Write{Puts: []store.Put{{Object: &isthmusv1.Datacenter{Name: "dc1", Uid: "dc1"}, Part: store.PartSpec}}})
	f.write(store.Write{Events: []*isthmusv1.Event{event("look", "Datacenter", "dc1")}})
	f.write(store.Write{Secrets: []store.Secret{{Digest: "d", Kind: "test", Body: []byte("x")}}})
	f.write(store.Write{Deletes: []store.Key{datacenterKey("dc1")}})
	if len(*told) != 5 {
		t.Fatalf("%d commits are told of, want 5: secrets alone do not move the index", len(*told))
	}
	if f.options.Replicas {
		return // beginning to listen wakes, whenever that is
	}
	select {
	case <-f.Wake():
		t.Error("commits that were told of wake as well")
	default:
	}
}

// testAnnounceReplicas: what another process commits shows as a gap before the next commit.
func testAnnounceReplicas(f *fixture) {
	told := f.listen()
	other := f.on(open(f.ctx, f.t, f.db))
	f.put(datacenter("dc1"))
	at := other.put(datacenter("dc2"))
	f.put(datacenter("dc3"))
	if n := len(*told); n != 2 || (*told)[1].Before != at || (*told)[0].After.Index != at.Index-1 {
		f.t.Fatalf("told of %+v around another process's commit at %+v", *told, at)
	}
}

// difference of two objects; empty: none.
func difference(want, got resource.Object) string {
	return cmp.Diff(want, got, protocmp.Transform())
}
