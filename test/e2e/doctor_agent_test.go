package e2e_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/doctor"
	"isthmus/server"
)

// Agents and servers of different releases: what goes together is well, and who has to be upgraded first is named.
func TestDoctorOfVersions(t *testing.T) {
	f := NewFleet(t, 1)
	older := f.path("isthmus-older")
	if err := build(t.Context(), older, "v0.7.2"); err != nil {
		t.Fatal(err)
	}
	dc1 := f.Datacenter("dc1")
	f.Declare("dc1")
	f.Passes("AgentVersion")

	t.Log("an agent that is two releases behind")
	a := dc1.Agents[0]
	a.stop()
	a.program = older
	a.Restart()
	severity(t, f.Finds("AgentVersion", "dc1", finds, "v0.7.2", version, "the one before", "upgrade isthmus there"), doctor.SeverityWarning)
	a.stop()
	a.program = binary
	a.Restart()
	f.Passes("AgentVersion")

	t.Log("a server that is behind its agents")
	f.server.stop()
	f.program = older
	f.StartServer()
	f.Finds("AgentVersion", "dc1", finds, version, "newer than the server's v0.7.2", "upgrade the servers first")
	f.server.stop()
	f.program = binary
	f.StartServer()
	f.Passes("AgentVersion", "AgentOnline")
}

// An agent that is away for a day comes back with a certificate that is about to end, or has: it renews that by itself.
func TestDoctorOfCertificates(t *testing.T) {
	f := newFleet(t, 1)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	f.serveAt(now)
	dc1 := f.Bare("dc1")
	f.Declare("dc1")
	f.agentAt(dc1, now, func() { f.Passes("AgentCertificate", "AgentOnline") })
	for _, away := range []struct {
		long     time.Duration
		severity string
		says     []string
	}{
		{19 * time.Hour, doctor.SeverityWarning, []string{"ends in 4 hours", "should have been renewed", "see in its log"}},
		{25 * time.Hour, doctor.SeverityError, []string{"ended", "start it", "renews its certificate by itself"}},
	} {
		t.Logf("%s later", away.long)
		ahead.Add(int64(away.long))
		severity(t, f.Finds("AgentCertificate", "dc1", finds, away.says...), away.severity)
		f.agentAt(dc1, now, func() { f.Passes("AgentCertificate", "AgentOnline") })
	}
}

// serveAt runs the server in this process, with a clock of its own, until the test ends.
func (f *Fleet) serveAt(now func() time.Time) {
	f.t.Helper()
	s, err := server.New(f.t.Context(), server.Config{DataDir: f.path("server"), HTTPAddr: f.http, GRPCAddr: f.grpc, Version: version, Now: now})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("the server with a clock of its own: %v", err)
		}
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	})
	f.reach(s.URL())
}
