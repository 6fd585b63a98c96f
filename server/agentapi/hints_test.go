package agentapi_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/agentapi"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// view is that of the datacenters a, b and c with these peerings, by name: uid, acceptor and dialer.
func view(t *testing.T, peerings map[string][3]string) *snapshot.View {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	var w store.Write
	for _, name := range []string{"a", "b", "c"} {
		w.Puts = append(w.Puts, store.Put{Part: store.PartAll, Object: &isthmusv1.Datacenter{Name: name, Uid: name, Generation: 1, Spec: &isthmusv1.DatacenterSpec{}}})
	}
	for name, p := range peerings {
		w.Puts = append(w.Puts, store.Put{Part: store.PartAll, Object: &isthmusv1.Peering{
			Name: name, Uid: p[0], Generation: 1, Spec: &isthmusv1.PeeringSpec{Acceptor: p[1], Dialer: p[2], AcceptorPeerName: p[2], DialerPeerName: p[1]},
		}})
	}
	if _, err := st.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return s.View()
}

// A hint leads to a peering only where it is right, and the caller's own.
func TestHintsAreLookedAt(t *testing.T) {
	t.Parallel()
	v := view(t, map[string][3]string{"a-b": {"1", "a", "b"}, "a-c": {"2", "a", "c"}, "b-c": {"3", "b", "c"}})
	var hints agentapi.Hints
	find := func(datacenter, uid, want string) {
		t.Helper()
		if p, ok := hints.Find(v, datacenter, uid); ok != (want != "") || p.GetName() != want {
			t.Errorf("%s finds %q by %s, want %q", datacenter, p.GetName(), uid, want)
		}
	}
	for range 2 { // without hints, and with them
		find("a", "1", "a-b")
		find("b", "1", "a-b")
		find("c", "3", "b-c")
		find("c", "1", "")
		find("a", "3", "")
		find("a", "none", "")
	}
	if name, ok := hints.Get("2"); !ok || name != "a-c" {
		t.Errorf("what was looked at on the way is not known: %q", name)
	}
	hints.Put("1", "b-c")  // it was deleted, and another has its name
	hints.Put("2", "gone") // it was deleted
	find("a", "1", "a-b")
	find("a", "2", "a-c")
	if name, _ := hints.Get("1"); name != "a-b" {
		t.Errorf("a wrong hint stays: %q", name)
	}
}

// However many there are, hints take a bounded amount of memory.
func TestHintsAreBounded(t *testing.T) {
	t.Parallel()
	var hints agentapi.Hints
	const most = 1 << 17
	for i := range most + 1 {
		hints.Put(fmt.Sprint(i), "name")
	}
	known := 0
	for i := range most + 1 {
		if _, ok := hints.Get(fmt.Sprint(i)); ok {
			known++
		}
	}
	if _, ok := hints.Get(fmt.Sprint(most)); !ok || known > most {
		t.Errorf("%d hints are kept, the last one: %t", known, ok)
	}
}
