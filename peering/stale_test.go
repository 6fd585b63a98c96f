package peering_test

import (
	"strings"
	"testing"
	"time"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// hearing is an ACTIVE end that heard its last heartbeat some time ago.
func hearing(heartbeat string, ago time.Duration) *isthmusv1.ObservedPeering {
	r := heard(peering.StateActive, heartbeat)
	if heartbeat != "fresh" {
		r.HeartbeatTime, r.ReceiveTime = at(later-ago), at(later-ago)
	}
	return r
}

// exporting is an end that exports and imports so many services.
func exporting(exported, imported int32, digests string) *isthmusv1.ObservedPeering {
	r := active()
	r.ExportedServices, r.ImportedServices = exported, imported
	r.ExportedDigest, r.ImportedDigest, _ = strings.Cut(digests, " ")
	return r
}

func TestDirectionInWhichNothingArrives(t *testing.T) {
	t.Parallel()
	minute := time.Minute
	dials := func(ok bool) change {
		return func(_ *isthmusv1.Peering, e *peering.Evidence) {
			e.Dialer.Report.Dials = []*isthmusv1.ObservedProbe{{Address: "192.0.2.1:8443", Ok: ok, ErrorReason: "Timeout"}}
		}
	}
	blind := func(d time.Duration) change {
		return func(_ *isthmusv1.Peering, e *peering.Evidence) {
			e.Dialer.Blind, e.Dialer.BlindMessage, e.Dialer.BlindTime = "ConsulUnreachable", "Consul does not answer", start.Add(later-d)
		}
	}
	lost := func(d time.Duration) change {
		return func(p *isthmusv1.Peering, _ *peering.Evidence) {
			p.Status.Acceptor.State, p.Status.Acceptor.Since = "FAILING", at(later-d)
		}
	}
	reported := func(d time.Duration) change {
		return func(_ *isthmusv1.Peering, e *peering.Evidence) {
			e.Acceptor.ReportTime, e.Dialer.ReportTime = start.Add(later-time.Hour), start.Add(later-d)
		}
	}
	for _, c := range []struct {
		name                    string
		acceptor, dialer        *isthmusv1.ObservedPeering
		also                    []change
		verdict, reason, broken string
		says                    string
	}{
		{"the dialer hears nothing", active(), hearing("stale", minute), nil, "stale", "HeartbeatMissing", "to-dialer", "dc2 is connected, and has heard nothing since 2026-01-01T12:04:00Z"},
		{"the acceptor hears nothing", hearing("stale", minute), active(), nil, "stale", "HeartbeatMissing", "to-acceptor", "dc1 is connected, and has heard nothing since"},
		{"nobody hears anything", hearing("stale", minute), hearing("stale", minute), nil, "stale", "HeartbeatMissing", "both", "dc2 is connected, and has heard nothing since"},
		{
			"ACTIVE at both ends, without any heartbeat ever", heard("ACTIVE", "stale"), heard("ACTIVE", "stale"), nil,
			"stale", "HeartbeatMissing", "both", "dc1 is connected, and has never heard anything",
		},
		{"Consul has noticed", heard("FAILING", "stale"), active(), nil, "failing", "ConnectionFailing", "to-acceptor", "dc1 has lost the connection"},
		{"Consul has noticed a moment ago", heard("FAILING", "fresh"), active(), []change{lost(time.Second)}, "failing", "ConnectionFailing", "", "dc1 has lost the connection"},
		{"Consul says so, and yet heartbeats come", heard("FAILING", "fresh"), active(), []change{lost(minute)}, "healthy", "Healthy", "", "dc1 FAILING, heartbeat fresh"},
		{"no address can be dialled", active(), hearing("stale", minute), []change{dials(false)}, "stale", "HeartbeatMissing", "to-dialer", "dc2 cannot dial dc1 at 192.0.2.1:8443 Timeout"},
		{"the address can be dialled", active(), hearing("stale", minute), []change{dials(true)}, "stale", "HeartbeatMissing", "to-dialer", "dc2 ACTIVE, heartbeat stale"},
		{"an agent does not see its Consul", active(), active(), []change{blind(minute)}, "unknown", "ConsulUnseen", "", "the agent of dc2 does not see its Consul (ConsulUnreachable: Consul does not answer)"},
		{"an agent does not see its Consul since a moment ago", active(), active(), []change{blind(time.Second)}, "healthy", "Healthy", "", ""},
		{"an agent does not see its Consul, and the other end hears nothing", hearing("stale", minute), active(), []change{blind(minute)}, "stale", "HeartbeatMissing", "to-acceptor", ""},
		{"an agent does not see its Consul, where the connection was lost", active(), heard("FAILING", "stale"), []change{blind(minute)}, "unknown", "ConsulUnseen", "", "the agent of dc2"},
		{"an agent does not see its Consul, whose end was deleted", heard("TERMINATED", ""), active(), []change{blind(minute)}, "failing", "PeerTerminated", "", "the other end of dc1's was deleted"},
		{"fewer services come than go", exporting(3, 0, "x "), exporting(0, 2, " y"), []change{reported(minute)}, "stale", "ImportsDiffer", "to-dialer", "dc1 exports 3 services over the stream, and dc2 imports 2"},
		{"other services come than go", exporting(0, 2, " y"), exporting(2, 0, "x "), []change{reported(minute)}, "stale", "ImportsDiffer", "to-acceptor", "dc2 exports 2 services over the stream, and dc1 imports 2 others"},
		{"as many services come as go, as far as an older agent says", exporting(2, 0, " "), exporting(0, 2, " y"), []change{reported(minute)}, "healthy", "Healthy", "", ""},
		{"services are on their way", exporting(3, 0, "x "), exporting(0, 2, " y"), []change{reported(time.Second)}, "healthy", "Healthy", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, e := established(), evidence(c.acceptor, c.dialer)
			for _, change := range c.also {
				change(p, &e)
			}
			got := peering.Judge(p, e, start.Add(later))
			if got.Verdict != c.verdict || got.Reason != c.reason || got.Broken != c.broken || !strings.Contains(got.Message, c.says) {
				t.Errorf("%+v; want %s %s, broken %q, %q", got, c.verdict, c.reason, c.broken, c.says)
			}
			if status := peering.Next(p, e, start.Add(later)); status.GetBroken() != c.broken || status.GetVerdict() != c.verdict {
				t.Errorf("status %v", status)
			}
		})
	}
}
