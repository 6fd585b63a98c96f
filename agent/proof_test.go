package agent_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"isthmus/agent"
	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// Whatever happens, since moves exactly when ok changes, and never back.
func TestSinceMovesOnlyWithOK(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		var read *isthmusv1.ObservedRead
		var probe *isthmusv1.ObservedProbe
		for range rapid.IntRange(1, 50).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later")))
			ok := rapid.Bool().Draw(t, "ok")
			reason := ""
			if !ok {
				reason = rapid.SampledFrom([]string{"Timeout", "NoRoute", "DNS"}).Draw(t, "reason")
			}
			latency := time.Duration(rapid.Int64Range(0, int64(6*time.Second)).Draw(t, "latency"))
			nextRead, nextProbe := agent.AdvanceRead(read, ok, reason, now), agent.AdvanceProbe(probe, ok, latency, reason, now)
			if nextRead.GetOk() != ok || nextProbe.GetOk() != ok || nextRead.GetErrorReason() != reason || nextProbe.GetErrorReason() != reason {
				t.Fatalf("not what came of it: %v %v", nextRead, nextProbe)
			}
			same := read != nil && read.GetOk() == ok
			if same && (!proto.Equal(nextRead.GetSince(), read.GetSince()) || !proto.Equal(nextProbe.GetSince(), probe.GetSince())) {
				t.Fatalf("since moved though ok did not change")
			}
			if !same && (!nextRead.GetSince().AsTime().Equal(now) || !nextProbe.GetSince().AsTime().Equal(now)) {
				t.Fatalf("ok changed, and since did not move")
			}
			if ok != (nextProbe.GetLatencyMs() > 0) {
				t.Fatalf("latency %d with ok %v", nextProbe.GetLatencyMs(), ok)
			}
			read, probe = nextRead, nextProbe
		}
	})
}

func TestLatencyIsSteady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before int32
		ms     float64
		want   int32
	}{
		{0, 0, 1},
		{0, 0.3, 1},
		{0, 1.4, 1},
		{0, 1.5, 2},
		{0, 4, 5},
		{0, 8, 10},
		{0, 40, 50},
		{0, 160, 200},
		{0, 4900, 5000},
		{5, 9, 5},
		{5, 3, 5},
		{5, 11, 10},
		{5, 2, 2},
		{200, 101, 200},
		{200, 99, 100},
	} {
		if got := agent.Steady(c.before, time.Duration(c.ms*float64(time.Millisecond))); got != c.want {
			t.Errorf("%v ms after %d: got %d; expected %d", c.ms, c.before, got, c.want)
		}
	}
}

func TestWhatIsAwaitedIsTriedSooner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ok, costly   bool
		began, since time.Duration
		want         time.Duration
	}{
		{false, false, time.Second, time.Second, 500 * time.Millisecond},
		{false, true, time.Hour, 10 * time.Second, 500 * time.Millisecond},
		{false, true, time.Hour, 10 * time.Minute, 10 * time.Second},
		{true, true, time.Hour, 10 * time.Second, 10 * time.Second},
		{true, true, time.Hour, 10 * time.Minute, 30 * time.Second},
		{true, false, time.Hour, 10 * time.Minute, 10 * time.Second},
	} {
		if got := agent.PauseAfter(c.ok, c.costly, c.began, c.since); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func serverPort(c *consultest.Cluster) string {
	var self struct {
		DebugConfig struct{ ServerPort int }
	}
	c.Do(http.MethodGet, "/v1/agent/self", nil, &self)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(self.DebugConfig.ServerPort))
}

func TestProofOnRealConsul(t *testing.T) {
	t.Parallel()
	east, west := consultest.Start(t, "east"), consultest.Start(t, "west")
	west.Register("web")
	a, err := agent.New(agent.Config{
		DataDir: t.TempDir(), Log: hclog.NewNullLogger(),
		Consul: settings(t, "CONSUL_HTTP_ADDR="+east.HTTPAddr, "CONSUL_CACERT="+east.CAFile, "CONSUL_HTTP_TOKEN="+east.ManagementToken),
	})
	need(t, err)
	changed := make(chan struct{}, 1)
	p := agent.NewProver(a, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	term, resign := context.WithCancel(t.Context())
	defer p.Wait()
	defer resign()
	self := consul.Self{Datacenter: "east", Domain: "consul"}
	address := serverPort(west)
	want := func(probes *isthmusv1.Probes) *isthmusv1.DesiredState {
		return &isthmusv1.DesiredState{Items: []*isthmusv1.DesiredItem{{Id: "probes/1", Type: "probes", Probes: probes}}}
	}
	state := want(&isthmusv1.Probes{
		Gateways: []*isthmusv1.GatewayProbe{
			{Datacenter: "west", Address: address, ServerName: "server.west.consul", Alpn: "consul/rpc-multi"},
			{Datacenter: "north", Address: address, ServerName: "server.north.consul", Alpn: "consul/rpc-multi"},
		},
		// A datacenter can read itself by name, too: the one read that works without a federation.
		Reads: []*isthmusv1.ReadProbe{{Datacenter: "west", ConsulDatacenter: "west"}, {Datacenter: "self", ConsulDatacenter: "east"}},
		Urls:  []*isthmusv1.UrlProbe{{Datacenter: "west", Url: west.HTTPAddr}},
	})
	var report *isthmusv1.FederationReport
	eventually(t, "everything is tried", func() bool {
		report, err = p.Proof(term, state, self)
		need(t, err)
		return len(report.GetReads()) == 2 && len(report.GetProbes()) == 3 && len(report.GetCertificateNames()) > 0
	})
	if len(changed) == 0 {
		t.Error("nobody was told")
	}
	if m := report.GetWanMembers(); len(m) != 1 || m[0].GetNode() != east.Node+".east" || m[0].GetStatus() != "alive" || m[0].GetBuild() == "" || m[0].GetProtocol() != "2" {
		t.Errorf("got WAN members %v", m)
	}
	self2, other := report.GetReads()[0], report.GetReads()[1]
	if !self2.GetOk() || self2.GetServices() != 1 || self2.GetSince() == nil || other.GetOk() || other.GetErrorReason() != "NoPathToDatacenter" {
		t.Errorf("got reads %v", report.GetReads())
	}
	wrong, right, api := report.GetProbes()[0], report.GetProbes()[1], report.GetProbes()[2]
	if wrong.GetErrorReason() != "WrongCertificate" || !right.GetOk() || right.GetLatencyMs() == 0 || !api.GetOk() || api.GetAddress() != west.HTTPAddr {
		t.Errorf("got probes %v", report.GetProbes())
	}
	if names := report.GetCertificateNames(); !slices.Contains(names, "server.east.consul") || !slices.Contains(names, east.Node+".server.east.consul") ||
		report.GetCertificateExpireTime().AsTime().Before(time.Now()) {
		t.Errorf("got the names %v, until %v", names, report.GetCertificateExpireTime())
	}
	report, err = p.Proof(term, want(&isthmusv1.Probes{}), self)
	need(t, err)
	if len(report.GetReads())+len(report.GetProbes()) != 0 {
		t.Errorf("what is not wanted any more is still reported: %v", report)
	}
}
