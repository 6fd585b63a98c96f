package controller_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/controller"
)

// entry is one of the audit log about a policy.
func entry(name, action, message string) (resource.Object, *isthmusv1.Event) {
	o := &isthmusv1.Intention{Name: name}
	return o, &isthmusv1.Event{Spec: &isthmusv1.EventSpec{Actor: "agent/a1", Role: "agent", Action: action, Message: message}}
}

// Somebody's fight over one entry is told at once, and then once a minute, with how often and the last of it.
func TestQuotaOfATopic(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	q := controller.NewQuota()
	passed, told, more := 0, 0, 0
	for i := range 3600 {
		now = now.Add(time.Second)
		o, e := entry("p", resource.ActionDrift, fmt.Sprint("change ", i))
		passed += len(q.Pass(o, "dc1", []*isthmusv1.Event{e}, now))
		for _, e := range q.Due(now) {
			told++
			var n int
			if _, err := fmt.Sscanf(e.GetSpec().GetMessage(), "and %d more since", &n); err != nil {
				n = 1
			}
			more += n
			if s := e.GetSpec(); !strings.HasSuffix(s.GetMessage(), fmt.Sprint("change ", i)) || s.GetActor() != "agent/a1" || s.GetTarget() != "p" || s.GetAction() != resource.ActionDrift {
				t.Errorf("it says %v", e)
			}
		}
	}
	if passed != 5 || told < 55 || told > 61 || passed+more < 3500 {
		t.Errorf("%d and then %d entries in an hour, of %d changes", passed, told, passed+more)
	}
	// Other kinds, policies and datacenters are others'.
	for i, of := range [][3]string{{"p", resource.ActionConflict, "dc1"}, {"q", resource.ActionDrift, "dc1"}, {"p", resource.ActionDrift, "dc2"}} {
		o, e := entry(of[0], of[1], "m")
		if len(q.Pass(o, of[2], []*isthmusv1.Event{e}, now)) != 1 {
			t.Errorf("%d is bounded by what others say", i)
		}
	}
	now = now.Add(time.Hour)
	q.Due(now)
	if now = now.Add(time.Hour); len(q.Due(now)) > 0 || q.Size() > 0 {
		t.Errorf("%d topics are kept that nobody speaks of", q.Size())
	}
}

// What is told when is the same as if all were looked at each time.
func TestQuotaByDeadline(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		by, all := controller.NewQuota(), controller.NewQuota()
		for range rapid.IntRange(1, 200).Draw(rt, "ticks") {
			now = now.Add(time.Duration(rapid.Int64Range(1, int64(2*time.Minute)).Draw(rt, "apart")))
			for range rapid.IntRange(0, 4).Draw(rt, "entries") {
				of := rapid.IntRange(0, 2).Draw(rt, "of")
				action := rapid.SampledFrom([]string{resource.ActionDrift, resource.ActionTransition}).Draw(rt, "action")
				var events []*isthmusv1.Event
				var about resource.Object
				for i := range rapid.IntRange(1, 30).Draw(rt, "n") {
					o, e := entry(fmt.Sprint("p", of), action, fmt.Sprint("m", i))
					about, events = o, append(events, e)
				}
				if one, other := by.Pass(about, fmt.Sprint("dc", of), events, now), all.Pass(about, fmt.Sprint("dc", of), events, now); len(one) != len(other) {
					rt.Fatalf("%d entries pass, and %d of them with a look at all", len(one), len(other))
				}
			}
			// A deadline may be a rounding early or late.
			now = now.Add(time.Millisecond)
			one, other := by.Due(now), all.DueOfAll(now)
			if len(one) != len(other) {
				rt.Fatalf("told are %v, and with a look at all %v", one, other)
			}
			for i := range one {
				if !proto.Equal(one[i].GetSpec(), other[i].GetSpec()) {
					rt.Fatalf("told is %v, and with a look at all %v", one[i], other[i])
				}
			}
		}
		for range 2 {
			now = now.Add(24 * time.Hour)
			by.Due(now)
		}
		if by.Size() > 0 {
			rt.Fatalf("%d topics are kept that nobody speaks of", by.Size())
		}
	})
}

// One agent that lies of all policies at once has a bound of its own, which holds up no other datacenter's.
func TestQuotaOfAnAgent(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	q := controller.NewQuota()
	written := 0
	for range 600 {
		now = now.Add(time.Second)
		for i := range 50 {
			var all []*isthmusv1.Event
			var about resource.Object
			for range 16 {
				o, e := entry(fmt.Sprint("p", i), resource.ActionDrift, "m")
				about, all = o, append(all, e)
			}
			written += len(q.Pass(about, "dc1", all, now))
		}
		written += len(q.Due(now))
	}
	if written > 100+100+1 {
		t.Errorf("%d entries in ten minutes", written)
	}
	o, e := entry("p0", resource.ActionDrift, "m")
	if len(q.Pass(o, "dc2", []*isthmusv1.Event{e}, now)) != 1 {
		t.Error("another datacenter is held up")
	}
}

