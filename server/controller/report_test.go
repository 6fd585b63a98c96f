package controller_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/controller"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// Whatever a hub's agent says of its peerings, those are looked at of which it says something else than before, and no others.
func TestPeeringsThatAReportIsAbout(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	var w store.Write
	put := func(acceptor, dialer, peerName string) {
		p := &isthmusv1.Peering{Name: acceptor + "-" + dialer, Uid: "uid-" + acceptor + "-" + dialer, Spec: &isthmusv1.PeeringSpec{
			Acceptor: acceptor, Dialer: dialer, AcceptorPeerName: peerName,
		}}
		resource.Default(p)
		w.Puts = append(w.Puts, store.Put{Object: p, Part: store.PartAll})
	}
	declare := func(name string) {
		dc := datacenter(name)
		resource.Default(dc)
		w.Puts = append(w.Puts, store.Put{Object: dc, Part: store.PartAll})
	}
	declare("hub")
	declare("second")
	peers := map[string]string{} // by uid
	for i := range 40 {
		spoke := fmt.Sprint("s", i)
		declare(spoke)
		peerName := spoke
		if i%5 == 0 {
			peerName = "otherwise-" + spoke
		}
		put("hub", spoke, peerName)
		peers["uid-hub-"+spoke] = peerName
		put("second", spoke, "")
		if i%2 == 0 {
			declare("x" + spoke)
			put("s0", "x"+spoke, "")
		}
	}
	if _, err := st.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	reported := controller.NewReported()
	uids := append(slices.Sorted(maps.Keys(peers)), "", "uid-second-s1", "uid-of-none")
	rapid.Check(t, func(t *rapid.T) {
		report := func(label string) *isthmusv1.PeeringsReport {
			out := &isthmusv1.PeeringsReport{}
			for _, uid := range rapid.SliceOfDistinct(rapid.SampledFrom(uids), rapid.ID).Draw(t, label) {
				out.Peerings = append(out.Peerings, &isthmusv1.ObservedPeering{
					Uid: uid, PeerName: peers[uid], State: rapid.SampledFrom([]string{"", "ACTIVE"}).Draw(t, "state"),
				})
			}
			return out
		}
		before := report("before")
		after := proto.CloneOf(before)
		if rapid.Bool().Draw(t, "another") {
			after = report("after")
		} else if len(after.GetPeerings()) > 0 {
			after.GetPeerings()[0].State = "FAILING"
		}
		said := func(r *isthmusv1.PeeringsReport, uid string) *isthmusv1.ObservedPeering {
			i := slices.IndexFunc(r.GetPeerings(), func(p *isthmusv1.ObservedPeering) bool { return p.GetUid() == uid })
			if i < 0 {
				return nil
			}
			return r.GetPeerings()[i]
		}
		want := map[string]bool{}
		for uid := range peers {
			if !proto.Equal(said(before, uid), said(after, uid)) {
				want[uid[len("uid-"):]] = true
			}
		}
		if got := reported(s.View(), "hub", before, after); !maps.Equal(got, want) {
			t.Fatalf("looked at are %v, want %v", got, want)
		}
	})
}
