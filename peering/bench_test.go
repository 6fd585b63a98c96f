package peering_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// BenchmarkNextUnchanged is what the controller pays for a healthy peering of which nothing is new.
func BenchmarkNextUnchanged(b *testing.B) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &isthmusv1.Peering{Name: "a-b", Uid: "u", CreateTime: timestamppb.New(now), Spec: &isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "b"}}
	end := func(recipient string) peering.End {
		return peering.End{HeardTime: now, Recipients: []string{recipient}, Report: &isthmusv1.ObservedPeering{
			Uid: "u", State: peering.StateActive, PeerId: "x", Heartbeat: resource.HeartbeatFresh,
		}}
	}
	e := peering.Evidence{Acceptor: end("age-a"), Dialer: end("age-b")}
	p.Status = peering.Next(p, e, now)
	p.Status = peering.Next(p, e, now.Add(10*time.Second))
	b.ReportAllocs()
	for b.Loop() {
		if peering.Next(p, e, now.Add(20*time.Second)) != p.Status {
			b.Fatal("it changed")
		}
	}
}