// What was left out is written to the audit log when its time has come.
func TestWhatWasLeftOutIsToldLater(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	f := newFleetAt(t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, datacenter("dc1"), intention("api-from-web", "api", "web", "dc1"))
	f.ready(resource.KindIntention, "api-from-web", "Pending")
	for i := range 9 {
		report := f.wrote("dc1")
		report.Entries[0].State = resource.PolicyConflict
		report.Entries[0].Parts = []*isthmusv1.ObservedPart{{Key: "source/default/web", State: resource.PolicyConflict, Message: fmt.Sprint("report ", i), Found: fmt.Sprint("found ", i)}}
		f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: report})
		f.policy(resource.KindIntention, "api-from-web", "in conflict", func(s *isthmusv1.PolicyStatus) bool {
			return strings.Contains(s.GetPlacements()[0].GetMessage(), fmt.Sprint("report ", i))
		})
	}
	ahead.Store(int64(2 * time.Minute))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		got := f.events(resource.ActionConflict)
		if len(got) == 6 {
			last := got[5].GetMessage()
			if !strings.HasPrefix(last, "and 4 more since ") || !strings.Contains(last, "is found 8, where") || got[5].GetTarget() != "api-from-web" {
				t.Errorf("it says %q", last)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("what was left out is not told: %v", got)
		}
	}
}

// Many peerings of one dialer hang at once, as they do when its leader does: one transfer is decided, also within one round.
func TestOneTransferForAllPeeringsOfADialer(t *testing.T) {
	t.Parallel()
	const n = 20
	ago := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(-d)) }
	objects := []resource.Object{datacenter("hub")}
	hub, far := &isthmusv1.PeeringsReport{}, map[string]*isthmusv1.PeeringsReport{}
	for i := range n {
		dc := fmt.Sprint("dc", i)
		objects = append(objects, datacenter(dc), &isthmusv1.Peering{
			Name: "p" + dc, CreateTime: ago(time.Hour),
			Spec: &isthmusv1.PeeringSpec{Acceptor: dc, Dialer: "hub", AcceptorPeerName: "hub", DialerPeerName: dc, Heal: resource.HealAuto},
			Status: &isthmusv1.PeeringStatus{
				Verdict: peering.VerdictStale, Reason: peering.ReasonHeartbeatMissing, VerdictSince: ago(5 * time.Minute),
				Acceptor: &isthmusv1.PeeringEnd{Datacenter: dc, State: peering.StateActive, Since: ago(time.Hour)},
				Dialer:   &isthmusv1.PeeringEnd{Datacenter: "hub", State: peering.StateActive, Since: ago(time.Hour)},
				Token: &isthmusv1.TokenStatus{Generation: 1, Reason: "Created", RequestTime: ago(time.Hour), Ledger: []*isthmusv1.TokenEntry{{
					Generation: 1, Attempt: 1, MadeBy: "a", MakeTime: ago(time.Hour), SecretDigest: "d1", ExpireTime: ago(time.Minute), UsedBy: "h", UseTime: ago(time.Hour),
					Outcome: resource.OutcomeUsed,
				}}},
				Heal: &isthmusv1.HealStatus{Step: peering.StepReestablish, State: peering.HealTrying, Tried: 1, Time: ago(time.Minute)},
			},
		})
		observed := func(role, peer string) *isthmusv1.ObservedPeering {
			return &isthmusv1.ObservedPeering{Uid: "uid-of-p" + dc, Role: role, Origin: "own", PeerName: peer, State: peering.StateActive, Heartbeat: resource.HeartbeatStale, PeerId: "id", Generation: 1}
		}
		end := observed("dialer", dc)
		end.Outcome = resource.OutcomeUsed
		hub.Peerings = append(hub.Peerings, end)
		far[dc] = &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{observed("acceptor", "hub")}}
	}
	f := newFleet(t, objects...)
	for dc, r := range far {
		f.report("a-"+dc, dc, &isthmusv1.ReportRequest{Peerings: r})
	}
	f.report("h", "hub", &isthmusv1.ReportRequest{Peerings: hub})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		tried, wanted := 0, 0
		var one *isthmusv1.Peering
		for i := range n {
			one, _ = resource.Lookup[*isthmusv1.Peering](f.c.Snapshot.View(), resource.KindPeering, fmt.Sprint("pdc", i))
			if one.GetStatus().GetHeal().GetTried() == 2 {
				tried++
			}
			if peering.LeaderTransfer(one) > 0 {
				wanted++
			}
		}
		if tried == n {
			if wanted != 1 {
				t.Errorf("%d transfers of one leadership are wanted", wanted)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d peerings take the step: %v", tried, n, one.GetStatus())
		}
	}
}

// Histories are made of transitions: more of them come at once, and what one datacenter brings about is bounded all the same.
func TestQuotaOfTransitions(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	q := controller.NewQuota()
	move := func(name, datacenter string) int {
		o, e := entry(name, resource.ActionTransition, "m")
		return len(q.Pass(o, datacenter, []*isthmusv1.Event{e}, now))
	}
	one := 0
	for range 600 {
		now = now.Add(100 * time.Millisecond)
		one += move("flaps", "dc1") + len(q.Due(now))
	}
	if one < 20 || one > 22 {
		t.Errorf("%d entries in a minute on one that flaps", one)
	}
	all := 0
	for range 10 {
		now = now.Add(time.Minute)
		for i := range 1000 {
			all += move(fmt.Sprint("p", i), "dc2")
		}
		all += len(q.Due(now))
	}
	if all < 2000 || all > 2000+10*10 {
		t.Errorf("%d entries in ten minutes on a thousand that flap", all)
	}
	o, e := entry("p1", resource.ActionDrift, "m")
	if move("p1", "dc3") != 1 || len(q.Pass(o, "dc2", []*isthmusv1.Event{e}, now)) != 1 {
		t.Error("what others say, or else, is held up")
	}
}
